"""Rings, diamonds, and pointers on a circle, at any angle: marks that may turn, shrink and pulse.

Rings are circles (circles.py); a diamond is a rectangle in the frame turned by an eighth (frame.py). Pointers
are pieces of about one area, evenly spaced on a circle: any two of them propose centres, and the centre at
which all others are found is the mark's.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import cv2
import numpy as np

from gotowce_dagster.designators.base import (
    Blobs,
    Draft,
    Scene,
    Sighting,
    as_drawn,
    blobs_of,
    closed,
    fits_size,
    pixels_in,
    ramp,
    shape_of,
    sizes,
)
from gotowce_dagster.designators.circles import circles, line_seen, line_width
from gotowce_dagster.designators.frame import measured_fill, rectangles
from gotowce_dagster.designators.profile import Look, RadialLook

PIECES = 90
"""Pieces of the right area that are looked at in a frame at most."""
_TURN = np.sqrt(0.5)
_SECOND = (("mu20", 1 / 12), ("mu02", 1 / 12), ("mu11", 0.0))


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
        size = sizes(boxes)
        if (np.abs(np.log(size[:, 0] / size[:, 1])) > 0.35).any():
            return []
        shape = shape_of(boxes, slack=1.25)
        looks = (
            self._ring(scenes, boxes, draft, shape),
            self._diamond(scenes, boxes, draft, shape),
            *self._pointers(scenes, boxes, draft, shape),
        )
        return as_drawn(self, [look for look in looks if look is not None], scenes, boxes)

    def find(self, scene: Scene, look: Look) -> list[Sighting]:
        """See base.Family."""
        assert isinstance(look, RadialLook)
        finders = {"ring": _rings, "diamond": _diamonds, "pointers": _pointed}
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

    def _pointers(
        self, scenes: Sequence[Scene], boxes: Sequence[np.ndarray], draft: Draft, shape: dict
    ) -> list[Look]:
        """The looks that the number of pieces in the examples' boxes suggests."""
        counted: dict[int, list[tuple[float, float, float]]] = {}
        for scene, box in zip(scenes, boxes, strict=True):
            blobs = blobs_of(closed(pixels_in(scene.mask, box, 4).astype(np.uint8), 2), least=4)
            middle, side = (box[:2] + box[2:]) / 2, float((box[2:] - box[:2]).mean())
            away = np.hypot(*(blobs.middle - middle).T)
            outer = (away > 0.2 * side) & (away < 0.75 * side)
            area, away = blobs.area[outer], away[outer]
            for count in (2, 3, 4, 5, 6, 8):
                if len(area) < count:
                    continue
                # The pieces most alike in area and distance.
                order = np.argsort(-area)[: count + 3]
                alike = order[np.argsort(np.abs(np.log(area[order] / np.median(area[order[:count]]))))][
                    :count
                ]
                spread = float(np.ptp(np.log(area[alike])))
                if spread < 1.1 and np.ptp(away[alike]) < 0.2 * side:
                    counted.setdefault(count, []).append(
                        (float(area[alike].min()), float(area[alike].max()), float(away[alike].mean() / side))
                    )
        looks: list[Look] = []
        longest = sizes(boxes).max(axis=1)
        for count, measured in counted.items():
            if len(measured) < max(2, 0.6 * len(boxes)):
                continue
            low, high, share = np.array(measured).T
            looks.append(
                RadialLook(
                    **vars(draft),
                    **shape,
                    shape="pointers",
                    thickness_px=2,
                    pointers=count,
                    pointer_px=(round(0.4 * low.min(), 1), round(2.5 * high.max(), 1)),
                    radius_px=(
                        round(0.45 * float(share.min() * longest.min()), 1),
                        round(2.2 * float(share.max() * longest.max()), 1),
                    ),
                )
            )
        return sorted(looks, key=lambda look: -getattr(look, "pointers", 0))


def _rings(mask: np.ndarray, look: RadialLook) -> list[Sighting]:
    radii = 0.5 * look.size_px[0], 0.5 * look.size_px[1]
    found = []
    for circle in circles(mask, radii):
        fill, clean = line_seen(mask, circle.centre, (circle.line, circle.line), look.thickness_px)
        confidence = ramp(fill, 0.55 * look.fill, 0.85 * look.fill) * ramp(clean, 0.45, 0.75)
        if confidence > 0.2:
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


def _pointed(mask: np.ndarray, look: RadialLook) -> list[Sighting]:
    blobs = blobs_of(closed(mask, 2), least=max(int(look.pointer_px[0]), 3))
    right = np.flatnonzero(blobs.area <= look.pointer_px[1])
    right = right[np.argsort(-blobs.area[right], kind="stable")[:PIECES]]
    middle, area = blobs.middle[right], blobs.area[right]
    axis, stretch = _axes(blobs, right)
    count, low, high = look.pointers, *look.radius_px
    if len(right) < max(count - 1, 2):
        return []
    centres, radii = _proposed_centres(middle, count)
    fits = (radii >= low) & (radii <= high)
    centres, radii = centres[fits], radii[fits]
    if not len(centres):
        return []
    offset = middle[None] - centres[:, None]
    away, angle = np.hypot(*offset.transpose(2, 0, 1)), np.arctan2(offset[..., 1], offset[..., 0])
    on_ring = np.abs(away - radii[:, None]) <= np.maximum(2.5, 0.12 * radii[:, None])
    likely = on_ring.sum(axis=1) >= max(count - 1, 2)
    usual = float(np.sqrt(low * high))
    found: list[tuple[float, frozenset[int], Sighting]] = []
    for row in np.flatnonzero(likely)[:1500]:
        members = np.flatnonzero(on_ring[row])
        others = (away[row] < 1.3 * radii[row]).sum() - len(members)
        # Pieces of text stand evenly here and there, but never alone.
        if others > count:
            continue
        ring = Ring(angle[row, members], away[row, members], area[members], axis[members], stretch[members])
        judged = _judge(ring, blobs.boxes[right][members], count)
        if judged is not None:
            sighting, chosen = judged
            likelihood = sighting.confidence - 0.1 * abs(float(np.log(radii[row] / usual)))
            found.append((likelihood, frozenset(members[chosen].tolist()), sighting))
    kept: list[Sighting] = []
    taken: set[int] = set()
    for _, pieces, sighting in sorted(found, key=lambda each: -each[0]):
        if not pieces & taken:  # a piece belongs to one mark
            kept.append(sighting)
            taken |= pieces
    return kept


def _proposed_centres(middle: np.ndarray, count: int) -> tuple[np.ndarray, np.ndarray]:
    """Centres (n, 2) and radii (n,) of circles on which two pieces stand some steps of a turn apart."""
    i, j = np.triu_indices(len(middle), 1)
    half = (middle[j] - middle[i]) / 2
    normal = np.c_[-half[:, 1], half[:, 0]]
    centres, radii = [], []
    for steps in range(1, count // 2 + 1):
        angle = np.pi * steps / count
        height = 1 / np.tan(angle) if steps * 2 != count else 0.0
        for sign in (1, -1) if height else (1,):
            centres.append(middle[i] + half + sign * height * normal)
            radii.append(np.hypot(*half.T) / np.sin(angle))
    return np.concatenate(centres), np.concatenate(radii)


@dataclass(frozen=True, eq=False)
class Ring:
    """Pieces at about one distance from a centre, each an array (n,)."""

    angle: np.ndarray
    away: np.ndarray
    area: np.ndarray
    axis: np.ndarray
    """Angle of the longer axis of each."""
    stretch: np.ndarray
    """Longer over shorter axis of each."""


def _axes(blobs: Blobs, numbers: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Angle of the longer axis of pieces and how much longer it is: (n,), (n,)."""
    axis, stretch = np.zeros(len(numbers)), np.ones(len(numbers))
    for row, number in enumerate(numbers):
        x1, y1, x2, y2 = blobs.boxes[number].astype(int)
        own = blobs.image[y1:y2, x1:x2] == blobs.numbers[number]
        moments = cv2.moments(own.astype(np.uint8), binaryImage=True)
        xx, yy, xy = (moments[key] / max(moments["m00"], 1) + plus for key, plus in _SECOND)
        spread = np.hypot(xx - yy, 2 * xy)
        axis[row] = 0.5 * np.arctan2(2 * xy, xx - yy)
        stretch[row] = np.sqrt((xx + yy + spread) / max(xx + yy - spread, 1e-3))
    return axis, stretch


def _judge(ring: Ring, boxes: np.ndarray, count: int) -> tuple[Sighting, np.ndarray] | None:
    """A sighting of the pieces of a ring that stand evenly, if they are enough, and which these are."""
    best: tuple[float, np.ndarray] | None = None
    step = 2 * np.pi / count
    for phase in np.unique(np.round(np.mod(ring.angle, step), 2)):
        off = np.abs((ring.angle - phase + step / 2) % step - step / 2)
        slot = np.round((ring.angle - phase) / step).astype(int) % count
        good = off <= 0.3 * min(step, 1.2)
        chosen = [
            min(np.flatnonzero(good & (slot == s)), key=lambda k: off[k])
            for s in range(count)
            if (good & (slot == s)).any()
        ]
        if len(chosen) >= max(count - 1, 2):
            score = len(chosen) - float(off[chosen].mean())
            if best is None or score > best[0]:
                best = score, np.array(chosen)
    if best is None:
        return None
    chosen = best[1]
    alike = ramp(float(np.ptp(np.log(ring.area[chosen]))), 1.4, 0.6)
    even = ramp(float(np.ptp(ring.away[chosen]) / ring.away[chosen].mean()), 0.3, 0.12)
    angles = np.sort(ring.angle[chosen])
    gaps = np.array([b - a for a, b in pairwise([*angles, angles[0] + 2 * np.pi])])
    gaps = gaps if len(chosen) == count else np.sort(gaps)[:-1]
    regular = ramp(float(np.abs(gaps - step).max() / step), 0.45, 0.2)
    whole = 1.0 if len(chosen) == count else 0.55
    confidence = alike * even * regular * whole * _turned_alike(ring, chosen)
    if confidence <= 0.2:
        return None
    own = boxes[chosen]
    box = np.concatenate((own[:, :2].min(axis=0), own[:, 2:].max(axis=0)))
    return Sighting(box, confidence), chosen


def _turned_alike(ring: Ring, chosen: np.ndarray) -> float:
    """Whether long pieces all point at the centre alike: 1 if so or if they are not long."""
    if np.median(ring.stretch[chosen]) < 1.35:
        return 1.0
    # Doubled, because an axis has no direction.
    turn = 2 * (ring.axis[chosen] - ring.angle[chosen])
    together = float(np.hypot(np.cos(turn).mean(), np.sin(turn).mean()))
    return ramp(together, 0.5, 0.8)
