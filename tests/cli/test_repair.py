import json

import pytest

from gotowce_dagster.config.project import Project
from tests.cli.running import run


def test_repair_tells_what_it_did_and_what_it_need_not_do(
    clone: Project, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
) -> None:
    (clone.paths.root / "dvc.lock").write_text("schema: '2.0'\nstages:\n  masks@a:\n", encoding="utf-8")
    assert run(monkeypatch, "repair", "--json") == 0
    repaired = json.loads(capsys.readouterr().out)["repaired"]
    assert (repaired["kept"], repaired["from_copy"], repaired["from_run_cache"]) == ([], [], [])
    assert "yolo_dataset" in repaired["missing"]
    assert (clone.paths.root / "dvc.lock").read_text(encoding="utf-8") == "schema: '2.0'\nstages: {}\n"
    assert run(monkeypatch, "repair") == 0
    assert "nothing to repair" in capsys.readouterr().out
