"""Ground truth in the formats of other tools, as the rows of a CSV of ground truth.

An image's name identifies its frame: CLIP_NUMBER, as in exports, or frame_NUMBER or NUMBER for the video
that is being added, with frame numbers from 0 in decode order. COCO images may have the fields ``video``
and ``frame_index`` instead.

Categories named like the labels of a CSV (``designator``, ``designator_partial``, ``target``) keep their
name; any other class becomes ``object``. If every box has the attribute ``marked``, the file is complete
ground truth, and classes keep their names. An image without boxes is a frame with the label ``none``.
"""

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import yaml

from gotowce_dagster.core.boxes import BOX
from gotowce_dagster.core.errors import InputError
from gotowce_dagster.core.files import read_json, read_text
from gotowce_dagster.core.truth import (
    TRUTH_LABELS,
    Extent,
    check_complete_truth,
    check_truth,
    is_complete_truth,
    read_complete_truth,
    read_truth,
)
from gotowce_dagster.video.names import key_and_suffix, slug

_NAME = re.compile(r"(?:(?P<clip>.+)[_-])?(?P<number>\d+)")
_NO_LABELS = re.compile(r"(classes|train|val|valid|test|README.*)\.txt$", re.IGNORECASE)
"""Files beside labels in folders that tools write: lists of images, and notes on the dataset."""
_ERASED = "_erased"
"""Suffix of copies without marks, whose boxes repeat those of the original frame."""
_NAMED = 3
"""How many other clips an error names."""
_ADVICE = "expected ground truth as CSV, a COCO file of annotations, or a folder of YOLO labels"


@dataclass(frozen=True)
class _Box:
    """One box of an image."""

    xyxy: tuple[float, float, float, float]
    """Pixels of the video's frames."""
    class_name: str
    marked: str | None = None
    """yes or no; None if not given."""


def read_any_truth(path: Path, clip: str, video: Extent) -> pd.DataFrame:
    """Read the ground truth of one video from a CSV, a COCO file or a folder of YOLO labels.

    Args:
        clip: name of the video's file.

    Returns:
        Rows of this clip, as from truth.read_truth or truth.read_complete_truth.

    Raises:
        InputError: the file has none of these formats, is malformed, or has no row of the clip.
    """
    if path.is_dir():
        rows = _validated(path, _rows(path, _yolo(path, clip, video), clip), clip, video)
    elif path.suffix.lower() == ".json":
        rows = _validated(path, _rows(path, _coco(path, clip, video), clip), clip, video)
    else:
        read = read_complete_truth if is_complete_truth(path) else read_truth
        rows = read(path, video, {clip})
    own = rows[rows["clip"] == clip]
    if own.empty and rows.empty:
        raise InputError(f"{path}: has no rows")
    if own.empty:
        others = ", ".join(sorted(rows["clip"].unique())[:_NAMED])
        raise InputError(
            f"{path}: no row has the clip {clip}, only {others}; name a video of the project by its key"
        )
    return own


def frame_of(name: str, clip: str) -> int | None:
    """Parse the frame number from an image's name; None if it belongs to another clip.

    Args:
        name: name of the image, without suffix.

    Raises:
        InputError: the name has no number at its end.
    """
    parts = _NAME.fullmatch(name)
    if parts is None:
        raise InputError(f"{name}: no frame number at its end; expected CLIP_NUMBER, as in duel_000120")
    own = parts["clip"]
    is_own = own is None or own == "frame" or slug(own) == key_and_suffix(clip)[0]
    return int(parts["number"]) if is_own else None


def _coco(path: Path, clip: str, video: Extent) -> Mapping[int, list[_Box]]:
    content = read_json(path, _ADVICE)
    try:
        classes = {category["id"]: str(category["name"]) for category in content["categories"]}
        frames, scales = {}, {}
        for image in content["images"]:
            index = _frame_of_image(image, clip)
            if index is not None and image.get("kind", "as-is") != "erased":
                frames[image["id"]] = index
                scales[image["id"]] = _scale(path, image, video)
        boxes: dict[int, list[_Box]] = {index: [] for index in frames.values()}
        for number, one in enumerate(content["annotations"]):
            if one["image_id"] not in frames:
                continue
            x, y, width, height = (float(side) for side in one["bbox"])
            scale = scales[one["image_id"]]
            marked = (one.get("attributes") or {}).get("marked")
            where = f"{path}: annotation {one.get('id', number)}"
            if not (np.isfinite([x, y, width, height]).all() and width > 0 and height > 0):
                raise InputError(
                    f"{where}: bbox must be x, y, width and height, finite, the last two above 0"
                )
            if one["category_id"] not in classes:
                raise InputError(f"{where}: no category has the id {one['category_id']}")
            boxes[frames[one["image_id"]]].append(
                _Box(
                    (x * scale, y * scale, (x + width) * scale, (y + height) * scale),
                    classes[one["category_id"]],
                    _yes_or_no(marked),
                )
            )
    except (KeyError, TypeError, ValueError, AttributeError, ZeroDivisionError) as error:
        raise InputError(
            f"{path}: not COCO's annotation format ({type(error).__name__}: {error}); expected images, "
            "annotations with image_id, category_id and bbox, and categories"
        ) from None
    return boxes


def _frame_of_image(image: Mapping[str, Any], clip: str) -> int | None:
    if "video" in image and "frame_index" in image:
        is_own = slug(str(image["video"])) == key_and_suffix(clip)[0]
        return int(image["frame_index"]) if is_own else None
    return frame_of(Path(str(image["file_name"])).stem, clip)


def _scale(path: Path, image: Mapping[str, Any], video: Extent) -> float:
    """Scale from pixels of the image to pixels of the video."""
    width, height = float(image["width"]), float(image["height"])
    if abs(width * video.height - height * video.width) > max(width, height):
        raise InputError(
            f"{path}: {image.get('file_name')}: {width:g} x {height:g} pixels; the video has {video.width} x "
            f"{video.height}, another shape"
        )
    return video.width / width


def _yolo(folder: Path, clip: str, video: Extent) -> Mapping[int, list[_Box]]:
    classes = _yolo_classes(folder)
    size = np.array([video.width, video.height], float)
    boxes: dict[int, list[_Box]] = {}
    files = sorted(path for path in folder.rglob("*.txt") if not _NO_LABELS.match(path.name))
    for file in files:
        if file.stem.endswith(_ERASED) or (index := frame_of(file.stem, clip)) is None:
            continue
        own = boxes.setdefault(index, [])
        for number, line in enumerate(read_text(file).splitlines(), start=1):
            if not line.strip():
                continue
            try:
                class_id, *values = line.split()
                points = np.array(values, float)
                if len(points) == 4 and not (points[2:] > 0).all():
                    raise ValueError
                name = classes[int(class_id)]
                if len(points) == 4:
                    points = np.r_[points[:2] - points[2:] / 2, points[:2] + points[2:] / 2]
                points = points.reshape(-1, 2) * size
                low, high = points.min(axis=0).tolist(), points.max(axis=0).tolist()
            except (ValueError, KeyError):
                raise InputError(
                    f"{file}: row {number}: expected CLASS X Y WIDTH HEIGHT or CLASS X1 Y1 X2 Y2 ..., as "
                    f"fractions of the image, with a class of {', '.join(map(str, classes))}"
                ) from None
            own.append(_Box((low[0], low[1], high[0], high[1]), name))
    return boxes


def _yolo_classes(folder: Path) -> Mapping[int, str]:
    if (listed := folder / "classes.txt").is_file():
        return dict(enumerate(read_text(listed).splitlines()))
    try:
        names = yaml.safe_load(read_text(folder / "data.yaml", _ADVICE))["names"]
        pairs = names.items() if isinstance(names, dict) else enumerate(names)
        return {int(number): str(name) for number, name in pairs}
    except (yaml.YAMLError, KeyError, TypeError, ValueError):
        raise InputError(f"{folder / 'data.yaml'}: has no class names") from None


def _yes_or_no(marked: object) -> str | None:
    if isinstance(marked, bool):
        return "yes" if marked else "no"
    return None if marked is None else str(marked).lower()


def _rows(path: Path, boxes: Mapping[int, Sequence[_Box]], clip: str) -> pd.DataFrame:
    boxes = {index: list(dict.fromkeys(of_frame)) for index, of_frame in boxes.items()}  # in two files
    everything = [box for of_frame in boxes.values() for box in of_frame]
    with_mark = [box.marked is not None for box in everything]
    if any(with_mark) and not all(with_mark):
        raise InputError(
            f"{path}: {sum(with_mark)} of {len(with_mark)} boxes have the attribute marked; expected it of "
            "all, for complete ground truth, or of none"
        )
    is_complete = bool(everything) and all(with_mark)
    rows = []
    for index, of_frame in sorted(boxes.items()):
        frame = {"clip": clip, "frame_index": str(index)}
        if not of_frame:
            rows.append(frame | dict.fromkeys(BOX, "") | {"label": "none", "marked": "no"})
        for box in of_frame:
            sides = dict(zip(BOX, map(repr, box.xyxy), strict=True))
            is_kept = is_complete or box.class_name in TRUTH_LABELS
            label = box.class_name if is_kept else "object"
            rows.append(frame | sides | {"label": label, "marked": box.marked or ""})
    columns = ["clip", "frame_index", *BOX, "label", *(["marked"] if is_complete else [])]
    return pd.DataFrame(rows, columns=columns, dtype=str)


def _validated(path: Path, rows: pd.DataFrame, clip: str, video: Extent) -> pd.DataFrame:
    if rows.empty:
        raise InputError(f"{path}: no image belongs to the clip {clip}; {json.dumps(_ADVICE)[1:-1]}")
    check = check_complete_truth if "marked" in rows.columns else check_truth
    return check(path, rows, video, {clip})
