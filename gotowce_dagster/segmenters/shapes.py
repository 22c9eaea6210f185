"""Shapes of masks relative to their designators, for comparing an object's masks across frames."""

from collections.abc import Sequence

import cv2
import numpy as np

from gotowce_dagster.core.crops import Crop

_SIDE = 64


def shape(mask: np.ndarray, box: np.ndarray) -> np.ndarray:
    """Normalize a mask: centred, scaled so that its designator is 64 pixels wide; float32 (64, 64), 0 to 1.

    The size relative to the designator is kept, the position is not: it varies by a pixel or two.

    Args:
        mask: bool (H, W), not empty.
        box: its designator, xyxy (4,) in pixels.
    """
    window = Crop.of_mask(mask)
    assert window is not None, "an empty mask has no shape"
    part = window.cut(mask).astype(np.float32)
    scale = _SIDE / max(box[2] - box[0], box[3] - box[1])
    rows, columns = np.nonzero(part)
    middle = np.array([columns.mean(), rows.mean()]) + 0.5
    move = _SIDE / 2 - scale * middle
    return cv2.warpAffine(part, np.array([[scale, 0, move[0]], [0, scale, move[1]]]), (_SIDE, _SIDE))


def best_likeness(one: np.ndarray, others: Sequence[np.ndarray]) -> float:
    """Compute the IoU of a shape with the most similar one; NaN if there are none.

    Pixels that partly belong to a shape count with their shared part (Ruzicka similarity).
    """
    shared = [np.minimum(one, other).sum() / np.maximum(one, other).sum() for other in others]
    return float(max(shared, default=np.nan))
