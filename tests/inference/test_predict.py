"""Predictions of a trained model: tables, annotated frames and what ran."""

import json
from pathlib import Path

import cv2
import numpy as np
import pandas as pd
import pytest
import supervision as sv

from gotowce_dagster.core.errors import InputError
from gotowce_dagster.inference.loaded import LoadedModel
from gotowce_dagster.inference.predict import predict
from gotowce_dagster.video.decode import probe, read_frames
from tests.worlds import box_at, film

RED = (255, 60, 40)


def _find_red(image: np.ndarray) -> sv.Detections:
    """A stand-in for a model: the box of red pixels, sure, and one at the corner, unsure."""
    y, x = np.nonzero((image[..., 0] > 180) & (image[..., 1] < 120))
    boxes = [[0, 0, 5, 5]] + ([[x.min(), y.min(), x.max() + 1, y.max() + 1]] if len(x) else [])
    return sv.Detections(
        xyxy=np.array(boxes, float),
        confidence=np.array([0.1, 0.9][: len(boxes)]),
        class_id=np.zeros(len(boxes), int),
        data={"class_name": np.array(["ship"] * len(boxes))},
    )


@pytest.fixture
def model(tmp_path: Path) -> LoadedModel:
    return LoadedModel(_find_red, tmp_path / "best.pt", "0" * 64, imgsz=64, tile_px=0, device="cpu")


def _pictures() -> dict[int, np.ndarray]:
    pictures = {}
    for number in range(6):
        picture = np.zeros((96, 160, 3), np.uint8)
        x1, y1, x2, y2 = box_at(0).astype(int) + number * np.array([2, 1, 2, 1])
        if number != 3:
            picture[y1:y2, x1:x2] = RED
        pictures[number] = picture
    return pictures


def test_a_video(tmp_path: Path, model: LoadedModel) -> None:
    film(tmp_path / "duel.mkv", _pictures())
    steps: list[tuple[int, int]] = []
    done = predict(
        tmp_path / "duel.mkv",
        model,
        tmp_path / "out",
        confidence=0.25,
        progress=lambda *counts: steps.append(counts),
    )
    assert (done.frames, done.boxes, done.frames_with_boxes) == (6, 5, 5)
    rows = pd.read_parquet(tmp_path / "out" / "predictions.parquet")
    assert rows["frame_index"].tolist() == [0, 1, 2, 4, 5]
    for row in rows.to_dict("records"):
        expected = box_at(0) + row["frame_index"] * np.array([2, 1, 2, 1])
        assert [row[side] for side in ("x1", "y1", "x2", "y2")] == expected.tolist()
    lines = pd.read_csv(tmp_path / "out" / "predictions.csv")
    assert lines["x1"].tolist() == rows["x1"].tolist()
    record = json.loads((tmp_path / "out" / "predictions.json").read_text())
    assert record["model"]["sha256"] == "0" * 64
    assert record["model"]["device"] == "cpu"
    assert steps[-1] == (6, 6)
    annotated = tmp_path / "out" / "annotated.mp4"
    assert (probe(annotated).frames, probe(annotated).width) == (6, 160)
    plain = _pictures()
    frames = {frame.index: frame.rgb().astype(int) for frame in read_frames(annotated)}
    assert np.abs(frames[3] - plain[3]).max() < 60, "nothing is drawn where nothing is found"
    assert np.abs(frames[0] - plain[0]).max() > 60


def test_a_folder_of_pictures(tmp_path: Path, model: LoadedModel) -> None:
    folder = tmp_path / "pictures"
    folder.mkdir()
    for number, picture in _pictures().items():
        cv2.imwrite(str(folder / f"{number}.png"), picture[..., ::-1])
    done = predict(folder, model, tmp_path / "out", confidence=0.25)
    assert (done.frames, done.boxes) == (6, 5)
    rows = pd.read_csv(tmp_path / "out" / "predictions.csv")
    assert rows["source"].tolist() == [f"{number}.png" for number in (0, 1, 2, 4, 5)]
    assert len(list((tmp_path / "out" / "annotated").glob("*.jpg"))) == 6


def test_refusals_leave_nothing(tmp_path: Path, model: LoadedModel) -> None:
    (tmp_path / "empty").mkdir()
    with pytest.raises(InputError, match="contains no images"):
        predict(tmp_path / "empty", model, tmp_path / "out", confidence=0.25)
    with pytest.raises(InputError, match="tracks need a video"):
        predict(tmp_path / "empty", model, tmp_path / "out", confidence=0.25, with_tracks=True)
    (tmp_path / "mine.txt").write_text("mine")
    with pytest.raises(InputError, match="not a folder of predictions"):
        predict(tmp_path / "empty", model, tmp_path, confidence=0.25)
    assert not (tmp_path / "out").exists()


def test_tracks(tmp_path: Path, model: LoadedModel) -> None:
    film(tmp_path / "duel.mkv", _pictures())
    done = predict(tmp_path / "duel.mkv", model, tmp_path / "out", confidence=0.25, with_tracks=True)
    rows = pd.read_parquet(tmp_path / "out" / "predictions.parquet")
    assert done.tracks == 1
    assert rows["track_id"].nunique() == 1


def test_tracks_without_their_package_are_refused(
    tmp_path: Path, model: LoadedModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(__import__("sys").modules, "trackers", None)
    film(tmp_path / "duel.mkv", _pictures())
    with pytest.raises(InputError, match=r"gotowce-dagster\[tracks\]"):
        predict(tmp_path / "duel.mkv", model, tmp_path / "out", confidence=0.25, with_tracks=True)
    assert not (tmp_path / "out").exists()
