"""How sharp what a box shows is: a target has edges, a cloud has none."""

import cv2
import numpy as np

STEP = 2
"""Factor by which frames are reduced, in which noise of single pixels is no edge."""


def gradient(image: np.ndarray) -> np.ndarray:
    """Gradient in levels per pixel, float32 of the image's shape."""
    levels = image.astype(np.float32)
    # Sobel's weights add up to four.
    return np.hypot(cv2.Sobel(levels, cv2.CV_32F, 1, 0), cv2.Sobel(levels, cv2.CV_32F, 0, 1)) / 4


def sharpness(image: np.ndarray, boxes: np.ndarray) -> np.ndarray:
    """Mean gradient of each box in the reduced frame, in levels per pixel of it; 0 outside, float (n,).

    Args:
        image: RGB uint8 (H, W, 3).
        boxes: xyxy float (n, 4).
    """
    size = image.shape[1] // STEP, image.shape[0] // STEP
    sharp = gradient(cv2.resize(image, size, interpolation=cv2.INTER_AREA)).max(axis=2)
    found = np.zeros(len(boxes))
    for number, (x1, y1, x2, y2) in enumerate(np.round(boxes / STEP).astype(int).clip(0)):
        place = sharp[y1:y2, x1:x2]
        found[number] = place.mean() if place.size else 0
    return found
