from pathlib import Path

import cv2
import numpy as np
import pandas as pd
import pytest

from gotowce_dagster.pictures.write import write_picture
from gotowce_dagster.training.marks_pasted import draw_mark, mark_of, read_marks, recoloured, room_around
from gotowce_dagster.training.pasting import Scene

TARGET = np.array([90.0, 70, 110, 82])
RED = (200, 30, 30)


def _recorded() -> tuple[np.ndarray, np.ndarray]:
    """A picture with four corners around the target, and the same one without them."""
    without = np.full((150, 200, 3), 40, np.uint8)
    without[70:82, 90:110] = 180
    image = without.copy()
    for x in (80, 120):
        for y in (56, 96):
            inwards = (6 if x == 80 else -6, 6 if y == 56 else -6)
            cv2.line(image, (x, y), (x + inwards[0], y), RED, 2)
            cv2.line(image, (x, y), (x, y + inwards[1]), RED, 2)
    return image, without


def _empty(side: int = 160) -> Scene:
    return Scene(np.zeros((side, side, 3), np.uint8), np.zeros((0, 4)), np.zeros(0, int))


def test_a_mark_is_what_differs_around_its_target() -> None:
    image, without = _recorded()
    mark = mark_of(image, without, TARGET)
    assert mark is not None
    assert mark.image.shape[:2] == mark.alpha.shape
    x1, y1, x2, y2 = mark.target.astype(int)
    assert (x2 - x1, y2 - y1) == (20, 12)
    assert mark.alpha[y1:y2, x1:x2].max() == 0, "the target is no part of it"
    solid = mark.alpha == 1
    assert 4 * 12 <= solid.sum() <= 4 * 40
    assert np.abs(mark.image[solid].astype(int) - RED).max() <= 10


def test_pictures_that_hardly_differ_show_no_mark() -> None:
    _, without = _recorded()
    noisy = without + np.random.default_rng(1).integers(0, 20, without.shape, dtype=np.uint8)
    assert mark_of(noisy, without, TARGET) is None


@pytest.mark.parametrize("scale", [1, 2])
def test_a_mark_is_drawn_around_a_box_at_its_size(scale: int) -> None:
    image, without = _recorded()
    mark = mark_of(image, without, TARGET)
    assert mark is not None
    middle, size = np.array([80.0, 80]), (TARGET[2:] - TARGET[:2]) * scale
    box = np.concatenate([middle - size / 2, middle + size / 2])
    scene = _empty()
    drawn = draw_mark(scene, mark, box)
    assert scene.image.max() == 0, "the scene itself stays as it was"
    assert not len(drawn.boxes)
    y, x = np.nonzero(drawn.image.max(axis=2) > 100)
    assert abs(np.ptp(x) - 40 * scale) <= 6
    assert abs((x.min() + x.max()) / 2 - 80) <= 3
    assert abs((y.min() + y.max()) / 2 - 80) <= 3
    x1, y1, x2, y2 = box.astype(int)
    assert drawn.image[y1:y2, x1:x2].max() == 0


def test_a_mark_with_more_room_is_larger_around_the_same_place() -> None:
    image, without = _recorded()
    mark = mark_of(image, without, TARGET)
    assert mark is not None
    box = np.array([70.0, 74, 90, 86])
    drawn = draw_mark(_empty(), mark, box, room=1.5)
    y, x = np.nonzero(drawn.image.max(axis=2) > 100)
    assert abs(np.ptp(x) - 60) <= 6
    assert abs((x.min() + x.max()) / 2 - 80) <= 3
    assert abs((y.min() + y.max()) / 2 - 80) <= 3


def test_the_room_of_marks_varies_around_more_than_the_recorded_one() -> None:
    rng = np.random.default_rng(1)
    rooms = np.array([room_around(rng) for _ in range(500)])
    assert rooms.min() < 1 < 1.8 < rooms.max()
    assert np.median(rooms) > 1.2


@pytest.mark.parametrize("corner", [(-15.0, -15.0), (150.0, 150.0), (500.0, 500.0)])
def test_a_mark_may_be_cut_by_the_edge(corner: tuple[float, float]) -> None:
    image, without = _recorded()
    mark = mark_of(image, without, TARGET)
    assert mark is not None
    box = np.array([*corner, corner[0] + 20, corner[1] + 12])
    drawn = draw_mark(_empty(), mark, box)
    assert drawn.image.shape == (160, 160, 3)
    assert (drawn.image.max() > 100) == (corner[0] < 200)


def test_another_colour_leaves_the_shape() -> None:
    image, without = _recorded()
    mark = mark_of(image, without, TARGET)
    assert mark is not None
    other = recoloured(mark, np.random.default_rng(3))
    assert other.alpha is mark.alpha
    assert not np.array_equal(other.image, mark.image)


def test_marks_are_those_of_training_frames_with_a_copy_without_marks(tmp_path: Path) -> None:
    image, without = _recorded()
    (tmp_path / "data.yaml").write_text("names: {0: ship}\n", encoding="utf-8")
    (tmp_path / "labels").mkdir()
    rows = []
    for index, (profile, split) in enumerate([("a", "train"), ("a", "val"), ("b", "train")]):
        row = {"profile": profile, "split": split, "video": profile, "frame_index": index, "objects": 1}
        kinds = {"as-is": image, "erased": without} if profile == "a" else {"as-is": image}
        for kind, picture in kinds.items():
            file = f"images/{index}_{kind}.jpg"
            write_picture(picture, tmp_path / file, quality=95)
            label = tmp_path / "labels" / f"{index}_{kind}.txt"
            label.write_text("0 0.5 0.506667 0.1 0.08\n", encoding="utf-8")
            rows.append({**row, "kind": kind, "image": file})
    found = read_marks(tmp_path, pd.DataFrame(rows))
    assert list(found) == ["a"], "the frame of the other game has no copy without its mark"
    (mark,) = found["a"]
    assert (mark.target[2:] - mark.target[:2]).round().tolist() == [20, 12]
    assert 4 * 12 <= (mark.alpha > 0.9).sum() <= 4 * 60
