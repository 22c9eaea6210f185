"""Labels as YOLO text, written and read: one line per object, coordinates as fractions of the image."""

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pandas as pd
import supervision as sv
import yaml

from gotowce_dagster.core import rle
from gotowce_dagster.core.detections import from_boxes
from gotowce_dagster.core.tables import records
from gotowce_dagster.pictures.read import read_rgb, size_of

# Factor of the finer grid on which a mask's outline is traced. The outline then runs 1/8 pixel inside the
# pixels' outer edge: its bounding box is exact to 1/8 pixel, and truncating its coordinates to integers, as
# ultralytics does to rasterize it, gives the mask back.
_FINER = 4


def yolo_lines(labels: pd.DataFrame, classes: Mapping[str, int], polygons: bool) -> list[str]:
    """Format labels, one line each: ``class x y w h``, or with ``polygons`` ``class x1 y1 x2 y2 ...``.

    Args:
        labels: Rows of tables.LABELS of one frame.
        classes: Number of each class name.
        polygons: Write the outlines of masks. A label without a mask gets the four corners of its box,
            because ultralytics reads no file with both kinds.
    """
    form = _polygon if polygons else _box
    return [
        f"{classes[row['class_name']]} " + " ".join(f"{number:.6f}" for number in form(row))
        for row in records(labels)
    ]


def mask_outline(mask: np.ndarray) -> np.ndarray:
    """Trace one closed outline around all pieces of a mask: float (k, 2), x and y in pixels.

    Pieces are connected at their nearest points by a line in both directions, which has no area, as in
    ultralytics' merge_multi_segment for COCO labels. Holes are filled, because YOLO text has none.

    Raises:
        ValueError: The mask is empty.
    """
    y, x = np.nonzero(mask)
    if not len(x):
        raise ValueError("an empty mask has no outline")
    corner = np.array([x.min(), y.min()])
    inner = mask[corner[1] : y.max() + 1, corner[0] : x.max() + 1].astype(np.uint8)
    fine = np.kron(inner, np.ones((_FINER, _FINER), np.uint8))
    traced, _ = cv2.findContours(fine, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_SIMPLE)
    pieces = sorted((piece[:, 0, :] for piece in traced), key=len, reverse=True)
    return (_joined(pieces) + 0.5) / _FINER + corner


def read_objects(folder: Path, image: str) -> tuple[np.ndarray, sv.Detections]:
    """Read one image of a dataset (RGB) and the objects of its label file, in pixels.

    Args:
        folder: Folder of the dataset.
        image: Path of the image below the folder, as in the provenance.
    """
    image_rgb = read_rgb(folder / image)
    return image_rgb, _objects(folder, image, image_rgb.shape[1], image_rgb.shape[0])


def read_boxes(folder: Path, image: str) -> sv.Detections:
    """Read the objects of one image of a dataset, in pixels, without decoding the image; see read_objects."""
    return _objects(folder, image, *size_of(folder / image))


def _objects(folder: Path, image: str, width: int, height: int) -> sv.Detections:
    """The objects of a label file, of an image of this size."""
    names = class_names(folder)
    boxes, numbers = [np.zeros((0, 4))], []
    for line in label_file(folder, image).read_text(encoding="utf-8").splitlines():
        number, *values = line.split()
        points = np.array(values, float)
        if len(points) == 4:
            points = np.r_[points[:2] - points[2:] / 2, points[:2] + points[2:] / 2]
        points = points.reshape(-1, 2) * (width, height)
        boxes.append(np.r_[points.min(axis=0), points.max(axis=0)][None])
        numbers.append(int(number))
    return from_boxes(
        np.concatenate(boxes), class_id=numbers, class_name=[names[number] for number in numbers]
    )


def label_file(folder: Path, image: str) -> Path:
    """The label file of an image of a dataset."""
    return folder / Path("labels", *Path(image).parts[1:]).with_suffix(".txt")


def class_names(folder: Path) -> dict[int, str]:
    """The classes of a dataset by their numbers."""
    return yaml.safe_load((folder / "data.yaml").read_text(encoding="utf-8"))["names"]


def _joined(pieces: list[np.ndarray]) -> np.ndarray:
    whole, *others = pieces
    for piece in others:
        distance = ((whole[:, None] - piece[None]) ** 2).sum(axis=2)
        nearest, start = np.unravel_index(distance.argmin(), distance.shape)
        loop = np.roll(piece, -int(start), axis=0)
        whole = np.concatenate([whole[: nearest + 1], loop, loop[:1], whole[nearest:]])
    return whole


def _box(row: Mapping[str, Any]) -> Iterable[float]:
    (x1, y1), (x2, y2), size = _inside(row)
    return (*((x1 + x2) / 2 / size[0], (y1 + y2) / 2 / size[1]), (x2 - x1) / size[0], (y2 - y1) / size[1])


def _polygon(row: Mapping[str, Any]) -> Iterable[float]:
    (x1, y1), (x2, y2), size = _inside(row)
    outline = np.array([[x1, y1], [x2, y1], [x2, y2], [x1, y2]])
    if isinstance(row["rle"], str):
        outline = mask_outline(rle.mask_of(row))
    return (outline / size).ravel()


def _inside(row: Mapping[str, Any]) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Top left and bottom right corner of a label's box, clipped to the image, and the image's size."""
    size = np.array([row["width"], row["height"]], dtype=float)
    return (
        np.clip([row["x1"], row["y1"]], 0, size),
        np.clip([row["x2"], row["y2"]], 0, size),
        size,
    )
