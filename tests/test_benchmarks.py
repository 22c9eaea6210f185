"""Every benchmark still runs, on small inputs; and one that fails is seen."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from benchmarks.run_all import BENCHMARKS
from tests.conftest import ROOT

_PARTS = {"run_all", "ratios", "truth_rows", "erase_classifiers", "stand_ins"}
"""Modules of the folder that measure nothing by themselves."""


def run_all(out: Path, *words: str) -> tuple[int, str, dict[str, str]]:
    """What all benchmarks end with when they run quickly, what they print, and the outcome of each."""
    environment = {name: value for name, value in os.environ.items() if name != "LABEL_STUDIO_URL"}
    done = subprocess.run(
        [sys.executable, "-m", "benchmarks.run_all", "--quick", "--out", out, *words],
        cwd=ROOT,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    rows = re.findall(r"^\| (\w+) \| \d+ \| \d+ \| (.*) \|$", (out / "ratios.md").read_text("utf-8"), re.M)
    return done.returncode, done.stdout, dict(rows)


def test_every_module_is_listed() -> None:
    modules = {path.stem for path in (ROOT / "benchmarks").glob("*.py")}
    assert {benchmark.name for benchmark in BENCHMARKS} == modules - _PARTS


@pytest.mark.slow
@pytest.mark.weights
@pytest.mark.integration
def test_every_benchmark_runs(tmp_path: Path) -> None:
    code, printed, outcomes = run_all(tmp_path)
    left_out = {one.name for one in BENCHMARKS if one.by_hand or one.server}
    assert {name: outcome for name, outcome in outcomes.items() if outcome != "ran"}.keys() == left_out, (
        printed
    )
    assert all(outcomes[name].startswith("not run: ") for name in left_out)
    assert code == 0


@pytest.mark.slow
@pytest.mark.integration
def test_failure_is_seen(tmp_path: Path) -> None:
    """A folder of clips without ground truth."""
    code, printed, outcomes = run_all(
        tmp_path, "--only", "scale", "designator_accuracy", "--footage", str(tmp_path)
    )
    assert "truth.csv" in printed
    assert outcomes == {
        "scale": "ran",
        "designator_accuracy": "failed with 1, see designator_accuracy.log",
    }
    assert code == 1
