"""Jobs: label a video, ask reviewers, train on all videos, run the studies."""

import dagster as dg

from gotowce_dagster.assets import model, review, studies, videos
from gotowce_dagster.stages.table import STAGES

label_videos = dg.define_asset_job(
    "label_videos", dg.AssetSelection.groups(videos.GROUP), description="From a raw video to cleaned labels."
)

ask_reviewers = dg.define_asset_job(
    "ask_reviewers",
    dg.AssetSelection.groups(review.GROUP),
    description="Push doubtful frames to Label Studio, and pull reviews.",
)

train_model = dg.define_asset_job(
    "train_model",
    dg.AssetSelection.groups(model.GROUP),
    description="From the cleaned labels of all videos to a dataset, a model and the report.",
)

train_in_rounds = dg.define_asset_job(
    "train_in_rounds",
    selection=dg.AssetSelection.assets(model.yolo_dataset, model.finetuned_model),
    description="Dataset and model, trained in rounds that adopt unmarked targets; see `gotowce rounds`.",
)

run_studies = dg.define_asset_job(
    "run_studies",
    dg.AssetSelection.groups(studies.GROUP)
    - dg.AssetSelection.assets(*(name for name, stage in STAGES.items() if stage.needs_models)),
    description="Experiments on the project's own videos, each with its report; those that need other "
    "models are materialized by themselves.",
)
