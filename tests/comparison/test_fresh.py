"""Isolated runs in real processes: no detector affects the others, and each gets its row."""

import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import psutil
import pytest

from gotowce_dagster.comparison.fresh import run_fresh
from gotowce_dagster.comparison.job import EVENTS
from tests.comparison.jobs import MANY, job
from tests.conftest import ROOT

pytestmark = pytest.mark.integration


@pytest.fixture(autouse=True)
def _findable(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTHONPATH", str(ROOT))


def test_a_good_detector(tmp_path: Path) -> None:
    calls: list[tuple[int, int]] = []
    run = run_fresh(job(tmp_path, "good", limits=MANY), tmp_path / "run", 60, lambda *now: calls.append(now))
    assert (run.status, run.reason) == ("ran", "")
    assert list(run.found) == [("a", 0), ("a", 1), ("a", 2)]
    assert run.found["a", 1].xyxy.tolist() == [[10, 10, 30, 30]]
    assert len(run.seconds) == 3
    assert [batch["size"] for batch in run.batches] == [1, 2, 4]
    assert calls[-1] == (3, 3)


def test_memory_is_measured_per_process(tmp_path: Path) -> None:
    """On Linux a child's ru_maxrss starts at its parent's peak: 800 MB here."""
    mine = bytearray(b"1" * 800_000_000)
    run = run_fresh(job(tmp_path, "greedy", limits=MANY), tmp_path / "run", 60)
    alone = run.frames[-1]["memory_mb"]
    assert 1e6 * alone < 0.7 * len(mine)
    assert run.batches[-1]["memory_mb"] > alone + 100, "what many at once take is apart"


@pytest.mark.parametrize(
    ("rogue", "status", "reason", "frames"),
    [
        ("not_here", "cannot run", "rogue.pt: not here; fetch it", 0),
        ("broken", "failed", "ZeroDivisionError: no such thing", 0),
        ("leaves", "failed", "out of luck", 0),
        ("crashes", "killed", "by SIGSEGV, after 1 of 3 frames", 1),
        ("silent", "failed", "on every frame: ValueError: 0 results for 1 images", 3),
        ("costs", "stopped", "the budget is spent (after 2 of 3 frames)", 2),
    ],
)
def test_failures_are_reported(tmp_path: Path, rogue: str, status: str, reason: str, frames: int) -> None:
    run = run_fresh(job(tmp_path, rogue, settings={"budget": 0.5}), tmp_path / "run", 60)
    assert (run.status, run.reason, len(run.frames)) == (status, reason, frames)


def test_a_hanging_detector_is_killed_and_keeps_its_results(tmp_path: Path) -> None:
    start = time.monotonic()
    run = run_fresh(job(tmp_path, "hangs"), tmp_path / "run", 8)
    assert (run.status, run.reason) == ("timed out", "after 8 s and 1 of 3 frames")
    assert len(run.found) == 1
    assert time.monotonic() - start < 20


def test_it_ends_with_its_parent_process(tmp_path: Path) -> None:
    calls = job(tmp_path, "hangs").model_dump_json()
    script = (
        "import sys; from pathlib import Path; from gotowce_dagster.comparison.fresh import run_fresh; "
        "from gotowce_dagster.comparison.job import Job; "
        "run_fresh(Job.model_validate_json(sys.argv[1]), Path(sys.argv[2]), 120)"
    )
    folder = tmp_path / "run"
    starter = subprocess.Popen([sys.executable, "-c", script, calls, str(folder)])
    try:
        _wait_until(lambda: (folder / EVENTS).exists() and '"frame"' in (folder / EVENTS).read_text())
        (worker,) = psutil.Process(starter.pid).children()
    finally:
        starter.kill()
        starter.wait()
    _wait_until(lambda: not worker.is_running())


def _wait_until(happened: Callable[[], bool]) -> None:
    end = time.monotonic() + 60
    while not happened():
        assert time.monotonic() < end
        time.sleep(0.05)


def test_unparseable_responses_are_reported(tmp_path: Path) -> None:
    run = run_fresh(job(tmp_path, "costs", settings={"budget": 9}), tmp_path / "run", 60)
    assert (run.status, run.reason) == ("ran", "1 of 3 responses were unparseable")
