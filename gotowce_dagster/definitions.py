"""Dagster's door: everything it may load, and nothing else."""

import dagster as dg

from gotowce_dagster.assets import checks, model, review, studies, videos
from gotowce_dagster.assets.jobs import ask_reviewers, label_videos, run_studies, train_model
from gotowce_dagster.assets.reporting import log_progress
from gotowce_dagster.assets.runs import watched_in_process_executor
from gotowce_dagster.assets.sensors import dead_runs, dvc_lock, new_videos, reviews

# In one process, because a video's steps share the loaded libraries; videos run side by side as runs.
defs = dg.Definitions(
    assets=dg.load_assets_from_modules([videos, review, model, studies]),
    asset_checks=dg.load_asset_checks_from_modules([checks]),
    jobs=[label_videos, ask_reviewers, train_model, run_studies],
    sensors=[new_videos, dvc_lock, reviews, dead_runs],
    resources={"progress": log_progress},
    executor=watched_in_process_executor,
)
