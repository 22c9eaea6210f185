"""Close-ups of targets: the designator, and the outline of the mask on the original pixels."""

import cv2
import numpy as np

from gotowce_dagster.core.crops import around

Colour = tuple[int, int, int]
GREEN, AMBER, RED, WHITE = (90, 230, 110), (255, 190, 60), (255, 85, 85), (225, 225, 225)


def target_closeup(
    image_rgb: np.ndarray, box: np.ndarray, mask: np.ndarray | None, colour: Colour, side: int = 320
) -> np.ndarray:
    """Crop a frame to twice the designator's size, enlarge it and outline the mask.

    Args:
        image_rgb: uint8 (H, W, 3), not modified.
        box: the designator, xyxy (4,) in pixels.
        mask: bool (H, W) of the target, or None.
        colour: RGB of the outline and of the picture's border.

    Returns:
        RGB uint8 (side, side, 3).
    """
    crop = around(box, 2.0, *image_rgb.shape[:2])
    picture = cv2.resize(crop.cut(image_rgb), (side, side), interpolation=cv2.INTER_CUBIC)
    if mask is not None:
        large = cv2.resize(crop.cut(mask).astype(np.uint8), (side, side), interpolation=cv2.INTER_NEAREST)
        outlines, _ = cv2.findContours(large, cv2.RETR_LIST, cv2.CHAIN_APPROX_NONE)
        cv2.drawContours(picture, outlines, -1, colour, 1, cv2.LINE_AA)
    cv2.rectangle(picture, (0, 0), (side - 1, side - 1), colour, 4)
    return picture
