"""Colours, sizes and lines of drawn marks."""

from collections.abc import Sequence

import cv2
import numpy as np

COLOURS = ((60, 230, 70), (235, 60, 50), (240, 210, 60), (70, 200, 245), (230, 70, 220), (250, 140, 40))
"""RGB of marks."""
SIGNS = {"chevron": (18, 12), "bar": (44, 5), "dot": (10, 10), "skull": (30, 34), "plate": (46, 26)}
"""Width and height at 720p of marks that do not grow with their target."""


def fixed(points: np.ndarray) -> np.ndarray:
    """Points in OpenCV's fixed-point coordinates, with a shift of 4 bits."""
    return np.round(points * 16).astype(np.int32)


def dashed(image: np.ndarray, box: tuple[int, ...], colour: Sequence[int], dash: int) -> None:
    """Draw a box xyxy in place, with dashes of so many pixels; 0: a closed line."""
    x1, y1, x2, y2 = box
    if not dash:
        cv2.rectangle(image, (x1, y1), (x2, y2), colour, 1)
        return
    for begin in range(x1, x2 + 1, 2 * dash):
        end = min(begin + dash - 1, x2)
        cv2.line(image, (begin, y1), (end, y1), colour, 1)
        cv2.line(image, (begin, y2), (end, y2), colour, 1)
    for begin in range(y1, y2 + 1, 2 * dash):
        end = min(begin + dash - 1, y2)
        cv2.line(image, (x1, begin), (x1, end), colour, 1)
        cv2.line(image, (x2, begin), (x2, end), colour, 1)
