"""Example boxes for detectors that are prompted with images."""

from dataclasses import dataclass

import numpy as np

from gotowce_dagster.core.boxes import BOX
from gotowce_dagster.core.csv_rows import read_rows, refuse, to_numbers
from gotowce_dagster.core.errors import InputError
from gotowce_dagster.core.trust import project_root
from gotowce_dagster.pictures.read import read_rgb

_COLUMNS = ("picture", "class_name", *BOX)


@dataclass(frozen=True, eq=False)
class Example:
    """One image and its boxes of one class."""

    image: np.ndarray
    """RGB uint8 (H, W, 3)."""
    class_name: str
    boxes: np.ndarray
    """xyxy (n, 4) in pixels."""


def read_examples(file: str) -> list[Example]:
    """Read the example boxes of a CSV, one entry per image and class, sorted by class name.

    Args:
        file: path, relative to the project.

    Raises:
        InputError: the file or an image is missing or malformed, or a box is empty or outside its image.
    """
    path = project_root() / file
    rows = read_rows(path, _COLUMNS)
    boxes = to_numbers(rows, BOX)
    refuse(
        path,
        {
            "x1, y1, x2 and y2 must be numbers": boxes.isna().any(axis=1),
            "the box is empty": (boxes["x1"] >= boxes["x2"]) | (boxes["y1"] >= boxes["y2"]),
            "class_name is empty": rows["class_name"] == "",
        },
    )
    if rows.empty:
        raise InputError(f"{path}: has no boxes; add at least one of each class")
    examples = []
    for class_name, picture in sorted(set(zip(rows["class_name"], rows["picture"], strict=True))):
        some = boxes[(rows["class_name"] == class_name) & (rows["picture"] == picture)]
        image = read_rgb(path.parent / str(picture))
        height, width = image.shape[:2]
        outside = (some["x1"] < 0) | (some["y1"] < 0) | (some["x2"] > width) | (some["y2"] > height)
        refuse(path, {f"the box is not inside the picture of {width} by {height} pixels": outside})
        examples.append(Example(image, str(class_name), some[BOX].to_numpy(float)))
    return examples


def by_class(examples: list[Example]) -> dict[str, list[Example]]:
    """The examples of each class."""
    found: dict[str, list[Example]] = {}
    for example in examples:
        found.setdefault(example.class_name, []).append(example)
    return found


def prompt_of(examples: list[Example]) -> str:
    """The ``prompt`` of a detection that was found by examples."""
    count = sum(len(example.boxes) for example in examples)
    return f"{count} example box" + ("es" if count > 1 else "")
