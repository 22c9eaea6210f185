"""Telling targets and their marks apart in the frames of a video: pictures without marks, targets cut out."""

from collections.abc import Sequence

import numpy as np
import pandas as pd

from gotowce_dagster.core import rle
from gotowce_dagster.core.boxes import BOX
from gotowce_dagster.designators.erase import Erased, erase
from gotowce_dagster.designators.profile import AnyDesignator, Profile

_MARGIN = 2
"""Pixels around a target that a cutout keeps, so that its edge can be blended."""


def marks_in(detections: pd.DataFrame, profile: Profile) -> list[tuple[np.ndarray, AnyDesignator]]:
    """The marks of one frame, as box (xyxy) and designator.

    Args:
        detections: rows of tables.DETECTIONS. Those of detectors that know no designator of the profile are
            passed over: nobody knows what their marks look like.
    """
    known = {designator.name: designator for designator in profile.designators}
    return [
        (np.array([row[side] for side in BOX], float), known[row["prompt"]])
        for row in detections.to_dict("records")
        if row["prompt"] in known
    ]


def without_marks(
    image: np.ndarray,
    marks: Sequence[tuple[np.ndarray, AnyDesignator]],
    labels: pd.DataFrame,
    others: Sequence[np.ndarray] = (),
) -> Erased:
    """A picture with its marks painted over and every target as it was.

    Args:
        image: RGB uint8 (H, W, 3).
        labels: rows of tables.LABELS of the frame; rejected masks protect nothing, for they may be the mark.
        others: see designators.erase.erase.
    """
    return erase(image, marks, _targets(image.shape[:2], labels), others)


def cutouts(image: np.ndarray, labels: pd.DataFrame) -> list[tuple[str, np.ndarray]]:
    """Every label's target cut out along its mask: its class and RGBA uint8 (h, w, 4).

    Labels without a mask give none: their box would bring its surroundings along.
    """
    found = []
    for row in labels.to_dict("records"):
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
    """bool (H, W): the pixels of targets; the whole box where there is no mask."""
    targets = np.zeros(shape, bool)
    for row in labels[labels["verdict"] != "reject"].to_dict("records"):
        if isinstance(row["rle"], str):
            targets |= rle.mask_of(row)
        else:
            x1, y1, x2, y2 = (max(round(row[side]), 0) for side in BOX)
            targets[y1:y2, x1:x2] = True
    return targets
