"""Square crops around designators, and conversion between crop and frame coordinates."""

from dataclasses import dataclass

import cv2
import numpy as np


@dataclass(frozen=True)
class Crop:
    """A window of a frame: whole pixels, x2 and y2 exclusive."""

    x1: int
    y1: int
    x2: int
    y2: int

    @classmethod
    def of_mask(cls, mask: np.ndarray) -> "Crop | None":
        """The smallest window around a bool mask (H, W); None where it is empty."""
        x, y, width, height = cv2.boundingRect(mask.astype(np.uint8))
        return cls(x, y, x + width, y + height) if width else None

    @property
    def box(self) -> np.ndarray:
        """xyxy float (4,)."""
        return np.array([self.x1, self.y1, self.x2, self.y2], float)

    def cut(self, image: np.ndarray) -> np.ndarray:
        """The window's part of an image or mask (H, W, ...), contiguous."""
        return np.ascontiguousarray(image[self.y1 : self.y2, self.x1 : self.x2])

    def to_crop(self, xy: np.ndarray) -> np.ndarray:
        """Convert frame to window coordinates; the last axis alternates x, y, so boxes work too."""
        return xy - np.resize([self.x1, self.y1], np.shape(xy)[-1])

    def to_frame(self, xy: np.ndarray) -> np.ndarray:
        """Convert window to frame coordinates; the inverse of to_crop."""
        return xy + np.resize([self.x1, self.y1], np.shape(xy)[-1])

    def paste(self, mask: np.ndarray, height: int, width: int) -> np.ndarray:
        """Paste a mask of the window into an empty bool mask (height, width) of the frame."""
        whole = np.zeros((height, width), bool)
        whole[self.y1 : self.y2, self.x1 : self.x2] = mask
        return whole


def around(box: np.ndarray, scale: float, height: int, width: int) -> Crop:
    """Compute the square crop of ``scale`` sides of a box (xyxy, pixels) around its centre.

    At the edge of the frame the crop is moved inward before it is clipped, so that the model gets a square
    wherever the frame is large enough.

    Raises:
        ValueError: the box lies outside the frame.
    """
    x1, y1, x2, y2 = box
    if x2 <= 0 or y2 <= 0 or x1 >= width or y1 >= height:
        raise ValueError(f"box {np.round(box, 1).tolist()} lies outside a frame of {width}x{height}")
    side = max(1, round(scale * max(x2 - x1, y2 - y1)))
    left, right = _span((x1 + x2) / 2, side, width)
    top, bottom = _span((y1 + y2) / 2, side, height)
    return Crop(left, top, right, bottom)


def _span(centre: float, side: int, limit: int) -> tuple[int, int]:
    start = min(max(round(centre - side / 2), 0), max(limit - side, 0))
    return start, min(start + side, limit)
