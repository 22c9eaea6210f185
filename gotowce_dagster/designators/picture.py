"""The picture of a learned mark: colours with their opacity, and how a profile keeps them."""

import base64
import binascii
from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np

FINEST = 64
"""Rows and columns that a cut-out has at most."""


@dataclass(frozen=True, eq=False)
class Cutout:
    """A mark without its background."""

    colour: np.ndarray
    """float32 (h, w, 3): YCrCb."""
    opacity: np.ndarray
    """float32 (h, w), 0 to 1."""

    @property
    def sides(self) -> np.ndarray:
        """Width and height: int (2,)."""
        return np.array(self.opacity.shape[::-1])

    def scaled(self, width: int, height: int) -> "Cutout":
        """The cut-out with other sides, its colours weighted by their opacity."""
        way = cv2.INTER_AREA if width < self.opacity.shape[1] else cv2.INTER_LINEAR
        opacity = cv2.resize(self.opacity, (width, height), interpolation=way)
        paint = cv2.resize(self.colour * self.opacity[..., None], (width, height), interpolation=way)
        return Cutout(paint / np.maximum(opacity, 1e-3)[..., None], opacity)

    def padded(self, margin: int) -> "Cutout":
        """The cut-out with so many transparent pixels around."""
        around = ((margin, margin), (margin, margin))
        return Cutout(np.pad(self.colour, (*around, (0, 0))), np.pad(self.opacity, around))


def written(cutout: Cutout, width: int = 100) -> tuple[str, ...]:
    """A cut-out as lines of text: a PNG of Y, Cr, Cb and opacity."""
    picture = np.dstack((cutout.colour, 255 * cutout.opacity)).round().clip(0, 255).astype(np.uint8)
    text = base64.b64encode(cv2.imencode(".png", picture)[1].tobytes()).decode()
    return tuple(text[begin : begin + width] for begin in range(0, len(text), width))


def read(lines: Sequence[str]) -> Cutout:
    """The cut-out of such lines.

    Raises:
        ValueError: they are not the picture of one.
    """
    try:
        data = np.frombuffer(base64.b64decode("".join(lines), validate=True), np.uint8)
        picture = cv2.imdecode(data, cv2.IMREAD_UNCHANGED) if len(data) else None
    except (binascii.Error, cv2.error):
        picture = None
    if picture is None or picture.ndim != 3 or picture.shape[2] != 4 or picture.dtype != np.uint8:
        raise ValueError("expected a PNG with four channels of 8 bits (Y, Cr, Cb, opacity)")
    if max(picture.shape[:2]) > FINEST or not picture[..., 3].any():
        raise ValueError(f"expected at most {FINEST} rows and columns, not all transparent")
    values = picture.astype(np.float32)
    return Cutout(values[..., :3], values[..., 3] / 255)
