"""Which pixels of a frame have a designator's colours."""

import cv2
import numpy as np

from gotowce_dagster.detectors.profile import Designator

CONTRAST = np.array([24, 12, 12])
"""A pixel that differs by so much in Y, Cr or Cb stands out from compression noise and clouds."""
FLOOD = 0.015
"""A mask that fills more of the frame than this has taken a cloud or a planet for the mark."""
SURROUNDINGS = 11
"""Side in pixels of the square around a pixel from which it must stand out then."""


def to_ycrcb(image: np.ndarray) -> np.ndarray:
    """RGB uint8 (H, W, 3) to the colour space of profiles."""
    return cv2.cvtColor(image, cv2.COLOR_RGB2YCrCb)


def mark_mask(ycrcb: np.ndarray, designator: Designator) -> np.ndarray:
    """Pixels that have one of the mark's colours: uint8 (H, W) of 0 and 1.

    Where much of the scene has them too, only those that stand out from their surroundings.
    """
    masks = [np.asarray(cv2.inRange(ycrcb, *colour.bounds)) for colour in designator.colours]
    mask = masks[0] if len(masks) == 1 else np.maximum.reduce(masks)
    if cv2.countNonZero(mask) > FLOOD * mask.size:
        around = cv2.blur(ycrcb, (SURROUNDINGS, SURROUNDINGS))
        alike_around = cv2.inRange(cv2.absdiff(ycrcb, around), (0.0, 0.0, 0.0), tuple(CONTRAST / 2))
        mask[np.asarray(alike_around, bool)] = 0
    return np.bitwise_and(mask, 1, out=mask)
