"""The sensor `dvc_lock` reports many outputs in batches, with a small cursor, each of them once."""

import json
from pathlib import Path
from typing import Any

import dagster as dg
import pytest

from gotowce_dagster.assets import sensors
from gotowce_dagster.assets.materialize import LOCK_FINGERPRINT
from gotowce_dagster.config.paths import Paths
from gotowce_dagster.config.project import Project
from gotowce_dagster.core.tables import LABELS, read_table
from gotowce_dagster.intake.dvc_lockfile import fingerprint
from gotowce_dagster.stages.base import Stage
from tests.worlds import make_world

pytestmark = pytest.mark.slow

VIDEOS = [f"v{number}" for number in range(5)]


def record(folder: Path, **outs: str) -> None:
    """Write a dvc.lock in which each stage has made one output."""
    made = {
        stage: {"cmd": "x", "outs": [{"path": path, "md5": "5d", "size": 5}]} for stage, path in outs.items()
    }
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "dvc.lock").write_text(json.dumps({"schema": "2.0", "stages": made}) + "\n", encoding="utf-8")


def metadata(project: Project, stage: Stage, video: str, entry: dict) -> dict[str, dg.MetadataValue]:
    """Metadata without a preview; it reads the labels, as that does."""
    if stage.name == "cleaned_labels":
        read_table(project.paths.labels(video), LABELS)
    return {LOCK_FINGERPRINT: dg.MetadataValue.text(fingerprint(entry))}


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Project:
    """Five videos whose labels are made, and a dataset that is recorded but not pulled."""
    made = make_world(tmp_path, {video: ["hostile"] for video in VIDEOS})
    for video in VIDEOS:
        labels = f"data/labels/{video}.parquet"
        record(made.paths.pipeline(video), extracted_frames=f"data/frames/{video}", cleaned_labels=labels)
    record(tmp_path, yolo_dataset="data/dataset")
    monkeypatch.setenv("GOTOWCE_ROOT", str(tmp_path))
    monkeypatch.setattr(sensors, "code_version", lambda paths, stage: f"version of {stage}")
    monkeypatch.setattr(sensors, "lock_metadata", metadata)
    monkeypatch.setattr(sensors, "_BATCH", 2)
    return made


@pytest.fixture
def instance() -> dg.DagsterInstance:
    made = dg.DagsterInstance.ephemeral()
    made.add_dynamic_partitions("videos", VIDEOS)
    return made


def tick(instance: dg.DagsterInstance, cursor: str | None) -> tuple[list[tuple], str, str]:
    """One tick, whose events Dagster takes: asset and partition of each, the cursor, why nothing was done."""
    with dg.build_sensor_context(instance, cursor=cursor) as context:
        result = sensors.dvc_lock(context)
    if isinstance(result, dg.SkipReason):
        return [], context.cursor or "", str(result.skip_message)
    assert isinstance(result, dg.SensorResult)
    for event in result.asset_events:
        instance.report_runless_asset_event(event)
    return [(e.asset_key.path[-1], e.partition) for e in result.asset_events], result.cursor or "", ""


def both(*videos: str) -> list[tuple[str, str]]:
    return [(stage, video) for video in videos for stage in ("extracted_frames", "cleaned_labels")]


def test_many_outputs_are_reported_in_batches_and_each_once(
    project: Project, instance: dg.DagsterInstance, monkeypatch: pytest.MonkeyPatch
) -> None:
    cursor: str | None = None
    for expected in (both("v0", "v1"), both("v2", "v3"), both("v4")):
        events, cursor, _ = tick(instance, cursor)
        assert events == expected
        assert len(cursor) < 1000
    events, cursor, why = tick(instance, cursor)
    assert events == []
    assert why == "no new outputs in dvc.lock; not pulled: data/dataset: run `dvc pull`"

    # One video changed: the others are not even opened.
    opened = list[str]()
    read = sensors.DvcRepo.entries_in

    def entries_in(self: sensors.DvcRepo, folder: str, *, wait: bool = True) -> dict[str, Any]:
        opened.append(folder)
        return read(self, folder, wait=wait)

    monkeypatch.setattr(sensors.DvcRepo, "entries_in", entries_in)
    frames, labels, masks = "data/frames/v0", "data/labels/v0.parquet", "data/masks/v0.parquet"
    record(project.paths.pipeline("v0"), extracted_frames=frames, cleaned_labels=labels, masks=masks)
    events, cursor, _ = tick(instance, cursor)
    assert events == [("masks", "v0")]
    assert opened == ["videos/v0"]
    assert tick(instance, cursor)[0] == []
    assert opened == ["videos/v0"]

    # Without its file or its cursor it looks at everything, in batches, and Dagster has all of it.
    (project.paths.work("dvc") / "reported.json").unlink()
    for lost in (cursor, None):
        opened.clear()
        cursor = lost
        for _ in range(4):
            events, cursor, _ = tick(instance, cursor)
            assert events == []
        assert opened == [*(f"videos/{video}" for video in VIDEOS), "."]


def test_a_lost_cursor_and_a_cursor_of_the_version_before_start_anew(
    project: Project, instance: dg.DagsterInstance
) -> None:
    old = json.dumps({f"extracted_frames@{video}": "0" * 32 for video in VIDEOS})
    events, cursor, _ = tick(instance, old)
    assert events == both("v0", "v1")
    assert list(json.loads(cursor)["batch"]) == ["videos/v0", "videos/v1"]
    events, _, _ = tick(instance, None)
    assert events == [], "Dagster has the first batch already"


def test_events_that_dagster_did_not_take_are_reported_again(
    project: Project, instance: dg.DagsterInstance
) -> None:
    _, cursor, _ = tick(instance, None)
    with dg.build_sensor_context(instance, cursor=cursor) as context:
        lost = sensors.dvc_lock(context)
    assert isinstance(lost, dg.SensorResult)
    # The daemon died before it stored the events and the cursor.
    events, _, _ = tick(instance, cursor)
    assert events == both("v2", "v3")


def test_what_fails_is_tried_again_and_keeps_nothing_waiting(
    project: Project, instance: dg.DagsterInstance
) -> None:
    paths = Paths(project.paths.root)
    whole = paths.labels("v0").read_bytes()
    paths.labels("v0").write_bytes(b"no table")
    events, cursor, _ = tick(instance, None)
    assert events == [("extracted_frames", "v0"), *both("v1")]
    events, cursor, _ = tick(instance, cursor)
    assert events == both("v2", "v3")
    events, cursor, _ = tick(instance, cursor)
    assert events == both("v4")
    paths.labels("v0").write_bytes(whole)
    events, cursor, _ = tick(instance, cursor)
    assert events == [("cleaned_labels", "v0")]


def test_what_was_not_pulled_is_reported_once_it_is(project: Project, instance: dg.DagsterInstance) -> None:
    labels = project.paths.labels("v0")
    aside = labels.rename(labels.with_name("aside"))
    events, cursor, _ = tick(instance, None)
    assert events == [("extracted_frames", "v0"), *both("v1")]
    aside.rename(labels)
    events, cursor, _ = tick(instance, cursor)
    assert events == both("v2", "v3"), "each has its turn"
    events, cursor, _ = tick(instance, cursor)
    assert events == [*both("v4"), ("cleaned_labels", "v0")]
