"""Lines along the silhouette of a target: thin closed curves that enclose an area.

What tells them from other pieces of the mask: much is enclosed by few pixels. Rectangles and rings are
enclosing lines as well; calibration prefers those families where they fit.
"""

from collections.abc import Sequence

import cv2
import numpy as np

from gotowce_dagster.designators.base import (
    Draft,
    Scene,
    Sighting,
    blobs_of,
    closed,
    crop,
    fits_size,
    inset_of,
    pixels_in,
    ramp,
    shape_of,
    sizes,
)
from gotowce_dagster.designators.profile import Look, OutlineLook

CLOSE, _WIDE_CLOSE = 2, 4
"""Gaps in the line in pixels that are closed; the latter in lines as wide as that, which compression breaks
where the ground resembles them."""
_ONE_SHAPE = 0.14
"""Examples whose aspects differ by less, as a logarithm, are of one shape, which other marks nearly keep."""


class Outline:
    """The family of outlines."""

    def learn(self, scenes: Sequence[Scene], boxes: Sequence[np.ndarray], draft: Draft) -> list[Look]:
        """See base.Family."""
        enclosed, widths, hollows, near, drawn = [], [], [], [], []
        for scene, box in zip(scenes, boxes, strict=True):
            found = [
                measured
                for measured in _enclosing(pixels_in(scene.mask, box, 5).astype(np.uint8), 5)
                if np.abs(measured[0] - box).max() <= 6
            ]
            if found:
                around, share, width, hollow = max(found, key=lambda m: m[1])
                enclosed.append(share)
                widths.append(width)
                hollows.append(hollow)
                near.append(around)
                drawn.append(box)
        if len(enclosed) < max(2, 0.6 * len(boxes)) or min(enclosed) < 0.05:
            return []
        look = OutlineLook(
            **vars(draft),
            **shape_of(boxes, slack=2.5 if _vary(boxes) else 1.6),
            thickness_px=round(float(np.median(widths)), 1),
            enclosed=(round(0.6 * min(enclosed), 2), round(min(1.0, 1.4 * max(enclosed)), 2)),
            hollow=round(0.6 * min(hollows), 2),
            inset_px=inset_of(near, drawn),
        )
        return [look]

    def find(self, scene: Scene, look: Look) -> list[Sighting]:
        """See base.Family."""
        assert isinstance(look, OutlineLook)
        found = _sightings(scene.mask, look, CLOSE)
        if look.thickness_px >= _WIDE_CLOSE:
            broken = _sightings(scene.mask, look, _WIDE_CLOSE)
            found += [other for other in broken if not any(_overlap(other.box, s.box) for s in found)]
        return found

    def mark_pixels(self, mask: np.ndarray, box: np.ndarray, look: Look) -> np.ndarray:
        """See base.Family."""
        return pixels_in(mask, box, 3)


def _sightings(mask: np.ndarray, look: OutlineLook, reach: int) -> list[Sighting]:
    """Outlines in a mask whose gaps of ``reach`` pixels are closed."""
    low, high = look.enclosed
    found = []
    for box, share, width, hollow in _enclosing(mask, look.size_px[0], reach):
        if not fits_size(box, look):
            continue
        confidence = ramp(share, 0.6 * low, low) * ramp(share, min(1.4 * high, 1.2), high)
        confidence *= ramp(width, 2.2 * look.thickness_px + 1, 1.5 * look.thickness_px + 0.5)
        # A mark of half the size has a line of half the width at least.
        confidence *= ramp(width, 0.25 * look.thickness_px, 0.5 * look.thickness_px)
        confidence *= ramp(hollow, 0.6 * look.hollow, look.hollow) if look.hollow else 1.0
        if confidence > 0.2:
            found.append(Sighting(box, confidence))
    return found


def _overlap(one: np.ndarray, other: np.ndarray) -> bool:
    return bool((np.maximum(one[:2], other[:2]) < np.minimum(one[2:], other[2:])).all())


def _vary(boxes: Sequence[np.ndarray]) -> bool:
    """Whether boxes differ in shape, as those of targets that turn do."""
    size = sizes(boxes)
    return bool(np.ptp(np.log(size[:, 0] / size[:, 1])) > _ONE_SHAPE)


def _enclosing(
    mask: np.ndarray, smallest: float, reach: int = CLOSE
) -> list[tuple[np.ndarray, float, float, float]]:
    """Pieces of a mask that enclose something when gaps of ``reach`` pixels are closed: box, share of the box
    enclosed, mean width of the line, and which share of what is enclosed is one hole: words have several, and
    small ones."""
    joined = closed(mask, reach)
    blobs = blobs_of(joined, least=12)
    found = []
    for number, box in enumerate(blobs.boxes):
        size = box[2:] - box[:2]
        # Solid pieces enclose nothing, and most of a HUD is text.
        if size.max() < smallest - 2 or min(size) < 5 or blobs.area[number] > 0.8 * np.prod(size):
            continue
        part, _, _ = crop(blobs.image, box)
        own = cv2.copyMakeBorder(
            (part == blobs.numbers[number]).astype(np.uint8), 1, 1, 1, 1, cv2.BORDER_CONSTANT
        )
        around = own.copy()
        cv2.floodFill(around, None, (0, 0), 1)
        inside = float((around == 0).sum())
        if inside < max(6.0, 0.02 * np.prod(size)):
            continue
        _, _, holes, _ = cv2.connectedComponentsWithStats((around == 0).astype(np.uint8), connectivity=4)
        largest = float(holes[1:, cv2.CC_STAT_AREA].max())
        contours, _ = cv2.findContours(own, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)
        length = max(sum(len(contour) for contour in contours), 1)
        line, _, _ = crop(mask, box)
        width = float((line & own[1:-1, 1:-1]).sum()) / length
        enclosed = inside + float(own.sum())
        found.append((box, enclosed / float(np.prod(size)), width, largest / enclosed))
    return found
