"""How frames are handed to a trained model: whole, at its input's size or their own, or in tiles."""

from pathlib import Path

import cv2
import numpy as np
import pytest
import supervision as sv

from gotowce_dagster.training import model
from gotowce_dagster.training.model import load_model


class _Squares:
    """An engine whose model finds bright rectangles; it keeps what it was asked for."""

    def __init__(self) -> None:
        self.asked: list[tuple[tuple[int, int], int, bool]] = []

    def load(self, weights: Path) -> "_Squares":
        return self

    def __call__(self, image: np.ndarray, side: int, enlarge: bool) -> sv.Detections:
        self.asked.append((image.shape[:2], side, enlarge))
        count, _, stats, _ = cv2.connectedComponentsWithStats((image[..., 0] > 200).astype(np.uint8))
        boxes = np.array([(x, y, x + w, y + h) for x, y, w, h, _ in stats[1:count]], float).reshape(-1, 4)
        return sv.Detections(
            boxes,
            confidence=np.linspace(0.9, 0.5, len(boxes)) if len(boxes) != 1 else np.array([0.95]),
            class_id=np.full(len(boxes), 3),
            data={"class_name": np.array(["ship"] * len(boxes), dtype=str)},
        )


@pytest.fixture
def squares(monkeypatch: pytest.MonkeyPatch) -> _Squares:
    engine = _Squares()
    monkeypatch.setattr(model, "engine_of", lambda weights: engine)
    return engine


def _frame(*boxes: tuple[int, int, int, int], size: tuple[int, int] = (1600, 900)) -> np.ndarray:
    image = np.zeros((size[1], size[0], 3), np.uint8)
    for x1, y1, x2, y2 in boxes:
        image[y1:y2, x1:x2] = 255
    return image


@pytest.mark.parametrize(("size", "side"), [((640, 360), 1280), ((3840, 2160), 1280)])
def test_a_model_of_whole_frames_gets_them_at_its_size(
    squares: _Squares, size: tuple[int, int], side: int
) -> None:
    load_model(Path("best.pt"), side)(_frame(size=size))
    assert squares.asked == [(size[::-1], side, True)]


@pytest.mark.parametrize("size", [(640, 360), (1920, 1080), (3840, 2160)])
def test_a_model_of_crops_gets_frames_at_their_own_size(squares: _Squares, size: tuple[int, int]) -> None:
    load_model(Path("best.pt"), 1280, enlarge=False)(_frame(size=size))
    ((shape, side, enlarge),) = squares.asked
    assert shape == size[::-1]
    assert side >= max(size), "it is never reduced"
    assert not enlarge


@pytest.mark.parametrize(
    "box",
    [
        (380, 300, 440, 350),
        (460, 420, 540, 500),
        (1000, 100, 1060, 160),
        (100, 870, 180, 900),
        (200, 200, 260, 260),
    ],
)
def test_a_target_at_the_edges_of_tiles_is_found_once_and_whole(squares: _Squares, box: tuple) -> None:
    """Surer where it is cut, alone in its tile, than where it is whole."""
    other = (1500, 10, 1520, 30)
    found = load_model(Path("best.pt"), 1280, 512, enlarge=False)(_frame(box, other))
    assert len(squares.asked) > 6
    assert all(max(shape) <= 512 == side for shape, side, _ in squares.asked)
    assert sorted(map(tuple, found.xyxy.tolist())) == sorted([box, other])
    assert found.class_id is not None
    assert found.class_id.tolist() == [3, 3]
    assert list(found.data["class_name"]) == ["ship", "ship"]


def test_tiles_without_anything(squares: _Squares) -> None:
    assert len(load_model(Path("best.pt"), 1280, 512, enlarge=False)(_frame())) == 0
