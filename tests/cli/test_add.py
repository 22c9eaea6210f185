import json
from pathlib import Path

import pytest

from gotowce_dagster.config.project import Project
from tests.cli.running import run
from tests.intake.test_videos import film


@pytest.mark.integration
def test_add_continues_after_a_bad_file_and_names_it(
    clone: Project, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
) -> None:
    (tmp_path / "bad.mp4").write_text("text")
    good = film(tmp_path / "good.mp4")
    assert run(monkeypatch, "add", "--json", str(tmp_path / "bad.mp4"), str(good)) == 2
    output = capsys.readouterr()
    answer = json.loads(output.out)
    assert answer["added"] == {str(good): "good"}
    assert "bad.mp4" in answer["refused"][0]
    assert "bad.mp4" in output.err
