"""Small signs above, below or at the target: chevrons, triangles, dots, bars, icons.

A piece of the mask, or a few pieces close together, whose picture is like the mean picture of the examples.
"""

from collections.abc import Sequence

import cv2
import numpy as np

from gotowce_dagster.designators.base import (
    Blobs,
    Draft,
    Scene,
    Sighting,
    blobs_of,
    closed,
    fits_size,
    inset_of,
    pixels_in,
    ramp,
    shape_of,
)
from gotowce_dagster.designators.profile import BesideLook, Look

GRID = 12
"""Rows and columns of the kept picture."""
CLOSE = 2
"""Gaps in pixels inside a sign that are closed."""


class Beside:
    """The family of small signs."""

    def learn(self, scenes: Sequence[Scene], boxes: Sequence[np.ndarray], draft: Draft) -> list[Look]:
        """See base.Family."""
        pictures, near, drawn, solid = [], [], [], []
        for scene, box in zip(scenes, boxes, strict=True):
            joined = closed(pixels_in(scene.mask, box, 4).astype(np.uint8), CLOSE)
            blobs = blobs_of(joined, least=6)
            off = np.abs(blobs.boxes - box).max(axis=1) if len(blobs.boxes) else np.zeros(0)
            if len(off) and off.min() <= 4:
                best = int(off.argmin())
                pictures.append(_picture(blobs, best))
                near.append(blobs.boxes[best])
                drawn.append(box)
                size = near[-1][2:] - near[-1][:2]
                solid.append(blobs.area[best] / np.prod(size))
        if len(pictures) < max(2, 0.6 * len(boxes)):
            return []
        mean = np.mean(pictures, axis=0)
        rows = tuple("".join(str(round(9 * float(value))) for value in row) for row in mean)
        look = BesideLook(
            **vars(draft),
            **shape_of(near, smaller=0.75, larger=1.5, slack=1.3),
            thickness_px=2,
            picture=rows,
            solid=round(float(np.median(solid)), 2),
            inset_px=inset_of(near, drawn),
        )
        return [look]

    def find(self, scene: Scene, look: Look) -> list[Sighting]:
        """See base.Family."""
        assert isinstance(look, BesideLook)
        blobs = blobs_of(closed(scene.mask, CLOSE), least=6)
        wanted = np.array([[int(digit) for digit in row] for row in look.picture], np.float32) / 9
        found = []
        for number, box in enumerate(blobs.boxes):
            if not fits_size(box, look):
                continue
            filled = blobs.area[number] / np.prod(box[2:] - box[:2])
            if abs(filled - look.solid) > 0.25:
                continue
            confidence = ramp(_likeness(_picture(blobs, number), wanted), 0.52, 0.77)
            if confidence > 0.2:
                found.append(Sighting(box, confidence))
        return found

    def mark_pixels(self, mask: np.ndarray, box: np.ndarray, look: Look) -> np.ndarray:
        """See base.Family."""
        return pixels_in(mask, box, 2)


def _picture(blobs: Blobs, number: int) -> np.ndarray:
    """Where a piece is on in its box: float (GRID, GRID)."""
    x1, y1, x2, y2 = blobs.boxes[number].astype(int)
    own = (blobs.image[y1:y2, x1:x2] == blobs.numbers[number]).astype(np.float32)
    return np.asarray(cv2.resize(own, (GRID, GRID), interpolation=cv2.INTER_AREA))


def _likeness(one: np.ndarray, other: np.ndarray) -> float:
    """What two pictures share over what either has, 0 to 1."""
    return float(np.minimum(one, other).sum() / max(np.maximum(one, other).sum(), 1e-6))
