"""Separate targets from their marks: images with marks erased, and cutouts of targets."""

from collections.abc import Sequence

import numpy as np
import pandas as pd

from gotowce_dagster.core import rle
from gotowce_dagster.core.boxes import BOX
from gotowce_dagster.core.tables import records
from gotowce_dagster.designators.erase import Erased, erase
from gotowce_dagster.designators.profile import AnyDesignator, Profile

_MARGIN = 2
"""Margin in pixels of a cutout, so that its edge can be blended."""


def marks_in(detections: pd.DataFrame, profile: Profile) -> list[tuple[np.ndarray, AnyDesignator]]:
    """The marks of one frame: box (xyxy) and designator.

    Args:
        detections: rows of tables.DETECTIONS. Those without a designator of the profile are skipped, because
            the look of their marks is unknown.
    """
    known = {designator.name: designator for designator in profile.designators}
    return [
        (np.array([row[side] for side in BOX], float), known[row["prompt"]])
        for row in records(detections)
        if row["prompt"] in known
    ]


def without_marks(
    image: np.ndarray,
    marks: Sequence[tuple[np.ndarray, AnyDesignator]],
    labels: pd.DataFrame,
    others: Sequence[np.ndarray] = (),
) -> Erased:
    """An image with its marks erased and every target unchanged.

    Args:
        image: RGB uint8 (H, W, 3).
        labels: rows of tables.LABELS of the frame; rejected masks are not protected: they may be the mark.
        others: see designators.erase.erase.
    """
    return erase(image, marks, _targets(image.shape[:2], labels), others)


def cutouts(image: np.ndarray, labels: pd.DataFrame) -> list[tuple[str, np.ndarray]]:
    """Cut out each labelled target along its mask: its class and RGBA uint8 (h, w, 4).

    Labels without a mask give none, because their box would contain the surroundings.
    """
    found = []
    for row in records(labels):
        if not isinstance(row["rle"], str):
            continue
        mask = rle.mask_of(row)
        y, x = np.nonzero(mask)
        window = (
            slice(max(y.min() - _MARGIN, 0), y.max() + 1 + _MARGIN),
            slice(max(x.min() - _MARGIN, 0), x.max() + 1 + _MARGIN),
        )
        alpha = (mask[window] * 255).astype(np.uint8)
        found.append((row["class_name"], np.dstack([image[window], alpha])))
    return found


def _targets(shape: tuple[int, int], labels: pd.DataFrame) -> np.ndarray:
    """bool (H, W): the pixels of targets; the whole box of a target without a mask."""
    targets = np.zeros(shape, bool)
    for row in records(labels[labels["verdict"] != "reject"]):
        if isinstance(row["rle"], str):
            targets |= rle.mask_of(row)
        else:
            x1, y1, x2, y2 = (max(round(row[side]), 0) for side in BOX)
            targets[y1:y2, x1:x2] = True
    return targets
