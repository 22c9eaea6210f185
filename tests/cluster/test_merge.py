"""What nodes report goes into dvc.lock once, whatever the order in which it appears."""

import time

import dagster as dg
import pytest

from gotowce_dagster.assets.cluster import cluster_results
from gotowce_dagster.cluster import merge as merging
from gotowce_dagster.cluster.merge import Cursor, merge
from gotowce_dagster.cluster.records import LOCK_ENTRY, recorded
from gotowce_dagster.config.project import Project
from gotowce_dagster.intake.dvc_repo import DvcRepo, LockBusyError
from tests.support.ticks import tick

pytestmark = pytest.mark.integration

VIDEOS = ["a", "b"]


@pytest.fixture
def driver(clone: Project) -> Project:
    for video in VIDEOS:
        clone.paths.pipeline(video).mkdir()
    return clone


def entry(stage: str, video: str, digest: str) -> dict:
    out = {"path": f"data/{stage}/{video}", "hash": "md5", "md5": digest * 32, "size": 1}
    return {"cmd": f"gotowce stage {stage} {video}", "outs": [out]}


def report(instance: dg.DagsterInstance, stage: str, video: str, digest: str | None) -> None:
    metadata = {} if digest is None else {LOCK_ENTRY: dg.MetadataValue.json(entry(stage, video, digest))}
    instance.report_runless_asset_event(dg.AssetMaterialization(stage, partition=video, metadata=metadata))


def test_each_entry_is_merged_once_and_the_last_one_stays(driver: Project) -> None:
    repo = DvcRepo(driver.paths.root)
    with dg.DagsterInstance.ephemeral() as instance:
        report(instance, "masks", "a", "1")
        report(instance, "masks", "a", "2")
        report(instance, "masks", "gone", "3")
        report(instance, "cleaned_labels", "b", "4")
        now = time.time()
        merged, cursor = merge(instance, driver.paths, VIDEOS, Cursor(), now)
        assert sorted(merged.entries) == ["cleaned_labels@b", "masks@a"]
        assert merged.unknown == ["masks@gone"]
        assert repo.entries_in("videos/a") == {"masks": entry("masks", "a", "2")}
        assert not (driver.paths.pipeline("gone")).exists()

        # A minute later the cursor is past them; what comes then is merged alone.
        merged, cursor = merge(instance, driver.paths, VIDEOS, cursor, now + 120)
        assert merged.entries == []
        assert cursor.stages["masks"].later == []
        report(instance, "masks", "a", "5")
        merged, cursor = merge(instance, driver.paths, VIDEOS, Cursor.parse(cursor.model_dump_json()), now)
        assert merged.entries == ["masks@a"]
        assert repo.entries_in("videos/a") == {"masks": entry("masks", "a", "5")}


def test_an_event_that_appears_late_is_not_passed_over(
    driver: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    """PostgreSQL gives ids before a transaction ends."""
    events = merging._events
    with dg.DagsterInstance.ephemeral() as instance:
        report(instance, "masks", "a", "1")
        report(instance, "masks", "b", "2")
        with monkeypatch.context() as patch:
            patch.setattr(merging, "_events", lambda *given: events(*given)[1:])
            merged, cursor = merge(instance, driver.paths, VIDEOS, Cursor(), time.time())
        assert merged.entries == ["masks@b"]
        assert merge(instance, driver.paths, VIDEOS, cursor, time.time())[0].entries == ["masks@a"]


def test_what_the_driver_made_since_is_kept(driver: Project) -> None:
    with dg.DagsterInstance.ephemeral() as instance:
        report(instance, "masks", "a", "1")
        report(instance, "masks", "a", None)
        assert merge(instance, driver.paths, VIDEOS, Cursor(), time.time())[0].entries == []
        assert recorded(instance, "a") == {}


def test_a_lock_in_use_is_left_for_the_next_time(driver: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    def busy(*_: object, **__: object) -> None:
        raise LockBusyError("in use")

    with dg.DagsterInstance.ephemeral() as instance:
        report(instance, "masks", "a", "1")
        with monkeypatch.context() as patch:
            patch.setattr(DvcRepo, "replace_entries", busy)
            merged, cursor = merge(instance, driver.paths, VIDEOS, Cursor(), time.time())
        assert merged.entries == []
        merged, _ = merge(instance, driver.paths, VIDEOS, cursor, time.time() + 120)
        assert merged.entries == ["masks@a"]


def test_without_a_cluster_the_sensor_reads_nothing(driver: Project) -> None:
    with dg.DagsterInstance.ephemeral() as instance:
        report(instance, "masks", "a", "1")
        result, cursor = tick(cluster_results, instance)
    assert isinstance(result, dg.SkipReason)
    assert result.skip_message == "this project has no cluster"
    assert cursor is None
    assert not (driver.paths.pipeline("a") / "dvc.lock").exists()
