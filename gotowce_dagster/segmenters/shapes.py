"""A target's outline against its designator, so that its masks in different frames can be compared."""

from collections.abc import Sequence

import cv2
import numpy as np

from gotowce_dagster.core.crops import Crop

_SIDE = 64


def shape(mask: np.ndarray, box: np.ndarray) -> np.ndarray:
    """A mask around its own middle, its designator 64 pixels wide: float32 (64, 64), 0 to 1.

    Size counts, against the designator; place does not, for it wanders by a pixel or two.

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
    """IoU of a shape with the one most like it; NaN where there is none.

    Of pixels that belong to a shape in part, the part that both share counts (Ruzicka similarity).
    """
    shared = [np.minimum(one, other).sum() / np.maximum(one, other).sum() for other in others]
    return float(max(shared, default=np.nan))
