"""Lock entries and slices in Dagster's event log, through which the driver and the nodes know of each other.

A node reports the entry of dvc.lock with each materialization. The driver alone writes the project's files.
"""

from collections.abc import Mapping
from typing import Any

import dagster as dg
from dagster import DagsterEventType, DagsterInstance, DagsterRun
from dagster._core.events import EngineEventData

from gotowce_dagster.cluster.slices import pack, unpack
from gotowce_dagster.core.errors import InputError
from gotowce_dagster.stages.table import STAGES

LOCK_ENTRY = "dvc_lock_content"
"""The metadata of a materialization with the whole lock entry."""
OF_VIDEO = tuple(stage.name for stage in STAGES.values() if stage.per_video)
"""The stages of a video, in their order."""
_SLICE = "slice"
_PARTITION = "dagster/partition"


def video_of(run: DagsterRun) -> str | None:
    """The video of a run; None if it is about the whole project."""
    return run.tags.get(_PARTITION)


def report_slice(instance: DagsterInstance, run: DagsterRun, files: Mapping[str, str]) -> None:
    """Store the slice of a run in its event log."""
    metadata = {_SLICE: dg.MetadataValue.text(pack(files))}
    instance.report_engine_event("Slice of the project for this run", run, EngineEventData(metadata))


def slice_of(instance: DagsterInstance, run_id: str) -> dict[str, str]:
    """The slice of a run: text by path.

    Raises:
        InputError: The run has none, or it is damaged.
    """
    for record in instance.get_records_for_run(run_id, of_type=DagsterEventType.ENGINE_EVENT).records:
        event = record.event_log_entry.dagster_event
        metadata = event.engine_event_data.metadata if event else {}
        if _SLICE in metadata:
            return unpack(str(metadata[_SLICE].value))
    raise InputError(
        f"run {run_id}: has no slice of a project; dagster.yaml needs the launcher of gotowce_dagster.cluster"
    )


def latest(instance: DagsterInstance, stage: str, video: str) -> dg.AssetMaterialization | None:
    """The latest materialization of a stage of a video."""
    filters = dg.AssetRecordsFilter(asset_key=dg.AssetKey(stage), asset_partitions=[video])
    records = instance.fetch_materializations(filters, limit=1).records
    return records[0].asset_materialization if records else None


def entry_of(event: dg.AssetMaterialization | None) -> dict[str, Any] | None:
    """The lock entry that a node reported with a materialization; None if the driver has made it."""
    value = event.metadata.get(LOCK_ENTRY) if event else None
    return (
        dict(value.data) if isinstance(value, dg.JsonMetadataValue) and isinstance(value.data, dict) else None
    )


def recorded(instance: DagsterInstance, video: str) -> dict[str, dict[str, Any]]:
    """The lock entries that nodes reported last of a video, by stage.

    What the driver has made since is not among them: that entry is in the slice's own dvc.lock.
    """
    found = {stage: entry_of(latest(instance, stage, video)) for stage in OF_VIDEO}
    return {stage: entry for stage, entry in found.items() if entry is not None}
