import json
from pathlib import Path

import pytest

from gotowce_dagster.cli import demonstration
from gotowce_dagster.config.project import Project
from gotowce_dagster.stages.table import STAGES
from tests.cli.running import run


def test_demo_speaks_json(
    clone: Project, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
) -> None:
    monkeypatch.setattr(demonstration, "_execute", lambda instance, job, video: [])
    assert run(monkeypatch, "demo", "--json") == 0
    told = json.loads(capsys.readouterr().out)
    assert Path(told["report"]).name == "report.html"
    assert "not made" in told["stages"]["masks@naev_hostile_sample"]
    assert set(STAGES) == {name.partition("@")[0] for name in told["stages"]}


def test_a_stage_without_output_is_shown_with_its_reason(
    clone: Project, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
) -> None:
    monkeypatch.setattr(
        demonstration, "_previews", lambda project: iter([("masks@a", {"not made": "no file"})])
    )
    demonstration._show(clone)
    assert "not made: no file" in capsys.readouterr().out
