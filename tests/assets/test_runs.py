"""Killed runs: recognised, and what they held is free again; real processes, the project's own settings."""

import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import dagster as dg
import pytest

from gotowce_dagster.assets.runs import alive, release_dead_runs, watched_in_process_executor
from tests.conftest import ROOT

pytestmark = [pytest.mark.integration, pytest.mark.timeout(300)]

JOBS = """
import time
from pathlib import Path
import dagster as dg
from gotowce_dagster.assets import runs

runs._EVERY_S = 1.0

@dg.op(pool="gpu")
def work(context):
    Path("started").write_text(context.run_id)
    while Path("wait").exists():
        time.sleep(0.05)

@dg.job(executor_def=runs.watched_in_process_executor)
def hard():
    work()
"""


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with a job whose one step is in the pool, and an instance with our settings."""
    (tmp_path / "home").mkdir()
    shutil.copyfile(ROOT / ".dagster" / "dagster.yaml", tmp_path / "home" / "dagster.yaml")
    (tmp_path / "jobs.py").write_text(JOBS)
    monkeypatch.setenv("DAGSTER_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    monkeypatch.chdir(tmp_path)
    return tmp_path


def start() -> subprocess.Popen:
    return subprocess.Popen(
        [sys.executable, "-m", "dagster", "job", "execute", "-f", "jobs.py", "-j", "hard"],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )


def started(folder: Path, run: subprocess.Popen) -> str:
    """Wait until the step runs; the run's id."""
    while not (text := (folder / "started").read_text() if (folder / "started").exists() else ""):
        assert run.poll() is None
        time.sleep(0.05)
    (folder / "started").unlink()
    return text


def cpu_seconds(run: subprocess.Popen) -> float:
    """What a process has used so far."""
    fields = Path(f"/proc/{run.pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def statuses(instance: dg.DagsterInstance) -> dict[str, dg.DagsterRunStatus]:
    return {run.run_id: run.status for run in instance.get_runs()}


def slots(instance: dg.DagsterInstance) -> set[str]:
    return set(instance.event_log_storage.get_concurrency_run_ids())


def test_a_new_run_goes_through_after_one_was_killed_in_a_pooled_step(folder: Path) -> None:
    (folder / "wait").touch()
    first = start()
    killed = started(folder, first)
    with dg.DagsterInstance.get() as instance:
        assert release_dead_runs(instance) == [], "it lives"
        assert slots(instance) == {killed}
        # A second one waits for the slot when the first is killed: it must notice by itself.
        second = start()
        while not instance.event_log_storage.get_concurrency_info("gpu").pending_step_count:
            time.sleep(0.1)
        before = cpu_seconds(second)
        time.sleep(3)
        assert cpu_seconds(second) - before < 0.2, "it sleeps"
        first.send_signal(signal.SIGKILL)
        first.wait()
        (folder / "wait").unlink()
        assert second.wait(120) == 0
        third = start()
        assert third.wait(120) == 0
        found = statuses(instance)
        assert found.pop(killed) == dg.DagsterRunStatus.FAILURE
        assert set(found.values()) == {dg.DagsterRunStatus.SUCCESS}
        assert slots(instance) == set()
        release_dead_runs(instance)
        assert list((folder / "home" / "alive").iterdir()) == []


def test_a_run_that_was_killed_keeps_no_place_in_the_queue(folder: Path) -> None:
    (folder / "wait").touch()
    first = start()
    killed = started(folder, first)
    first.send_signal(signal.SIGKILL)
    first.wait()
    with dg.DagsterInstance.get() as instance:
        assert statuses(instance)[killed] == dg.DagsterRunStatus.STARTED
        assert release_dead_runs(instance) == [killed]  # what the sensor `dead_runs` calls
        assert statuses(instance)[killed] == dg.DagsterRunStatus.FAILURE
        assert slots(instance) == set()


@dg.op
def _nothing() -> None:
    pass


@dg.job(executor_def=watched_in_process_executor)
def _idle() -> None:
    _nothing()


def test_a_run_of_which_nothing_is_known_is_left_alone(folder: Path) -> None:
    with dg.DagsterInstance.get() as instance:
        run = instance.create_run_for_job(_idle, status=dg.DagsterRunStatus.STARTED)
        assert release_dead_runs(instance) == []
        assert statuses(instance)[run.run_id] == dg.DagsterRunStatus.STARTED


def test_a_run_in_this_process_counts_as_living(folder: Path) -> None:
    with dg.DagsterInstance.get() as instance:
        run = instance.create_run_for_job(_idle, status=dg.DagsterRunStatus.STARTED)
        with alive(instance, run.run_id, every_s=0.1):
            time.sleep(0.5)
            assert release_dead_runs(instance) == []
        assert release_dead_runs(instance) == []
        assert [file.name for file in (folder / "home" / "alive").iterdir()] == [run.run_id]
