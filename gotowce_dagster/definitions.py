"""Dagster's door: everything it may load, and nothing else."""

from functools import partial

import dagster as dg

from gotowce_dagster.assets import checks, model, review, studies, videos
from gotowce_dagster.assets.cluster import cluster_results
from gotowce_dagster.assets.jobs import ask_reviewers, label_videos, run_studies, train_in_rounds, train_model
from gotowce_dagster.assets.reporting import log_progress
from gotowce_dagster.assets.runs import watched_in_process_executor
from gotowce_dagster.assets.sensors import dead_runs, dvc_lock, new_videos, reviews_sensor
from gotowce_dagster.assets.versions import with_code_version
from gotowce_dagster.config.project import Project


@dg.definitions
def defs() -> dg.Definitions:
    """Assets with the code versions of the project as it is now; nothing is read when this is imported."""
    project = Project.find()
    loaded = [*dg.load_assets_from_modules([videos, review, model]), *studies.ASSETS]
    assets = [asset for asset in loaded if isinstance(asset, dg.AssetsDefinition)]
    return dg.Definitions(
        assets=dg.map_asset_specs(partial(with_code_version, project.paths), assets),
        asset_checks=dg.load_asset_checks_from_modules([checks]),
        jobs=[label_videos, ask_reviewers, train_model, train_in_rounds, run_studies],
        sensors=[
            new_videos,
            dvc_lock,
            reviews_sensor(project.params.review.sensor.every_s),
            dead_runs,
            cluster_results,
        ],
        resources={"progress": log_progress},
        # In one process, because a video's steps share the loaded libraries; videos run side by side as runs.
        executor=watched_in_process_executor,
    )
