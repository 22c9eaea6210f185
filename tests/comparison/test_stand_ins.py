"""The documented example in small: both samples, a detector of ours and a model of random weights."""

import json
from pathlib import Path

import pytest

from benchmarks.stand_ins import build
from tests.cli.running import run
from tests.conftest import ROOT


@pytest.mark.integration
@pytest.mark.usefixtures("warm_workers")
def test_a_model_of_random_weights_stands_in_one_table_with_ours(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture, tmp_path: Path
) -> None:
    # One of both, for each takes seconds to load; the loader of the other is the same.
    _, folder = build(tmp_path)
    kosmos = f"kosmos2:{folder}"
    capsys.readouterr()
    monkeypatch.setenv("GOTOWCE_ROOT", str(ROOT))
    samples = ROOT / "data" / "samples"
    clips = [str(path) for path in sorted(samples.glob("*.mp4"))]
    options = [
        "--truth",
        str(samples / "truth.csv"),
        "--frames",
        "2",
        "--out",
        str(tmp_path / "out"),
        "--json",
    ]
    assert run(monkeypatch, "compare", *clips, "--detectors", f"bracket,{kosmos}", *options) == 0
    rows = {row["name"]: row for row in json.loads(capsys.readouterr().out)["detectors"]}
    assert [(row["status"], row["scored_frames"]) for row in rows.values()] == [("ran", 2)] * 2
    assert rows["bracket"]["f1_50"] == 1
    assert (rows[kosmos]["boxes"], rows[kosmos]["invalid_share"]) == (2, 0), "the same place in each"
    assert rows[kosmos]["tokens_out"] > 10
    page = (tmp_path / "out" / "report.html").read_text(encoding="utf-8")
    assert page.count("<img src=") >= 3
