"""Rings, diamonds, and pointers on a circle, at any angle: marks that may turn, shrink and pulse.

Rings are circles (circles.py); a diamond is a rectangle in the frame turned by an eighth (frame.py); pointers
are pieces of about one form (pointers.py).
"""

from collections.abc import Sequence

import cv2
import numpy as np

from gotowce_dagster.designators.base import (
    Draft,
    Scene,
    Sighting,
    as_drawn,
    fits_size,
    pixels_in,
    ramp,
    shape_of,
    sizes,
    smallest,
)
from gotowce_dagster.designators.circles import alone, circles, line_seen, line_width
from gotowce_dagster.designators.frame import measured_fill, rectangles
from gotowce_dagster.designators.pointers import find_pointers, learn_pointers
from gotowce_dagster.designators.profile import Look, RadialLook

_TURN = np.sqrt(0.5)


def turned(mask: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The mask turned by an eighth, whole, and the 2x3 matrix that turned it."""
    height, width = mask.shape
    side = int(np.ceil((height + width) * _TURN)) + 2
    matrix = cv2.getRotationMatrix2D((width / 2, height / 2), 45, 1.0)
    matrix[:, 2] += side / 2 - np.array([width, height]) / 2
    soft = cv2.warpAffine(mask * np.uint8(255), matrix, (side, side), flags=cv2.INTER_LINEAR)
    return np.asarray(cv2.threshold(soft, 90, 1, cv2.THRESH_BINARY)[1]), matrix


class Radial:
    """The family of rings, diamonds and pointers on a circle."""

    def learn(self, scenes: Sequence[Scene], boxes: Sequence[np.ndarray], draft: Draft) -> list[Look]:
        """See base.Family."""
        size, shape = sizes(boxes), shape_of(boxes, slack=1.25)
        looks = [*learn_pointers(scenes, boxes, draft, shape)]
        if (np.abs(np.log(size[:, 0] / size[:, 1])) <= 0.35).all():
            looks = [
                self._ring(scenes, boxes, draft, shape),
                self._diamond(scenes, boxes, draft, shape),
                *looks,
            ]
        return as_drawn(self, [look for look in looks if look is not None], scenes, boxes)

    def find(self, scene: Scene, look: Look) -> list[Sighting]:
        """See base.Family."""
        assert isinstance(look, RadialLook)
        finders = {"ring": _rings, "diamond": _diamonds, "pointers": find_pointers}
        return [s for s in finders[look.shape](scene.mask, look) if fits_size(s.box, look, slack=3.0)]

    def mark_pixels(self, mask: np.ndarray, box: np.ndarray, look: Look) -> np.ndarray:
        """See base.Family: all pixels of its colours in the outer half."""
        within = pixels_in(mask, box, 4)
        y, x = np.indices(mask.shape)
        middle, radius = (box[:2] + box[2:]) / 2, (box[2:] - box[:2]) / 2
        away = np.hypot((x + 0.5 - middle[0]) / radius[0], (y + 0.5 - middle[1]) / radius[1])
        return within & (away >= 0.5)

    def _ring(
        self, scenes: Sequence[Scene], boxes: Sequence[np.ndarray], draft: Draft, shape: dict
    ) -> Look | None:
        fills, widths = [], []
        for scene, box in zip(scenes, boxes, strict=True):
            side = float((box[2:] - box[:2]).mean())
            own = pixels_in(scene.mask, box, 6).astype(np.uint8)
            near = [
                (line_seen(own, c.centre, (c.line, c.line), 2)[0], c)
                for c in circles(own, (0.38 * side, 0.56 * side))
                if np.abs(c.centre - (box[:2] + box[2:]) / 2).max() <= 0.1 * side + 3
            ]
            fill, circle = max(near, key=lambda pair: pair[0], default=(0.0, None))
            fills.append(fill)
            if circle is not None:
                widths.append(line_width(own, circle.centre, (circle.line, circle.line), fill))
        if float(np.median(fills)) < 0.35:
            return None
        return RadialLook(
            **vars(draft),
            **shape,
            shape="ring",
            thickness_px=round(float(np.median(widths)), 1),
            fill=round(float(np.median(fills)), 2),
        )

    def _diamond(
        self, scenes: Sequence[Scene], boxes: Sequence[np.ndarray], draft: Draft, shape: dict
    ) -> Look | None:
        turned_scenes, turned_boxes = [], []
        for scene, box in zip(scenes, boxes, strict=True):
            mask, matrix = turned(scene.mask)
            middle = matrix @ np.array([*(box[:2] + box[2:]) / 2, 1])
            half = float((box[2:] - box[:2]).mean()) * _TURN / 2
            turned_scenes.append(Scene(scene.ycrcb, mask))
            turned_boxes.append(np.concatenate((middle - half, middle + half)))
        fill, thickness = measured_fill(turned_scenes, turned_boxes)
        if fill < 0.4:
            return None
        return RadialLook(
            **vars(draft),
            **shape,
            shape="diamond",
            thickness_px=thickness,
            fill=round(fill, 2),
            dash_gap_px=4 if fill > 0.9 else 8,
        )


def _rings(mask: np.ndarray, look: RadialLook) -> list[Sighting]:
    # Circles are fitted to the middle of the line, sizes are of its outer edge.
    radii = max(0.5 * (smallest(look) - look.thickness_px), 3.0), 0.5 * look.size_px[1]
    found = []
    for circle in circles(mask, radii, thickness=look.thickness_px):
        fill, clean = line_seen(mask, circle.centre, (circle.line, circle.line), look.thickness_px)
        confidence = ramp(fill, 0.55 * look.fill, 0.85 * look.fill) * ramp(clean, 0.45, 0.75)
        if confidence > 0.2:
            confidence *= alone(mask, circle.centre, (circle.line, circle.line))
            box = np.concatenate((circle.centre - circle.radius, circle.centre + circle.radius + 1))
            found.append(Sighting(box, confidence))
    return found


def _diamonds(mask: np.ndarray, look: RadialLook) -> list[Sighting]:
    canvas, matrix = turned(mask)
    back = cv2.invertAffineTransform(matrix)
    square = look.model_copy(update={"aspect": (0.8, 1.25)})
    found = []
    for sighting in rectangles(canvas, square, (look.size_px[0] * _TURN, look.size_px[1] * _TURN)):
        x1, y1, x2, y2 = sighting.box
        corners = np.array([[x1, y1], [x2, y1], [x1, y2], [x2, y2]]) @ back[:, :2].T + back[:, 2]
        found.append(
            Sighting(np.concatenate((corners.min(axis=0), corners.max(axis=0))), sighting.confidence)
        )
    return found
