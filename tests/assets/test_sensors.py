import json
import os
import subprocess
import sys
import time
from pathlib import Path

import dagster as dg
import pytest

from gotowce_dagster.assets.reporting import log_progress
from gotowce_dagster.assets.sensors import dvc_lock, new_videos, reviews
from gotowce_dagster.assets.videos import extracted_frames, raw_videos
from gotowce_dagster.config.project import Project
from gotowce_dagster.definitions import defs
from gotowce_dagster.intake import videos as intake
from gotowce_dagster.intake.dvc_repo import DvcRepo
from gotowce_dagster.intake.pipelines import stage_address
from gotowce_dagster.intake.removal import remove
from gotowce_dagster.stages import extracted_frames as extract_stage
from tests.intake.test_videos import film, videos_of
from tests.support.ticks import tick

pytestmark = pytest.mark.integration


def test_a_new_file_waits_for_its_copy_to_end_then_is_labelled_once(clone: Project) -> None:
    with dg.DagsterInstance.ephemeral() as instance:
        path = film(clone.paths.raw / "New Clip.mp4")
        whole = path.read_bytes()
        path.write_bytes(whole[: len(whole) // 2])
        result, cursor = tick(new_videos, instance)
        assert isinstance(result, dg.SkipReason)
        assert "New Clip.mp4" in str(result.skip_message)

        path.write_bytes(whole)
        os.utime(path, (0, 0))  # the time stamp of the original, as some copiers set it: only the size tells
        result, cursor = tick(new_videos, instance, cursor)
        assert isinstance(result, dg.SkipReason)

        result, cursor = tick(new_videos, instance, cursor)
        assert isinstance(result, dg.SensorResult)
        assert [request.partition_key for request in result.run_requests or []] == ["new_clip"]
        assert list(videos_of(clone)) == ["new_clip"]
        instance.add_dynamic_partitions("videos", ["new_clip"])
        result, _ = tick(new_videos, instance, cursor)
        assert isinstance(result, dg.SkipReason)


def test_a_file_that_still_grows_is_left_alone(clone: Project) -> None:
    path = film(clone.paths.raw / "clip.mp4")
    os.utime(path, (time.time(), time.time()))
    with dg.DagsterInstance.ephemeral() as instance:
        result, _ = tick(new_videos, instance)
        assert isinstance(result, dg.SkipReason)
        assert videos_of(clone) == {}


def test_a_project_without_reviews_has_its_reviewed_labels_once(clone: Project, tmp_path: Path) -> None:
    """Otherwise Dagster warns before the first training that it may fail."""
    with dg.DagsterInstance.ephemeral() as instance:
        assert isinstance(tick(reviews, instance)[0], dg.SkipReason), "without a video nothing is reported"
        intake.add(clone, film(tmp_path / "duel.mp4"))
        intake.sync(clone)
        result, cursor = tick(reviews, instance)
        assert isinstance(result, dg.SensorResult)
        (event,) = result.asset_events
        assert isinstance(event, dg.AssetMaterialization)
        assert event.asset_key == dg.AssetKey("reviewed_labels")
        assert event.metadata["how"].value == "no reviews yet: labels count as they are"
        assert event.metadata["frames_reviewed"].value == 0
        instance.report_runless_asset_event(event)
        assert isinstance(tick(reviews, instance, cursor)[0], dg.SkipReason)


HOLDER = """
import sys
from dvc.lock import make_lock

with make_lock(".dvc/tmp/lock"):
    print("held", flush=True)
    sys.stdin.read()
"""


def test_a_lock_that_is_being_written_is_read_again_later(
    clone: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("dvc.lock.DEFAULT_TIMEOUT", 0.5)
    os.utime(film(clone.paths.raw / "clip.mp4"), (0, 0))
    DvcRepo(clone.paths.root).stale()  # makes .dvc/tmp
    cut = "schema: '2.0'\nstages:\n  masks@a:\n    cmd: 'x"
    (clone.paths.root / "dvc.lock").write_text(cut, encoding="utf-8")
    with dg.DagsterInstance.ephemeral() as instance:
        holder = subprocess.Popen(
            [sys.executable, "-c", HOLDER],
            cwd=clone.paths.root,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        assert holder.stdout is not None
        holder.stdout.readline()
        result, _ = tick(new_videos, instance)
        assert isinstance(result, dg.SkipReason)
        assert "dvc.lock is being written" in str(result.skip_message)
        with dg.build_sensor_context(instance) as context:
            assert isinstance(dvc_lock(context), dg.SkipReason)
        holder.communicate("")

        # Its writer was killed and its end is missing: it is repaired, and nothing waits forever.
        result, _ = tick(new_videos, instance)
        assert isinstance(result, dg.SensorResult)
        assert [request.partition_key for request in result.run_requests or []] == ["clip"]
        assert list(DvcRepo(clone.paths.root).lock_entries()) == ["code/dvc.yaml:code"]
        assert (clone.paths.work("dvc") / "dvc.lock.cut").read_text(encoding="utf-8") == cut


def test_bad_entries_do_not_keep_a_new_video_from_its_partition(clone: Project) -> None:
    (clone.paths.raw / "broken.mp4").symlink_to("nowhere")
    (clone.paths.raw / "sub.mp4").mkdir()
    (clone.paths.raw / "notes.txt").write_text("text")
    for name, kind in (("rec.mkv", "matroska"), ("rec.mp4", "mp4"), ("09-11-2024 20-15", "mp4")):
        os.utime(film(clone.paths.raw / name, kind=kind), (0, 0))
    os.utime(film(clone.paths.raw / "08.mp4", shade=30), (0, 0))
    film(clone.paths.raw / "growing.mp4", shade=60)
    with dg.DagsterInstance.ephemeral() as instance:
        result, cursor = tick(new_videos, instance)
        assert isinstance(result, dg.SensorResult)
        new = ["rec", "v_08", "v_09_11_2024_20_15"]
        assert [request.partition_key for request in result.run_requests or []] == new
        assert list(videos_of(clone)) == new
        assert (clone.paths.raw / "growing.mp4").exists()
        instance.add_dynamic_partitions("videos", new)
        result, _ = tick(new_videos, instance, cursor)
        assert isinstance(result, dg.SkipReason)
        names = ("broken.mp4", "sub.mp4", "notes.txt", "rec.mp4", "growing.mp4")
        assert all(name in str(result.skip_message) for name in names)

        # The partition of such a name works, in Dagster and in DVC.
        made = dg.materialize(
            [raw_videos, extracted_frames],
            instance=instance,
            partition_key="v_08",
            resources={"progress": log_progress},
        )
        assert made.success
        repo = DvcRepo(clone.paths.root)
        assert repo.is_current(stage_address("extracted_frames", "v_08"))
        assert not repo.is_current(stage_address("extracted_frames", "v_09_11_2024_20_15"))


def test_one_broken_result_does_not_keep_the_others_from_being_reported(clone: Project) -> None:
    videos = ("good", "bad")
    for name in videos:
        os.utime(film(clone.paths.raw / f"{name}.mp4", shade=30 + 50 * (name == "bad")), (0, 0))
    with dg.DagsterInstance.ephemeral() as instance:
        tick(new_videos, instance)
        instance.add_dynamic_partitions("videos", ["good", "bad"])
        extract_stage.run(Project(clone.paths), "good")
        extract_stage.run(Project(clone.paths), "bad")
        (clone.paths.frames("bad") / "video.json").write_text("[" * 100_000)
        for name in videos:
            outs = [{"path": f"data/frames/{name}", "md5": "5d.dir", "size": 5, "nfiles": 1}]
            lock = {"schema": "2.0", "stages": {"extracted_frames": {"cmd": "x", "outs": outs}}}
            (clone.paths.pipeline(name) / "dvc.lock").write_text(json.dumps(lock) + "\n")
        with dg.build_sensor_context(instance) as context:
            result = dvc_lock(context)
            assert isinstance(result, dg.SensorResult), result
            events = result.asset_events
            assert [(event.asset_key.path, event.partition) for event in events] == [
                (["extracted_frames"], "good")
            ]
            batch = json.loads(result.cursor or "{}")["batch"]
            assert {folder: list(record["stages"]) for folder, record in batch.items()} == {
                "videos/good": ["extracted_frames"],
                "videos/bad": [],
            }


def _track_absent(project: Project, name: str) -> None:
    """A video that is tracked and not pulled, with a recognised content."""
    path = film(project.paths.raw / name)
    DvcRepo(project.paths.root).track(path)
    path.unlink()


def test_a_video_that_is_not_pulled_has_a_partition_and_is_labelled_once_it_is_here(clone: Project) -> None:
    _track_absent(clone, "duel.mp4")
    with dg.DagsterInstance.ephemeral() as instance:
        result, cursor = tick(new_videos, instance)
        assert isinstance(result, dg.SensorResult)
        assert result.run_requests == []
        (request,) = result.dynamic_partitions_requests or []
        assert request.partition_keys == ["duel"]
        instance.add_dynamic_partitions("videos", ["duel"])

        result, cursor = tick(new_videos, instance, cursor)
        assert isinstance(result, dg.SkipReason)
        assert "run `dvc pull data/raw/duel.mp4.dvc`" in str(result.skip_message)

        subprocess.run(["dvc", "pull", "-q", "data/raw/duel.mp4.dvc"], cwd=clone.paths.root, check=True)
        os.utime(clone.paths.raw / "duel.mp4", (0, 0))  # as if pulled long ago
        result, cursor = tick(new_videos, instance, cursor)
        assert isinstance(result, dg.SensorResult)
        assert [request.partition_key for request in result.run_requests or []] == ["duel"]
        result, _ = tick(new_videos, instance, cursor)
        assert isinstance(result, dg.SkipReason)


def test_the_partition_of_a_removed_video_is_deleted(clone: Project) -> None:
    os.utime(film(clone.paths.raw / "duel.mp4"), (0, 0))
    os.utime(film(clone.paths.raw / "rival.mp4", shade=30), (0, 0))
    with dg.DagsterInstance.ephemeral() as instance:
        _, cursor = tick(new_videos, instance)
        instance.add_dynamic_partitions("videos", ["duel", "rival"])
        remove(Project(clone.paths), "duel")
        os.utime(clone.paths.raw / "rival.mp4", (0, 0))  # DVC has linked it anew
        result, cursor = tick(new_videos, instance, cursor)
        assert isinstance(result, dg.SensorResult)
        assert result.run_requests == []
        (request,) = result.dynamic_partitions_requests or []
        assert isinstance(request, dg.DeleteDynamicPartitionsRequest)
        assert list(request.partition_keys) == ["duel"]


def test_a_video_added_again_is_labelled_again(clone: Project, tmp_path: Path) -> None:
    source = film(tmp_path / "duel.mp4")
    with dg.DagsterInstance.ephemeral() as instance:
        keys = []
        for _ in range(2):
            intake.add(clone, source)
            os.utime(clone.paths.raw / "duel.mp4", (0, 0))
            result, _ = tick(new_videos, instance)
            assert isinstance(result, dg.SensorResult)
            keys += [request.run_key for request in result.run_requests or []]
            remove(Project(clone.paths), "duel")
        assert len(set(keys)) == 2, "Dagster runs no key twice"


GONE = "no video named 'ghost'; known: duel"
ABSENT = "data/raw/duel.mp4: not pulled; run `dvc pull data/raw/duel.mp4.dvc`"


@pytest.mark.parametrize(
    ("asset", "video", "message"),
    [
        ("raw_videos", "ghost", GONE),
        ("extracted_frames", "ghost", GONE),
        ("masks", "ghost", GONE),
        ("cleaned_labels", "ghost", GONE),
        ("raw_videos", "duel", ABSENT),
        ("extracted_frames", "duel", ABSENT),
        ("masks", "duel", ABSENT),
    ],
)
def test_a_partition_without_its_video_fails_in_one_sentence(
    clone: Project, asset: str, video: str, message: str
) -> None:
    _track_absent(clone, "duel.mp4")
    intake.sync(clone)
    with dg.DagsterInstance.ephemeral() as instance:
        instance.add_dynamic_partitions("videos", ["ghost", "duel"])
        result = (
            defs()
            .resolve_job_def("label_videos")
            .execute_in_process(
                instance=instance,
                partition_key=video,
                raise_on_error=False,
                asset_selection=[dg.AssetKey(asset)],
            )
        )
        (event,) = (event for event in result.all_events if event.is_step_failure)
        failure = event.step_failure_data.user_failure_data
        assert failure is not None
        assert failure.description == message
        assert not [event for event in result.all_events if event.event_type_value == "STEP_UP_FOR_RETRY"]
