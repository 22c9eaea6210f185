"""What is drawn in the colour of a game's marks: text, arrows and icons of the HUD.

A HUD is drawn in few colours. What shows hardly any other than that of the mark, such as an arrow to what is
off the screen, is a part of the HUD that moves.
"""

from collections.abc import Sequence

import cv2
import numpy as np

from gotowce_dagster.training.marks_pasted import Mark

_CORE = 0.9
"""Opacity of a mark's pixels that tell its colour."""
_TINTED = 10.0
"""A colour nearer to grey than this, in levels of Cr and Cb, is none."""
_HUE_DEG = 20.0
"""Maximum difference of a hue from the mark's; thin lines in a video are duller, of the same hue."""
_DULL = 0.15
"""Minimum saturation relative to the mark's."""
_DIFFERS = 24
"""Minimum difference in levels, in some channel, of a pixel of an object from what is around its box."""
_AROUND = 2
"""Pixels around a box that show what is behind its object."""
_LEAST_PIXELS = 6
"""An object of fewer pixels has no colour."""
_ONLY = 0.8
"""Minimum share of an object's pixels that have the mark's colour."""


def tints(marks: Sequence[Mark]) -> np.ndarray:
    """The colours of marks, without those that are grey: Cr and Cb minus 128, float (n, 2)."""
    shown = [_chroma(mark.image)[mark.alpha >= _CORE] for mark in marks]
    found = np.array([np.median(some, axis=0) for some in shown if len(some)]).reshape(-1, 2)
    return found[np.hypot(*found.T) >= _TINTED]


def have_colour(image: np.ndarray, boxes: np.ndarray, tints: np.ndarray) -> np.ndarray:
    """bool (n,): whether what a box shows has hardly any colours but these.

    Args:
        image: RGB uint8 (H, W, 3).
        boxes: xyxy float (n, 4).
        tints: as of ``tints``; none: no box has.
    """
    if not len(tints):
        return np.zeros(len(boxes), bool)
    return np.array([_has_colour(image, box, tints) for box in boxes], bool)


def _has_colour(image: np.ndarray, box: np.ndarray, tints: np.ndarray) -> bool:
    size = np.array(image.shape[1::-1])
    x1, y1 = np.clip(np.floor(box[:2]).astype(int) - _AROUND, 0, size).tolist()
    x2, y2 = np.clip(np.ceil(box[2:]).astype(int) + _AROUND, 0, size).tolist()
    part = image[y1:y2, x1:x2]
    if not part.size:
        return False
    edge = np.concatenate([part[0], part[-1], part[:, 0], part[:, -1]])
    chroma = _chroma(part)[np.abs(part - np.median(edge, axis=0)).max(axis=2) >= _DIFFERS]
    if len(chroma) < _LEAST_PIXELS:
        return False
    lengths = np.hypot(*tints.T)
    along = chroma @ (tints / lengths[:, None]).T
    across = np.abs(chroma @ (tints[:, ::-1] * [1, -1] / lengths[:, None]).T)
    is_vivid = along >= np.maximum(_DULL * lengths, _TINTED)
    is_alike = is_vivid & (across <= np.tan(np.deg2rad(_HUE_DEG)) * along)
    return bool(is_alike.any(axis=1).mean() >= _ONLY)


def _chroma(image: np.ndarray) -> np.ndarray:
    """Cr and Cb minus 128, float (H, W, 2), of an RGB image."""
    return cv2.cvtColor(image, cv2.COLOR_RGB2YCrCb)[..., 1:].astype(float) - 128
