from collections.abc import Callable
from pathlib import Path

import pandas as pd
import pytest

from gotowce_dagster.config.detector_settings import DetectorSettings
from gotowce_dagster.config.project import Project
from gotowce_dagster.designators.profile import Profile
from tests.cli.running import run
from tests.detectors.fixed import Fixed


@pytest.mark.parametrize(("extra", "least"), [([], 0.005), (["--min-confidence", "0.3"], 0.3)])
def test_detect_leaves_the_threshold_to_the_detector(
    clone: Project, monkeypatch: pytest.MonkeyPatch, extra: list[str], least: float
) -> None:
    def look(_name: str, settings: DetectorSettings, _profile: Profile) -> Fixed:
        return Fixed("low", *(box for box in boxes if box[4] >= settings.min_confidence))

    boxes = [(10, 10, 50, 50, 0.4), (80, 10, 120, 50, 0.01), (160, 10, 200, 50, 0.001)]
    monkeypatch.setattr("gotowce_dagster.detectors.registry.build_detector", look)
    words = ["--profile", "data/profiles/naev.toml", "--frames", "3", "--out", "o.csv"]
    clip = "data/samples/naev_hostile_sample.mp4"
    assert run(monkeypatch, "detect", clip, "--detector", "yolo_world", *words, *extra) == 0
    found = pd.read_csv("o.csv")["confidence"].tolist()
    assert found == pytest.approx([box[4] for box in boxes if box[4] >= least])


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--frames", "62,x"], "--frames: expected frame numbers"),
        (["--frames", "99999"], "has no readable frame 99999"),
        (["--detector", "magic"], "no detector named 'magic'; expected one of bracket"),
    ],
    ids=["text for a number", "frame past the end", "unknown detector"],
)
def test_detect_refuses(
    clone_to_read: Project, refusal: Callable[..., str], words: list[str], message: str
) -> None:
    clip, profile = "data/samples/naev_hostile_sample.mp4", "data/profiles/naev.toml"
    assert message in refusal("detect", clip, "--profile", profile, "--out", "o.csv", *words)
    assert not Path("o.csv").exists()
