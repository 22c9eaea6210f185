import os
import subprocess
import sys
import time

import dagster as dg
import pytest

from gotowce_dagster.assets.sensors import dvc_lock, new_videos
from gotowce_dagster.dvc_repo import DvcRepo
from gotowce_dagster.project import Project
from tests.test_intake import film, videos_of

pytestmark = pytest.mark.integration


def _tick(
    instance: dg.DagsterInstance, cursor: str | None = None
) -> tuple[dg.SensorResult | dg.SkipReason, str | None]:
    with dg.build_sensor_context(instance, cursor=cursor) as context:
        result = new_videos(context)
        assert isinstance(result, dg.SensorResult | dg.SkipReason)
        return result, result.cursor if isinstance(result, dg.SensorResult) else context.cursor


def test_a_new_file_waits_for_its_copy_to_end_then_is_labelled_once(clone: Project) -> None:
    with dg.DagsterInstance.ephemeral() as instance:
        path = film(clone.paths.raw / "New Clip.mp4")
        whole = path.read_bytes()
        path.write_bytes(whole[: len(whole) // 2])
        result, cursor = _tick(instance)
        assert isinstance(result, dg.SkipReason)
        assert "New Clip.mp4" in str(result.skip_message)

        path.write_bytes(whole)
        os.utime(path, (0, 0))  # the time stamp of the original, as some copiers set it: only the size tells
        result, cursor = _tick(instance, cursor)
        assert isinstance(result, dg.SkipReason)

        result, cursor = _tick(instance, cursor)
        assert isinstance(result, dg.SensorResult)
        assert [request.partition_key for request in result.run_requests or []] == ["new_clip"]
        assert list(videos_of(clone)) == ["new_clip"]
        instance.add_dynamic_partitions("videos", ["new_clip"])
        result, _ = _tick(instance, cursor)
        assert isinstance(result, dg.SkipReason)


def test_a_file_that_still_grows_is_left_alone(clone: Project) -> None:
    path = film(clone.paths.raw / "clip.mp4")
    os.utime(path, (time.time(), time.time()))
    with dg.DagsterInstance.ephemeral() as instance:
        result, _ = _tick(instance)
        assert isinstance(result, dg.SkipReason)
        assert videos_of(clone) == {}


HOLDER = """
import sys
from dvc.lock import make_lock

with make_lock(".dvc/tmp/lock"):
    print("held", flush=True)
    sys.stdin.read()
"""


def test_a_lock_that_is_being_written_is_read_again_later(clone: Project) -> None:
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
        result, _ = _tick(instance)
        assert isinstance(result, dg.SkipReason)
        assert "dvc.lock is being written" in str(result.skip_message)
        with dg.build_sensor_context(instance) as context:
            assert isinstance(dvc_lock(context), dg.SkipReason)
        holder.communicate("")

        # Whoever wrote it is gone, and so is its end: it is repaired, and nothing waits for ever.
        result, _ = _tick(instance)
        assert isinstance(result, dg.SensorResult)
        assert [request.partition_key for request in result.run_requests or []] == ["clip"]
        assert DvcRepo(clone.paths.root).lock_entries() == {}
        assert (clone.paths.work("dvc") / "dvc.lock.cut").read_text(encoding="utf-8") == cut
