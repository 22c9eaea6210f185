from pathlib import Path

import cv2
import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as some
from scipy import ndimage

from gotowce_dagster.core import rle
from gotowce_dagster.core.boxes import BOX
from gotowce_dagster.core.masks import mask_iou
from gotowce_dagster.labels.export import label_file, mask_outline, read_boxes, read_objects, yolo_lines

WIDTH, HEIGHT = 200, 100


def _label(box: tuple[float, ...], mask: np.ndarray | None = None, name: str = "hostile") -> dict:
    return {
        "class_name": name,
        **dict(zip(BOX, box, strict=True)),
        "rle": None if mask is None else rle.encode(mask),
        "height": HEIGHT,
        "width": WIDTH,
    }


def _painted(line: str) -> np.ndarray:
    """The mask that ultralytics' polygon2mask rasterizes from a line: integers, then cv2.fillPoly."""
    points = np.array(line.split()[1:], np.float32).reshape(-1, 2) * [WIDTH, HEIGHT]
    canvas = np.zeros((HEIGHT, WIDTH), np.uint8)
    return cv2.fillPoly(canvas, [points.astype(np.int32)], 1).astype(bool)


@pytest.mark.parametrize(
    ("box", "line", "what"),
    [
        ((20, 10, 60, 30), "1 0.200000 0.200000 0.200000 0.200000", "centre and size as fractions"),
        ((0, 0, 200, 100), "1 0.500000 0.500000 1.000000 1.000000", "the whole image"),
        ((-20, 90, 20, 120), "1 0.050000 0.950000 0.100000 0.100000", "beyond the edge is cut off"),
        ((7.5, 3.25, 12.5, 8.25), "1 0.050000 0.057500 0.025000 0.050000", "fractions of a pixel stay"),
    ],
)
def test_box_line(box: tuple[float, ...], line: str, what: str) -> None:
    assert yolo_lines(pd.DataFrame([_label(box)]), {"neutral": 0, "hostile": 1}, False) == [line], what


def test_no_labels_make_an_empty_file() -> None:
    assert yolo_lines(pd.DataFrame(columns=["class_name"]), {}, False) == []


def test_polygon_without_a_mask_is_the_box() -> None:
    (line,) = yolo_lines(pd.DataFrame([_label((20, 10, 60, 30))]), {"hostile": 0}, True)
    assert line == "0 0.100000 0.100000 0.300000 0.100000 0.300000 0.300000 0.100000 0.300000"


@pytest.mark.parametrize(
    ("pieces", "least", "what"),
    [
        ([(slice(10, 30), slice(20, 60))], 1.0, "a rectangle"),
        ([(slice(40, 41), slice(50, 51))], 1.0, "one pixel"),
        ([(slice(99, 100), slice(190, 200))], 1.0, "at the far corner"),
        ([(slice(10, 30), slice(20, 60)), (slice(40, 60), slice(20, 60))], 0.97, "two pieces"),
        ([(slice(10, 20), slice(x, x + 10)) for x in range(10, 100, 20)], 0.9, "five pieces in a row"),
    ],
)
def test_one_object_is_one_polygon_and_round_trips(pieces: list, least: float, what: str) -> None:
    mask = np.zeros((HEIGHT, WIDTH), bool)
    for piece in pieces:
        mask[piece] = True
    y, x = np.nonzero(mask)
    box = (x.min(), y.min(), x.max() + 1, y.max() + 1)
    lines = yolo_lines(pd.DataFrame([_label(box, mask)]), {"hostile": 0}, True)
    assert len(lines) == 1, what
    assert mask_iou(_painted(lines[0]), mask) >= least, what
    outline = mask_outline(mask)
    assert np.abs(np.r_[outline.min(axis=0), outline.max(axis=0)] - box).max() <= 0.125, what


@given(some.arrays(bool, (24, 32), elements=st.booleans()))
@settings(max_examples=60, deadline=None)
def test_a_solid_mask_round_trips_exactly(noise: np.ndarray) -> None:
    """YOLO text has no holes, and lines that connect pieces add pixels: use the largest piece, filled."""
    numbered, count = ndimage.label(noise, structure=np.ones((3, 3)))
    if not count:
        return
    largest = numbered == np.bincount(numbered.ravel())[1:].argmax() + 1
    filled = ndimage.binary_fill_holes(largest, structure=np.ones((3, 3)))
    outer, _ = cv2.findContours(filled.astype(np.uint8), cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)
    whole = cv2.drawContours(np.zeros_like(filled, np.uint8), outer, -1, 1, cv2.FILLED).astype(bool)
    mask = np.zeros((HEIGHT, WIDTH), bool)
    mask[40:64, 60:92] = whole
    y, x = np.nonzero(mask)
    row = _label((x.min(), y.min(), x.max() + 1, y.max() + 1), mask)
    (line,) = yolo_lines(pd.DataFrame([row]), {"hostile": 0}, True)
    assert mask_iou(_painted(line), mask) == 1.0


def test_empty_mask_is_refused() -> None:
    with pytest.raises(ValueError, match="empty mask"):
        mask_outline(np.zeros((4, 4), bool))


@pytest.mark.parametrize("polygons", [False, True])
def test_read_back(tmp_path: Path, polygons: bool) -> None:
    mask = np.zeros((HEIGHT, WIDTH), bool)
    mask[10:30, 20:60] = True
    rows = pd.DataFrame([_label((20, 10, 60, 30), mask), _label((100, 50, 105, 54), None, "neutral")])
    image = "images/train/a_000001.jpg"
    for folder in ("images/train", "labels/train"):
        (tmp_path / folder).mkdir(parents=True)
    cv2.imwrite(str(tmp_path / image), np.zeros((HEIGHT, WIDTH, 3), np.uint8))
    (tmp_path / "data.yaml").write_text("names: {0: hostile, 1: neutral}\n")
    text = "\n".join(yolo_lines(rows, {"hostile": 0, "neutral": 1}, polygons))
    label_file(tmp_path, image).write_text(text)
    picture, objects = read_objects(tmp_path, image)
    assert picture.shape == (HEIGHT, WIDTH, 3)
    assert list(objects.data["class_name"]) == ["hostile", "neutral"]
    assert np.abs(objects.xyxy - [[20, 10, 60, 30], [100, 50, 105, 54]]).max() <= (0.13 if polygons else 1e-3)
    assert read_boxes(tmp_path, image) == objects
