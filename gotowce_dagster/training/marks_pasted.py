"""Paste marks around other targets and around nothing, so that a mark is no evidence for a target.

A game draws few kinds of marks, in few colours. Where the dataset has a training picture both as recorded
and with its marks erased, the difference is the mark alone. It is drawn around pasted targets, in another
colour, and around nothing, so that the model learns its corners as background.
"""

from dataclasses import dataclass, replace
from pathlib import Path

import cv2
import numpy as np
import pandas as pd

from gotowce_dagster.core.boxes import evenly
from gotowce_dagster.labels.export import read_objects
from gotowce_dagster.pictures.read import read_rgb
from gotowce_dagster.training.pasting import Scene

_MARKS = 40
"""Maximum number of marks per game, from evenly spaced frames."""
_AROUND_PX, _AROUND = 64, 2.0
"""Half a side of the region that contains a target's mark: at least so many pixels, and long sides of it."""
_DRAWN = 40
"""Minimum difference in levels of a mark's pixel from the erased one; less is JPEG noise."""
_LEAST_PIXELS = 24
"""A mark with fewer pixels is a leftover."""
_RESIZED = 0.5, 3.0
"""Minimum and maximum factor by which a mark is resized."""
_ROOM = 0.9, 2.0
"""Minimum and maximum size of a drawn mark relative to its target's, over that of the recorded one: many
marks have a minimum size."""
_VIVID = 0.4, 1.3
"""Minimum and maximum factor of a drawn mark's saturation and brightness: thin lines of a video are dull."""


@dataclass(frozen=True, eq=False)
class Mark:
    """A mark without its inside and its background."""

    image: np.ndarray
    """RGB uint8 (h, w, 3)."""
    alpha: np.ndarray
    """float32 (h, w), 0 to 1."""
    target: np.ndarray
    """xyxy float (4,) of the target that it marks, in the image."""


def read_marks(dataset: Path, provenance: pd.DataFrame) -> dict[str, list[Mark]]:
    """Marks of training frames, by profile; a game whose frames have no copy without marks has none.

    Args:
        provenance: rows of tables.PROVENANCE of the dataset.
    """
    rows = provenance[provenance["split"] == "train"]
    twins = rows[rows["kind"] == "erased"].set_index(["video", "frame_index"])["image"].to_dict()
    found: dict[str, list[Mark]] = {}
    for profile, of_game in rows[(rows["kind"] == "as-is") & (rows["objects"] == 1)].groupby("profile"):
        frames = [row for row in of_game.to_dict("records") if (row["video"], row["frame_index"]) in twins]
        for row in [frames[place] for place in evenly(len(frames), _MARKS)]:
            image, objects = read_objects(dataset, row["image"])
            without = read_rgb(dataset / twins[row["video"], row["frame_index"]])
            if (mark := mark_of(image, without, objects.xyxy[0])) is not None:
                found.setdefault(str(profile), []).append(mark)
    return found


def mark_of(image: np.ndarray, without: np.ndarray, target: np.ndarray) -> Mark | None:
    """The mark of a target: the pixels around it that differ from the image with marks erased.

    Args:
        image: RGB uint8 (H, W, 3); ``without`` likewise.
        target: xyxy (4,).

    Returns:
        None if too few pixels differ.
    """
    middle, half = (target[:2] + target[2:]) / 2, max(_AROUND_PX, _AROUND * (target[2:] - target[:2]).max())
    height, width = image.shape[:2]
    x1, y1 = np.floor(middle - half).astype(int).clip(0)
    x2, y2 = np.ceil(middle + half).astype(int).clip(0, [width, height])
    differ = cv2.absdiff(image[y1:y2, x1:x2], without[y1:y2, x1:x2]).max(axis=2)
    core = differ >= _DRAWN
    if int(core.sum()) < _LEAST_PIXELS:
        return None
    near = cv2.dilate(core.astype(np.uint8), np.ones((3, 3), np.uint8)) > 0
    alpha = np.where(near, np.clip(differ / (2 * _DRAWN), 0, 1), 0).astype(np.float32)
    return Mark(image[y1:y2, x1:x2].copy(), alpha, target - np.array([x1, y1, x1, y1]))


def recoloured(mark: Mark, rng: np.random.Generator) -> Mark:
    """The mark in another hue, and more or less vivid."""
    colours = cv2.cvtColor(mark.image, cv2.COLOR_RGB2HSV).astype(np.float32)
    colours[..., 0] = (colours[..., 0] + rng.integers(180)) % 180
    colours[..., 1:] = np.clip(colours[..., 1:] * rng.uniform(*_VIVID, 2), 0, 255)
    return replace(mark, image=cv2.cvtColor(colours.astype(np.uint8), cv2.COLOR_HSV2RGB))


def room_around(rng: np.random.Generator) -> float:
    """Draw at random how much larger a mark is, relative to its target, than the recorded one."""
    return float(np.exp(rng.uniform(*np.log(_ROOM))))


def draw_mark(scene: Scene, mark: Mark, box: np.ndarray, room: float = 1.0) -> Scene:
    """The scene with a mark around a box; its labels stay the same.

    Args:
        box: xyxy (4,) of the target to mark, or a box without a target.
        room: size of the mark relative to its target's, over that of the recorded one.
    """
    sides = [(some[2:] - some[:2]).max() for some in (box, mark.target)]
    scale = float(np.clip(room * sides[0] / max(sides[1], 1), *_RESIZED))
    height, width = mark.alpha.shape
    size = (max(round(width * scale), 1), max(round(height * scale), 1))
    image, alpha = cv2.resize(mark.image, size), cv2.resize(mark.alpha, size)
    middle = (mark.target[:2] + mark.target[2:]) / 2 * scale
    x, y = ((box[:2] + box[2:]) / 2 - middle).round().astype(int)
    x1, y1 = max(x, 0), max(y, 0)
    x2, y2 = min(x + size[0], scene.image.shape[1]), min(y + size[1], scene.image.shape[0])
    if x1 >= x2 or y1 >= y2:
        return scene
    result = scene.image.copy()
    soft = alpha[y1 - y : y2 - y, x1 - x : x2 - x, None]
    place = result[y1:y2, x1:x2]
    place[:] = (soft * image[y1 - y : y2 - y, x1 - x : x2 - x] + (1 - soft) * place).round().astype(np.uint8)
    return replace(scene, image=result)
