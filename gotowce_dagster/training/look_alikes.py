"""Look-alikes: how often what a box shows is seen elsewhere in the same frame.

A target is rare, but a star, a wisp of a nebula or a blade of grass has dozens of others like it around it.
So what has many look-alikes is background, without a model and without a human.
"""

from pathlib import Path

import cv2
import numpy as np
import pandas as pd

from gotowce_dagster.labels.export import read_objects

_STEP = 2
"""Factor by which frames are reduced for the first search."""
_AROUND = 2
"""Pixels around a box that count as its look: a spot is known by its edge."""
_ALIKE = 0.8
"""Minimum correlation of a look-alike, whatever its brightness."""
_LEAST_CONTRAST = 1.0
"""Minimum standard deviation of a look in levels; less is coding noise."""
_MANY = 3
"""Number of look-alikes around a box from which it is background."""
_CROWDS = 0.1
"""Share of labelled targets with many look-alikes above which targets of a game come in crowds."""
_FRAMES = 50
"""Number of frames that tell whether they do."""


def have_look_alikes(image: np.ndarray, boxes: np.ndarray) -> np.ndarray:
    """bool (n,): whether what each box shows is seen in many other places of the frame.

    What has one colour has no look.

    Args:
        image: RGB uint8 (H, W, 3).
        boxes: xyxy float (n, 4).
    """
    grey = cv2.cvtColor(image, cv2.COLOR_RGB2GRAY)
    # A reduced frame takes a seventh of the time, but there a small ship is as round as a star.
    reduced = cv2.resize(grey, (grey.shape[1] // _STEP, grey.shape[0] // _STEP), interpolation=cv2.INTER_AREA)
    return np.array(
        [_others(reduced, box / _STEP) >= _MANY and _others(grey, box) >= _MANY for box in boxes], bool
    )


def in_crowds(dataset: Path, provenance: pd.DataFrame) -> set[str]:
    """The games, by profile, in which labelled targets have many look-alikes, so that these prove nothing.

    Args:
        dataset: folder with images and labels; only read.
        provenance: rows of tables.PROVENANCE of it.
    """
    rows = provenance[(provenance["split"] == "train") & (provenance["kind"] != "unknown")]
    # Without marks, for every target of a frame might have one.
    rows = rows.sort_values("kind", ascending=False).drop_duplicates(["video", "frame_index"])
    found = set()
    for profile, some in rows.groupby("profile"):
        shown = (read_objects(dataset, image) for image in _spread(some)["image"])
        many = np.concatenate([have_look_alikes(image, objects.xyxy) for image, objects in shown])
        if len(many) and many.mean() > _CROWDS:
            found.add(str(profile))
    return found


def _spread(rows: pd.DataFrame) -> pd.DataFrame:
    return rows.iloc[np.unique(np.linspace(0, len(rows) - 1, _FRAMES).astype(int))]


def _others(grey: np.ndarray, box: np.ndarray) -> int:
    """Number of places that look like a box, in a region of half the frame's sides around it."""
    shape = np.array(grey.shape[::-1])
    x1, y1 = np.clip(np.round(box[:2]).astype(int) - _AROUND, 0, shape).tolist()
    x2, y2 = np.clip(np.round(box[2:]).astype(int) + _AROUND, 0, shape).tolist()
    look = grey[y1:y2, x1:x2]
    if not look.size or look.std() < _LEAST_CONTRAST:
        return 0
    side = np.maximum(shape // 2, [x2 - x1, y2 - y1])
    left, top = np.clip([(x1 + x2) // 2, (y1 + y2) // 2] - side // 2, 0, shape - side).tolist()
    alike = cv2.matchTemplate(grey[top : top + side[1], left : left + side[0]], look, cv2.TM_CCOEFF_NORMED)
    alike[~np.isfinite(alike)] = 0
    peaks = (alike >= _ALIKE) & (alike >= cv2.dilate(alike, np.ones((max(look.shape),) * 2, np.uint8)))
    # One of them is the box itself.
    return max(int(peaks.sum()) - 1, 0)
