import json
import subprocess
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

import numpy as np
import pytest
import yaml

from gotowce_dagster.config import engines
from gotowce_dagster.config.engines import precision
from gotowce_dagster.config.project import Project
from gotowce_dagster.core.tables import MASKS, read_table
from gotowce_dagster.designators.profile import write_profile
from gotowce_dagster.propagation import image_track
from gotowce_dagster.segmenters.base import Prediction
from gotowce_dagster.segmenters.prompts import Prompt
from tests.cli.running import run
from tests.detectors.marks import PROFILE, RED
from tests.intake.test_videos import film
from tests.support.synthetic import Bracket, Scene, Target, write_scene

ENGINE = "sam2_image_track:sam2_hiera_tiny_image.pt"


@pytest.mark.parametrize(
    ("row", "engine", "message"),
    [
        ("99,a,5,5,1", ENGINE, "points.csv: row 2: the video ends with frame"),
        ("0,a,5,5,2", ENGINE, "points.csv: row 2: label must be 1"),
        ("0,a,5,5,0", ENGINE, "points.csv: row 2: its object has negative points only"),
        ("0,a,5,5,1", "grabcut", "propagation: there is no engine 'grabcut'; known: sam2"),
    ],
    ids=["frame after the end", "unknown label", "negatives only", "no such engine"],
)
def test_segment_refuses(
    clone_to_read: Project,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    refusal: Callable[..., str],
    *,
    row: str,
    engine: str,
    message: str,
) -> None:
    monkeypatch.setattr(engines, "first_of", partial(engines.first_of, obstacle=lambda engine: None))
    points = tmp_path / "points.csv"
    points.write_text(f"frame_index,object_id,x,y,label\n{row}\n", encoding="utf-8")
    video, out = film(tmp_path / "duel.mp4"), tmp_path / "out"
    words = ("segment", str(video), "--points", str(points), "--out", str(out), "--engine", engine)
    assert message in refusal(*words)
    assert not (out / "masks.parquet").exists()


SHIP = Target(start=(200, 150), colour=(230, 230, 235), bracket=Bracket(RED))


class Eyes:
    """Takes all that is bright for the object."""

    name, weights, device = "eyes", "none", "cpu"

    def predict(
        self, crops: Sequence[np.ndarray], prompts: Sequence[Sequence[Prompt]]
    ) -> list[list[Prediction]]:
        return [[self._prediction(crop) for _ in asked] for crop, asked in zip(crops, prompts, strict=True)]

    def _prediction(self, crop: np.ndarray) -> Prediction:
        return Prediction(
            np.where(crop.min(axis=2) > 150, 5.0, -5.0)[None].astype(np.float32), np.array([0.9])
        )


@pytest.fixture
def drawn(clone: Project, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A clip of a marked ship, a profile that claims it, and engines that need no weights."""
    write_profile(PROFILE, clone.paths.profile("drawn"))
    params = clone.params.model_dump(mode="json")
    params["masks"]["segmenter"] = ["grabcut"]
    clone.paths.params.write_text(yaml.safe_dump(params), encoding="utf-8")
    monkeypatch.setattr(engines, "first_of", partial(engines.first_of, obstacle=lambda engine: None))
    monkeypatch.setattr(image_track, "_build", lambda weights, params: Eyes())
    video = tmp_path / "drawn.mp4"
    write_scene(video, Scene((SHIP,), frames=12, size=(480, 320)), crf=16)
    return video


@pytest.mark.slow
def test_segment_follows_what_a_designator_marks(
    drawn: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
) -> None:
    assert run(monkeypatch, "segment", str(drawn), "--engine", ENGINE, "--json") == 0
    output = json.loads(capsys.readouterr().out)
    assert (output["out"], output["objects"], output["precision"]) == (
        "segmented/drawn",
        1,
        precision(ENGINE, "cpu"),
    )
    rows = read_table(Path(output["out"]) / "masks.parquet", MASKS)
    assert set(rows["segmenter"]) >= {"grabcut"}
    for row in rows[rows["rle"].notna()].to_dict("records"):
        assert row["area_px"] > 100


@pytest.mark.integration
def test_segment_by_points_has_a_folder_of_its_own(
    drawn: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
) -> None:
    points = tmp_path / "points.csv"
    points.write_text("frame_index,object_id,x,y,label\n0,ship,200,150,1\n", encoding="utf-8")
    words = ("segment", str(drawn), "--points", str(points), "--engine", ENGINE)
    assert run(monkeypatch, *words) == 0
    assert "precision" in capsys.readouterr().out
    assert Path("segmented/drawn/masks.parquet").exists()
    listed = subprocess.run(["git", "status", "--short"], capture_output=True, text=True, check=True)
    assert "segmented" not in listed.stdout


def test_segment_needs_points_or_a_profile(
    clone: Project, tmp_path: Path, refusal: Callable[..., str]
) -> None:
    error = refusal("segment", str(film(tmp_path / "stranger.mp4")))
    assert "no profile matches stranger.mp4; give --profile or --points" in error
    assert not Path("segmented").exists()
