"""The two jobs: label a video, and train on all of them."""

import dagster as dg

from gotowce_dagster.assets import model, videos

label_videos = dg.define_asset_job(
    "label_videos",
    selection=dg.AssetSelection.groups(videos.GROUP),
    description="From a raw video to cleaned labels.",
)

train_model = dg.define_asset_job(
    "train_model",
    selection=dg.AssetSelection.groups(model.GROUP),
    description="From the cleaned labels of all videos to a dataset, a model and the report.",
)
