"""A few kills of `dvc repro` on every change; `make test-faults` makes thirty, under Dagster too."""

import os
from pathlib import Path

import pytest

from tests.faults.campaign import campaign

IN_FAULTS = pytest.mark.skipif("FAULTS" not in os.environ, reason="runs with `make test-faults`: minutes")
pytestmark = [pytest.mark.integration, pytest.mark.timeout(1800)]


@pytest.mark.parametrize("way", ["dvc", pytest.param("dagster", marks=IN_FAULTS)])
def test_killed_commands_lose_nothing(tmp_path: Path, way: str) -> None:
    report = campaign(tmp_path, kills=3, seed=7, ways=[way], a_round=3, labels_only=True)
    print(report)
    assert report.problems == []
    assert len(report.outcomes) >= 3
    if way == "dvc":  # killed in the middle of writing dvc.lock: emptied, then cut
        torn = [outcome for outcome in report.outcomes if outcome.kill.nth and outcome.command == "repro"]
        assert [outcome.then for outcome in torn][:2] == ["repaired, went on"] * 2
