"""Whether a line is the rim of an area: a filled sign seen by the colours that blur gives its edge.

A line differs from what is inside and outside of it. At the rim of a filled sign colours run from the sign's
to the ground's, and a set of colours between the two shows a ring where there is a disc.
"""

import cv2
import numpy as np

from gotowce_dagster.designators.evidence import CONTRAST

_WIDE = 5
"""Pixels outside of a line that show the ground."""
_FURTHEST = 0.88
"""How far on the way from the outside's colour to the inside's the colour of a rim lies at most."""


def is_rim(ycrcb: np.ndarray, line: np.ndarray) -> bool:
    """Whether the pixels of a line have colours between those inside and those outside of it, or the latter.

    Args:
        ycrcb: uint8 (H, W, 3).
        line: bool (H, W).
    """
    y, x = np.nonzero(line)
    if len(x) < 6:
        return False
    hull = cv2.convexHull(np.c_[x, y].astype(np.int32))
    filled = cv2.fillConvexPoly(np.zeros(line.shape, np.uint8), hull, 1)
    near = _grown(line.astype(np.uint8), 1)
    inside = ((1 - _grown(1 - filled, 1)) > 0) & (near == 0)
    outside = (_grown(filled, _WIDE) > 0) & (_grown(filled, 2) == 0)
    if inside.sum() < 4 or outside.sum() < 4:
        return False
    inner, outer, own = (np.median(ycrcb[where], axis=0).astype(float) for where in (inside, outside, line))
    way = (inner - outer) / CONTRAST
    length = float(way @ way)
    if length < 4:  # nothing differs inside
        return False
    at = (own - outer) / CONTRAST
    share = float(at @ way) / length
    aside = float(np.linalg.norm(at - share * way))
    return share <= _FURTHEST and aside <= max(1.0, 0.3 * np.sqrt(length))


def _grown(mask: np.ndarray, by: int) -> np.ndarray:
    return np.asarray(cv2.dilate(mask, np.ones((2 * by + 1, 2 * by + 1), np.uint8)))
