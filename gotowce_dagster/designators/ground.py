"""Rings at the target's feet: ellipses of one flatness, of which the target hides a part.

The flatness is the camera's, so it is learned, and the mask is stretched upright until ellipses are circles.
"""

from collections.abc import Sequence

import cv2
import numpy as np

from gotowce_dagster.designators.base import (
    Draft,
    Scene,
    Sighting,
    fits_size,
    inset_of,
    pixels_in,
    ramp,
    shape_of,
    sizes,
    smallest,
)
from gotowce_dagster.designators.circles import alone, circles, line_seen, line_width
from gotowce_dagster.designators.profile import GroundLook, Look


class Ground:
    """The family of ellipses on the ground."""

    def learn(self, scenes: Sequence[Scene], boxes: Sequence[np.ndarray], draft: Draft) -> list[Look]:
        """See base.Family."""
        size = sizes(boxes)
        aspect = size[:, 0] / size[:, 1]
        if np.median(aspect) < 1.2 or aspect.max() > 2 * aspect.min():
            return []
        draft_look = GroundLook(**vars(draft), **shape_of(boxes, slack=1.2), thickness_px=2, fill=0.6)
        fills, widths, near, drawn = [], [], [], []
        for scene, box in zip(scenes, boxes, strict=True):
            part = Scene(scene.ycrcb, pixels_in(scene.mask, box, 6).astype(np.uint8))
            found = [
                (sighting, fill, width)
                for sighting, fill, width in _ellipses(part.mask, draft_look, measure=True)
                if np.abs(sighting.box - box).max() <= 8
            ]
            if found:
                sighting, fill, width = max(found, key=lambda each: each[1])
                fills.append(fill)
                widths.append(width)
                near.append(sighting.box)
                drawn.append(box)
        if len(fills) < max(2, 0.6 * len(boxes)):
            return []
        update = {
            "fill": round(float(np.median(fills)), 2),
            "thickness_px": round(float(np.median(widths)), 1),
            "inset_px": inset_of(near, drawn),
        }
        return [draft_look.model_copy(update=update)]

    def find(self, scene: Scene, look: Look) -> list[Sighting]:
        """See base.Family."""
        assert isinstance(look, GroundLook)
        return [s for s, *_ in _ellipses(scene.mask, look) if s.confidence > 0.2 and fits_size(s.box, look)]

    def mark_pixels(self, mask: np.ndarray, box: np.ndarray, look: Look) -> np.ndarray:
        """See base.Family: the band of the ellipse's line."""
        y, x = np.indices(mask.shape)
        middle, radius = (box[:2] + box[2:]) / 2, np.maximum((box[2:] - box[:2]) / 2, 1)
        away = np.hypot((x + 0.5 - middle[0]) / radius[0], (y + 0.5 - middle[1]) / radius[1])
        return pixels_in(mask, box, 4) & (np.abs(away - 1) <= max(0.2, 4 / radius.min()))


def _ellipses(
    mask: np.ndarray, look: GroundLook, *, measure: bool = False
) -> list[tuple[Sighting, float, float]]:
    """Ellipses, the share of their line that is drawn, and its width if ``measure``."""
    flat = float(np.sqrt(look.aspect[0] * look.aspect[1]))
    # Shrunk across rather than stretched upright: fewer pixels.
    factor = 1 / flat
    width = max(round(mask.shape[1] * factor), 1)
    factor = width / mask.shape[1]
    squeezed = cv2.resize(mask * np.uint8(255), (width, mask.shape[0]), interpolation=cv2.INTER_AREA)
    squeezed = np.asarray(cv2.threshold(squeezed, 100, 1, cv2.THRESH_BINARY)[1])
    # Circles are fitted to the middle of the line, sizes are of its outer edge.
    radii = 0.5 * (smallest(look) - look.thickness_px) * factor, 0.5 * look.size_px[1] * factor
    found = []
    for circle in circles(squeezed, (max(radii[0], 3.0), radii[1])):
        (x, y), r = circle.centre, circle.radius
        box = np.array([(x - r) / factor, y - r, (x + r + 1) / factor, y + r + 1])
        middle, line = np.array([(x + 0.5) / factor - 0.5, y]), (circle.line / factor, circle.line)
        fill, clean = line_seen(mask, middle, line, look.thickness_px)
        drawn = ramp(fill, 0.55 * look.fill, 0.85 * look.fill)
        drawn *= alone(mask, middle, line)
        width = line_width(mask, middle, line, fill) if measure else look.thickness_px
        found.append((Sighting(box, drawn * ramp(clean, 0.45, 0.75)), fill, width))
    return found
