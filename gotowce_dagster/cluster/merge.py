"""Lock entries that nodes have reported, merged into the project's dvc.lock files by the driver.

Ids of events are given before a transaction ends, so a lower id may appear after a higher one. The cursor
therefore stays behind the events of the last minute, and lists those of them that are merged.
"""

from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import takewhile
from typing import Any

import dagster as dg
from dagster import DagsterInstance
from pydantic import BaseModel, ValidationError

from gotowce_dagster.cluster.records import OF_VIDEO, entry_of
from gotowce_dagster.config.paths import Paths
from gotowce_dagster.intake.dvc_repo import DvcRepo, LockBusyError
from gotowce_dagster.intake.pipelines import folder_of, stage_name

_BATCH = 100
"""Events of a stage that are read at once."""
_UNSETTLED_S = 60.0
"""Longer than any transaction that stores an event."""


class Position(BaseModel):
    """How far the events of one stage are merged."""

    after: int = 0
    """The storage id up to which all are."""
    later: list[int] = []
    """The ids above it that are merged too."""


class Cursor(BaseModel):
    """How far the events of each stage are merged."""

    stages: dict[str, Position] = {}

    def position(self, stage: str) -> Position:
        """How far the events of a stage are merged."""
        return self.stages.get(stage, Position())

    @classmethod
    def parse(cls, text: str | None) -> "Cursor":
        """Parse a sensor's cursor; one that is none of ours begins anew, which changes no dvc.lock."""
        try:
            return cls.model_validate_json(text or "{}")
        except ValidationError:
            return cls()


@dataclass
class Merged:
    """What one merge did."""

    entries: list[str] = field(default_factory=list)
    """Stages as STAGE@VIDEO."""
    unknown: list[str] = field(default_factory=list)
    """The same of videos that the project does not have any more."""


def merge(
    instance: DagsterInstance, paths: Paths, videos: Collection[str], cursor: Cursor, now: float
) -> tuple[Merged, Cursor]:
    """Write new entries to the dvc.lock of their videos; returns what was done, and the cursor after it.

    A video whose dvc.lock is in use is left for the next call.

    Args:
        videos: The videos of the project.
        now: Seconds since 1970.
    """
    events = {stage: _events(instance, stage, cursor.position(stage)) for stage in OF_VIDEO}
    merged, busy = Merged(), set[str]()
    for video, entries in _entries(events, cursor).items():
        names = [stage_name(stage, video) for stage in entries]
        if video not in videos:
            merged.unknown += names
            continue
        try:
            DvcRepo(paths.root).replace_entries(folder_of(video), (), entries, wait=False)
            merged.entries += names
        except LockBusyError:
            busy.add(video)
    positions = {stage: _advanced(cursor.position(stage), events[stage], busy, now) for stage in OF_VIDEO}
    return merged, Cursor(stages=positions)


def _events(instance: DagsterInstance, stage: str, position: Position) -> list[dg.EventLogRecord]:
    """The materializations of a stage after a position, oldest first."""
    filters = dg.AssetRecordsFilter(asset_key=dg.AssetKey(stage), after_storage_id=position.after)
    limit = _BATCH + len(position.later)
    return list(instance.fetch_materializations(filters, limit=limit, ascending=True).records)


def _entries(events: Mapping[str, Sequence[dg.EventLogRecord]], cursor: Cursor) -> dict[str, dict[str, Any]]:
    """The entries of new events by video and stage, the last one of each."""
    found: dict[str, dict[str, Any]] = defaultdict(dict)
    for stage, records in events.items():
        known = set(cursor.position(stage).later)
        for record in records:
            if record.partition_key is None or record.storage_id in known:
                continue
            entries = found[record.partition_key]
            entries.pop(stage, None)  # what the driver has made since is in its dvc.lock already
            if entry := entry_of(record.asset_materialization):
                entries[stage] = entry
    return {video: entries for video, entries in found.items() if entries}


def _advanced(
    position: Position, records: Sequence[dg.EventLogRecord], busy: Collection[str], now: float
) -> Position:
    """The position after these events, without those of busy videos."""
    merged = [
        record
        for record in records
        if record.partition_key not in busy or record.storage_id in position.later
    ]
    settled = takewhile(
        lambda pair: pair[0] is pair[1] and now - pair[0].timestamp > _UNSETTLED_S,
        zip(records, merged, strict=False),
    )
    after = max((record.storage_id for record, _ in settled), default=position.after)
    return Position(after=after, later=[r.storage_id for r in merged if r.storage_id > after])
