"""The study on drawn videos, described by a BLIP of random weights: its words say nothing of the pictures."""

from pathlib import Path

import pandas as pd
import pytest

from gotowce_dagster.config.project import Project
from gotowce_dagster.core.errors import InputError
from gotowce_dagster.previews.table import preview_of
from gotowce_dagster.stages import crop_sensitivity
from tests.detectors import standins
from tests.stages.test_mark_colours import make

pytestmark = pytest.mark.slow

DESCRIBERS = {
    "random_blip": {"kind": "captioner", "weights": "blip", "max_tokens": 6},
    "gone": {"kind": "captioner", "weights": "gone"},
}
SMALL = {"describers": DESCRIBERS, "frames": 3, "steps": 3, "iterations": 2}


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("weights")
    standins.blip(folder / "blip")
    return folder


@pytest.fixture
def project(weights: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Project:
    monkeypatch.setenv("GOTOWCE_WEIGHTS_DIR", str(weights))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return make(tmp_path / "project", crop_sensitivity=SMALL)


def test_every_crop_is_described_once(project: Project, tmp_path: Path) -> None:
    reports: list[tuple[int, int]] = []
    crop_sensitivity.run(project, lambda *now: reports.append(now))
    folder = project.paths.study("crop_sensitivity")
    descriptions = pd.read_csv(folder / "descriptions.csv")
    # Two frames of the marked video; the other has no detection.
    assert descriptions.groupby("max_offset").size().to_dict() == {1: 4, 18: 4, 319: 4}
    assert set(descriptions["video"]) == {"marked"}
    assert reports[-1] == (12, 12)
    widest = descriptions.groupby("max_offset")["width"].max()
    assert widest[1] < widest[18] < widest[319] <= 320
    shares = pd.read_csv(folder / "shares.csv")
    assert (shares["low"] <= shares["share"]).all()
    assert (shares["share"] <= shares["high"]).all()

    page = (folder / "report.html").read_text(encoding="utf-8")
    assert "gone did not run: gone is neither in" in page
    preview = preview_of(project, "crop_sensitivity", None)
    assert preview.notes[0].startswith("random_blip ")
    assert preview.notes[0] in page
    assert preview.picture is not None
    # The same again from the answers that are kept.
    answers = {path: path.stat().st_mtime_ns for path in (tmp_path / "cache").rglob("answers/*/*.json")}
    assert len(answers) > 6
    crop_sensitivity.run(project)
    assert pd.read_csv(folder / "descriptions.csv").equals(descriptions)
    assert {path: path.stat().st_mtime_ns for path in answers} == answers


def test_nothing_that_can_run_is_an_error(project: Project, tmp_path: Path) -> None:
    gone = make(tmp_path / "other", crop_sensitivity=SMALL | {"describers": {"gone": DESCRIBERS["gone"]}})
    with pytest.raises(InputError, match="no describer can run: gone did not run: gone is neither in"):
        crop_sensitivity.run(gone)
