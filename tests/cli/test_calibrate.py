from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from gotowce_dagster.config.project import Project
from gotowce_dagster.core.truth import read_truth
from tests.cli.running import run


@pytest.mark.integration
def test_calibrate_then_detect_on_a_sample(
    clone: Project, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
) -> None:
    clip, truth = "data/samples/naev_hostile_sample.mp4", "data/samples/truth.csv"
    rows = read_truth(Path(truth)).query("clip == 'naev_hostile_sample.mp4' and label == 'designator'")
    words = [
        "--boxes",
        truth,
        "--out",
        "data/profiles/mine.toml",
        "--designator",
        "hostile",
        "--class",
        "ship",
    ]
    assert run(monkeypatch, "calibrate", clip, *words) == 0
    assert Path("data/profiles/mine_hostile.png").stat().st_size > 10_000
    wanted = ",".join(map(str, rows["frame_index"]))
    assert (
        run(
            monkeypatch,
            "detect",
            clip,
            "--profile",
            "data/profiles/mine.toml",
            "--frames",
            wanted,
            "--out",
            "o.csv",
        )
        == 0
    )
    found = pd.read_csv("o.csv")
    assert found["frame_index"].tolist() == rows["frame_index"].tolist()
    assert set(found["class_name"]) == {"ship"}
    sides = ["x1", "y1", "x2", "y2"]
    assert np.abs(found[sides].to_numpy() - rows[sides].to_numpy()).max() <= 2


@pytest.mark.integration
def test_boxes_serve_as_ground_truth_of_a_video_of_the_project(
    clone: Project, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
) -> None:
    clip, truth = "data/samples/naev_hostile_sample.mp4", "data/samples/truth.csv"
    words = ["--boxes", truth, "--out", "mine.toml", "--designator", "hostile", "--as-truth"]
    assert run(monkeypatch, "calibrate", clip, *words) == 2
    assert "not a video of this project; run `gotowce add" in capsys.readouterr().err
    assert not Path("mine.toml").exists()
    assert run(monkeypatch, "add", clip) == 0
    assert run(monkeypatch, "calibrate", "naev_hostile_sample", *words) == 0
    kept = read_truth(clone.paths.truth("naev_hostile_sample"))
    drawn = read_truth(Path(truth)).query("clip == 'naev_hostile_sample.mp4'")
    assert kept.to_numpy().tolist() == drawn.to_numpy().tolist()
