"""The sensor of a cluster's driver: what nodes have made goes into the project's dvc.lock files."""

import time

import dagster as dg

from gotowce_dagster.cluster.merge import Cursor, merge
from gotowce_dagster.config.project import Project, listed_videos

_LAUNCHER = "gotowce_dagster.cluster.launcher"


@dg.sensor(minimum_interval_seconds=15, default_status=dg.DefaultSensorStatus.RUNNING)
def cluster_results(context: dg.SensorEvaluationContext) -> dg.SkipReason:
    """Write what nodes of a cluster report to dvc.lock; only this writes there of what they make."""
    # By name, because on one machine nothing of a cluster need be installed.
    if type(context.instance.run_launcher).__module__ != _LAUNCHER:
        return dg.SkipReason("this project has no cluster")
    project = Project.find()
    cursor = Cursor.parse(context.cursor)
    merged, cursor = merge(context.instance, project.paths, listed_videos(project.paths), cursor, time.time())
    context.update_cursor(cursor.model_dump_json())
    for name in merged.unknown:
        context.log.warning(f"{name}: made on a node, but the project has no such video any more")
    return dg.SkipReason(f"{len(merged.entries)} results of nodes recorded in dvc.lock")
