"""Glows: stars, lamps, flares and fireballs, which look the same when they are turned by a quarter."""

import cv2
import numpy as np

_AROUND = 2
"""Pixels around a box that show what is behind it."""
_BRIGHTER = 8
"""Minimum difference in levels of a pixel that tells where the middle of a glow is."""
_LEAST_CONTRAST = 3.0
"""Minimum standard deviation of a look in levels; less is coding noise."""
_ALIKE = 0.9
"""Minimum correlation of a glow with itself turned by a quarter and by a half."""


def are_round(image: np.ndarray, boxes: np.ndarray) -> np.ndarray:
    """bool (n,): whether what each box shows looks the same when it is turned.

    Args:
        image: RGB uint8 (H, W, 3).
        boxes: xyxy float (n, 4).
    """
    grey = cv2.cvtColor(image, cv2.COLOR_RGB2GRAY).astype(np.float32)
    return np.array([_is_round(grey, box) for box in boxes], bool)


def _is_round(grey: np.ndarray, box: np.ndarray) -> bool:
    size = np.array(grey.shape[::-1])
    x1, y1 = np.clip(np.floor(box[:2]).astype(int) - _AROUND, 0, size).tolist()
    x2, y2 = np.clip(np.ceil(box[2:]).astype(int) + _AROUND, 0, size).tolist()
    part = grey[y1:y2, x1:x2]
    if not part.size:
        return False
    edge = np.concatenate([part[0], part[-1], part[:, 0], part[:, -1]])
    bright = np.clip(part - np.median(edge) - _BRIGHTER, 0, None)
    if not bright.any():
        return False
    # The box of a glow is hardly ever centred on it.
    y, x = np.mgrid[y1:y2, x1:x2]
    middle = float(np.average(x, weights=bright)), float(np.average(y, weights=bright))
    side = int((box[2:] - box[:2]).max()) + _AROUND
    look = cv2.getRectSubPix(grey, (side | 1, side | 1), middle)
    if look.std() < _LEAST_CONTRAST:
        return False
    turned = [np.corrcoef(look.ravel(), np.rot90(look, quarters).ravel())[0, 1] for quarters in (1, 2)]
    return bool(min(turned) >= _ALIKE)
