import json
from pathlib import Path

import dagster as dg
import pytest

from gotowce_dagster.assets.checks import sees_targets_not_marks
from tests.worlds import make_world


@pytest.mark.parametrize(
    ("recalls", "passed", "message"),
    [
        ({"marked_recall": 0.8, "erased_recall": 0.78, "marked_targets": 20}, True, "passed"),
        ({"marked_recall": 0.8, "erased_recall": 0.6, "marked_targets": 20}, False, "has learned the mark"),
        ({"marked_recall": 0.0, "erased_recall": 0.0, "marked_targets": 20}, False, "finds none of the 20"),
        ({}, False, "unmeasured"),
    ],
    ids=["sees targets", "sees marks", "sees nothing", "unmeasured"],
)
def test_a_detector_of_marks_is_warned_of(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, recalls: dict, passed: bool, message: str
) -> None:
    made = make_world(tmp_path, {})
    monkeypatch.setenv("GOTOWCE_ROOT", str(tmp_path))
    made.paths.evaluation.mkdir()
    metrics = {"recalls": {"truth": "labels of the test split", "all": recalls, "apart": {}}}
    (made.paths.evaluation / "metrics.json").write_text(json.dumps(metrics))
    result = sees_targets_not_marks()
    assert isinstance(result, dg.AssetCheckResult)
    assert result.passed == passed
    assert result.severity == dg.AssetCheckSeverity.WARN
    assert message in (result.description or "")
