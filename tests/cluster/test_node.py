"""Nodes that share an event log and a DVC remote, and nothing else."""

import shutil
import time
from collections.abc import Iterator
from pathlib import Path

import dagster as dg
import pytest

from gotowce_dagster.cluster.merge import Cursor, merge
from gotowce_dagster.cluster.node import COMPUTED, CURRENT, bring_up_to_date
from gotowce_dagster.cluster.records import OF_VIDEO, recorded
from gotowce_dagster.config.project import Project
from gotowce_dagster.intake.dvc_remote import RemoteError, SharedRepo
from gotowce_dagster.intake.dvc_repo import DvcRepo
from gotowce_dagster.intake.pipelines import stage_address
from tests.assets.test_one_pipeline import change
from tests.cluster.projects import make_driver, on_node, project_of
from tests.test_second_person import run

pytestmark = [pytest.mark.integration, pytest.mark.timeout(600)]

FIRST, REST = ["raw_videos", "extracted_frames", "designator_detections"], ["masks", "cleaned_labels"]


@pytest.fixture
def instance() -> Iterator[dg.DagsterInstance]:
    """An instance with the partition of one video."""
    with dg.DagsterInstance.ephemeral() as made:
        made.add_dynamic_partitions("videos", ["scene_1"])
        yield made


def test_two_nodes_share_a_video_and_the_driver_records_it(
    clone: Project, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    driver = make_driver(clone, tmp_path, videos=1)
    a, b, c = (tmp_path / name for name in "abc")
    with dg.DagsterInstance.ephemeral() as instance:
        instance.add_dynamic_partitions("videos", ["scene_1"])
        hows = on_node(driver, "scene_1", a, instance, monkeypatch, FIRST)
        assert hows == dict.fromkeys(FIRST[1:], COMPUTED)
        shutil.rmtree(a)

        # The second node pulls what the first one made, and computes only the rest.
        hows = on_node(driver, "scene_1", b, instance, monkeypatch, REST)
        assert hows == dict.fromkeys(REST, COMPUTED)
        assert len(list(project_of(b).paths.frames("scene_1").glob("*.jpg"))) > 1

        # A node that has nothing but a check to repeat pulls what the check reads.
        check = "designator_detections_detection_rate_plausible"
        assert on_node(driver, "scene_1", tmp_path / "check", instance, monkeypatch, [check]) == {}

        # The third one finds everything current, before it has any data.
        assert on_node(driver, "scene_1", c, instance, monkeypatch) == dict.fromkeys(OF_VIDEO, CURRENT)

        # The driver records it without having it, as `dvc repro` does on one machine.
        merged, cursor = merge(instance, driver.paths, ["scene_1"], Cursor(), time.time())
        assert sorted(merged.entries) == sorted(f"{stage}@scene_1" for stage in OF_VIDEO)
        assert merge(instance, driver.paths, ["scene_1"], cursor, time.time())[0].entries == []
        entries = dict(DvcRepo(driver.paths.root).entries_in("videos/scene_1"))
        assert entries == recorded(instance, "scene_1")
        assert not driver.paths.frames("scene_1").exists()
        pipeline = "videos/scene_1/dvc.yaml"
        would_run = run(driver.paths.root, "dvc", "repro", "--allow-missing", "--dry", pipeline)
        assert "Running stage" not in would_run
        run(driver.paths.root, "dvc", "pull", pipeline)
        assert run(driver.paths.root, "dvc", "status", pipeline).strip().endswith("up to date.")

        lock = driver.paths.pipeline("scene_1") / "dvc.lock"
        lock.unlink()
        shutil.rmtree(driver.paths.root / ".dvc" / "cache" / "runs")
        run(driver.paths.root, "dvc", "repro", "--force", pipeline)
        assert dict(DvcRepo(driver.paths.root).entries_in("videos/scene_1")) == entries


def test_entries_of_other_inputs_and_parameters_are_not_current(
    clone: Project, tmp_path: Path, instance: dg.DagsterInstance, monkeypatch: pytest.MonkeyPatch
) -> None:
    """DVC's --allow-missing takes a missing input for an unchanged one."""
    driver = make_driver(clone, tmp_path, videos=1)
    on_node(driver, "scene_1", tmp_path / "a", instance, monkeypatch)
    entries = recorded(instance, "scene_1")

    # A changed parameter is computed again on any node.
    params = driver.paths.params.read_bytes()
    change(driver, designator_detections={"max_per_frame": 7.0})
    hows = on_node(Project(driver.paths), "scene_1", tmp_path / "b", instance, monkeypatch, FIRST)
    assert hows["extracted_frames"] == CURRENT
    assert hows["designator_detections"] == COMPUTED
    driver.paths.params.write_bytes(params)

    repo, name = SharedRepo(driver.paths.root), stage_address("designator_detections", "scene_1")
    assert not repo.has_current_entry(name)
    repo.replace_entries("videos/scene_1", (), entries)
    assert repo.has_current_entry(name)
    frames = entries["extracted_frames"]
    other = frames | {"outs": [frames["outs"][0] | {"md5": "0" * 32 + ".dir"}]}
    repo.replace_entries("videos/scene_1", (), {"extracted_frames": other})
    assert not repo.has_current_entry(name)
    repo.replace_entries("videos/scene_1", (), {"extracted_frames": frames})
    driver.raw_path("scene_1").unlink()
    assert repo.has_current_entry(name)
    pointer = driver.paths.raw / "scene_1.mp4.dvc"
    pointer.write_text(pointer.read_text().replace("md5: ", "md5: 00000000")[:200], encoding="utf-8")
    assert not repo.has_current_entry(name)


def test_what_was_computed_but_not_pushed_is_pushed_by_the_next_try(
    clone: Project, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    driver = make_driver(clone, tmp_path, videos=1)
    repo, remote = SharedRepo(driver.paths.root), tmp_path / "remote"
    runs = []

    def extract() -> None:
        runs.append(1)
        driver.paths.frames("scene_1").mkdir(parents=True)
        (driver.paths.frames("scene_1") / "0.jpg").write_text("a frame")

    run(driver.paths.root, "gotowce", "sync", "--code")
    with dg.DagsterInstance.ephemeral() as instance:
        moved = remote.rename(tmp_path / "away")
        remote.write_text("not a folder")
        with pytest.raises(RemoteError, match="cannot be pushed"):
            bring_up_to_date(instance, driver, "extracted_frames", "scene_1", extract)
        remote.unlink()
        moved.rename(remote)
        assert bring_up_to_date(instance, driver, "extracted_frames", "scene_1", extract) == CURRENT
    assert runs == [1]
    shutil.rmtree(driver.paths.frames("scene_1"))
    shutil.rmtree(driver.paths.root / ".dvc" / "cache")
    repo.pull(["data/frames/scene_1"])
    assert (driver.paths.frames("scene_1") / "0.jpg").read_text() == "a frame"
    shutil.rmtree(remote)
    shutil.rmtree(driver.paths.root / ".dvc" / "cache")
    shutil.rmtree(driver.paths.frames("scene_1"))
    with pytest.raises(RemoteError, match=r"data/frames/scene_1: cannot be pulled .*`dvc push`"):
        repo.pull(["data/frames/scene_1"])
