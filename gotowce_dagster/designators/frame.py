"""Closed and dashed rectangles: long straight lines that meet in a box.

Lines are what is left of the mask after closing dashes and opening with half a side, along rows and along
columns. Two lines that meet in a corner, or two that face each other, propose a box; its four sides are then
looked at. One side may be hidden or beyond the frame. Contours would be joined to text that touches the mark.
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
)
from gotowce_dagster.designators.profile import FrameLook, Look, RadialLook

MOST = 60
"""Lines of one direction that are looked at in a frame, the longest."""
GAPS = (8, 4, 0, 14)
"""Gaps between dashes in pixels that are tried. Where examples are found equally well with several, the first
holds: compression widens gaps."""
CLOSED_GAPS = (0, 4)
"""Of lines without dashes, in which compression may leave narrow ones."""
INWARDS = np.array([1, 1, -1, -1])
"""The direction of each edge of a box to its middle."""
WHOLE = 0.6
"""A side of which less is line has gaps: without any it is the arc of a flat ring, not a side."""

_LEAST = 0.3
"""Minimum share of the sides that is line."""
_CLOSED = 0.9
"""Share of the sides that is line from which they are no dashes."""
_OUTSIDE = 5
"""Pixels by which an example may be drawn outside of the lines."""
_ON_EDGE = 3.0
"""Pixels by which the edges of two boxes on one line differ at most."""
_ENDS = 0.5
"""Share of what sides have of a line that their outer quarters have at least."""

_THICKEST = 0.16
"""Share of a side that the width of a line is at most: what is thicker is a sign."""


class Sides:
    """How much of the sides of boxes is line."""

    def __init__(self, mask: np.ndarray, reach: int) -> None:
        """Args: reach: pixels by which a line may lie beside the edge of a box."""
        self._mask, self._reach = mask, reach

    def on(self, boxes: np.ndarray, inwards: int = 0) -> np.ndarray:
        """Shares (n, 4) of left, top, right and bottom that are on; NaN where a side is outside the frame.

        Args:
            boxes: (n, 4) xyxy on the lines' outer edge.
            inwards: look so many pixels further inside.
        """
        height, width = self._mask.shape
        x1, y1, x2, y2 = np.round(boxes).astype(int).T
        left, right, top, bottom = x1 + inwards, x2 - 1 - inwards, y1 + inwards, y2 - 1 - inwards
        begin_x, end_x = np.clip(x1, 0, width), np.clip(x2, 0, width)
        begin_y, end_y = np.clip(y1, 0, height), np.clip(y2, 0, height)
        shares = [
            _line_share(self._mask.T if upright else self._mask, self._reach, place, begin, end)
            for place, begin, end, upright in (
                (left, begin_y, end_y, True),
                (top, begin_x, end_x, False),
                (right, begin_y, end_y, True),
                (bottom, begin_x, end_x, False),
            )
        ]
        return np.stack(shares, axis=1)


def _line_share(
    mask: np.ndarray, reach: int, place: np.ndarray, begin: np.ndarray, end: np.ndarray
) -> np.ndarray:
    """The share of rows from ``begin`` to ``end`` that is on, in them or up to ``reach`` rows beside them.

    Sums are made of these rows alone: boxes are few, and most of a frame has none.
    """
    limit = len(mask)
    inside = (place >= 0) & (place < limit) & (end - begin >= 4)
    rows, number = np.unique(np.clip(place, 0, limit - 1), return_inverse=True)
    near = [mask[np.clip(np.add(rows, step), 0, limit - 1)] for step in range(-reach, reach + 1)]
    sums = np.cumsum(np.maximum.reduce(near), axis=1, dtype=np.int32)
    sums = np.concatenate((np.zeros((len(rows), 1), np.int32), sums), axis=1)
    return np.where(inside, (sums[number, end] - sums[number, begin]) / np.maximum(end - begin, 1), np.nan)


def _lines(mask: np.ndarray, gap: int, length: int) -> np.ndarray:
    """Horizontal lines of a mask: float (n, 4) boxes, the longest first."""
    joined = cv2.morphologyEx(mask, cv2.MORPH_CLOSE, np.ones((1, gap + 1), np.uint8)) if gap else mask
    opened = cv2.morphologyEx(joined, cv2.MORPH_OPEN, np.ones((1, length), np.uint8))
    # Contours of few long pieces cost a fraction of labelling every pixel.
    contours, levels = cv2.findContours(opened, cv2.RETR_CCOMP, cv2.CHAIN_APPROX_SIMPLE)
    outer = (
        [cv2.boundingRect(c) for c, level in zip(contours, levels[0], strict=True) if level[3] < 0]
        if contours
        else []
    )
    boxes = np.array(outer, float).reshape(-1, 4)
    boxes[:, 2:] += boxes[:, :2]
    return boxes[np.argsort(boxes[:, 0] - boxes[:, 2], kind="stable")[:MOST]]


def _propose(across: np.ndarray, down: np.ndarray, reach: float) -> np.ndarray:
    """Boxes (n, 4) from horizontal lines (n, 4) and vertical ones that meet or face each other."""
    proposed = [np.zeros((0, 4))]
    if len(across) and len(down):
        i, j = (grid.ravel() for grid in np.meshgrid(np.arange(len(across)), np.arange(len(down))))
        a, d = across[i], down[j]
        for right in (False, True):
            for bottom in (False, True):
                x_off = a[:, 2] - d[:, 2] if right else a[:, 0] - d[:, 0]
                y_off = a[:, 3] - d[:, 3] if bottom else a[:, 1] - d[:, 1]
                meet = (np.abs(x_off) <= reach) & (np.abs(y_off) <= reach)
                box = np.c_[
                    np.minimum(a[:, 0], d[:, 0]),
                    np.minimum(a[:, 1], d[:, 1]),
                    np.maximum(a[:, 2], d[:, 2]),
                    np.maximum(a[:, 3], d[:, 3]),
                ]
                proposed.append(box[meet])
    for lines, axis in ((across, 0), (down, 1)):
        if len(lines) < 2:
            continue
        i, j = np.triu_indices(len(lines), 1)
        a, b = lines[i], lines[j]
        begin, end = np.abs(a[:, axis] - b[:, axis]), np.abs(a[:, axis + 2] - b[:, axis + 2])
        facing = (np.minimum(begin, end) <= reach) & (np.abs(a[:, 1 - axis] - b[:, 1 - axis]) > 5)
        for pick in (np.minimum, np.maximum):
            box = np.c_[
                np.minimum(a[:, 0], b[:, 0]),
                np.minimum(a[:, 1], b[:, 1]),
                np.maximum(a[:, 2], b[:, 2]),
                np.maximum(a[:, 3], b[:, 3]),
            ]
            # Where text or another line lengthens one of the two, the ends that agree hold.
            box[:, axis] = np.where(begin <= reach, box[:, axis], pick(a[:, axis], b[:, axis]))
            box[:, axis + 2] = np.where(end <= reach, box[:, axis + 2], pick(a[:, axis + 2], b[:, axis + 2]))
            proposed.append(box[facing])
    return np.concatenate(proposed)


def rectangles(mask: np.ndarray, look: FrameLook | RadialLook, sizes: tuple[float, float]) -> list[Sighting]:
    """Rectangles in a mask whose longer side is in ``sizes``."""
    gap = round(look.dash_gap_px)
    length = max(round(0.45 * sizes[0] * min(look.aspect[0], 1 / look.aspect[1], 1)), 4)
    across, down = (
        _lines(mask, gap, length),
        _lines(np.ascontiguousarray(mask.T), gap, length)[:, [1, 0, 3, 2]],
    )
    boxes = _propose(across, down, look.thickness_px + max(gap, 2) + 1)
    if not len(boxes):
        return []
    width, height = (boxes[:, 2:] - boxes[:, :2]).T
    low, high = look.aspect
    fits = (np.maximum(width, height) >= sizes[0] - 2) & (np.maximum(width, height) <= sizes[1] + 2)
    fits &= (width >= low * height - 3) & (width <= high * height + 3)
    _, first = np.unique(np.round(boxes[fits] / 2), axis=0, return_index=True)
    boxes = boxes[fits][first[:400]]
    sides = Sides(mask, 1 if isinstance(look, FrameLook) else 2)  # what is turned is jagged
    on, depth = sides.on(boxes), look_depth(look)
    # Of a small diamond, whose lines are jagged, those of the other sides are a good part of what is inside.
    within = sides.on(boxes, depth) if isinstance(look, FrameLook) else sides.on(boxes + depth * INWARDS)
    inner = np.nan_to_num(within)
    confidence = np.array([_judge(*measured, look.fill) for measured in zip(on, inner, strict=True)])
    best = np.argsort(-confidence, kind="stable")[:40]
    best = best[confidence[best] > 0.2]
    if not len(best):
        return []
    exact = Sides(mask, 0)
    return [Sighting(_on_edge(exact, boxes[row]), float(confidence[row])) for row in best]


def look_depth(look: FrameLook | RadialLook) -> int:
    """Pixels from the outer edge inwards at which nothing of a line is left."""
    return round(look.thickness_px) + 4


def _judge(on: np.ndarray, inner: np.ndarray, fill: float) -> float:
    seen = ~np.isnan(on)
    if seen.sum() < 2:
        return 0.0
    sides = np.sort([ramp(share, 0.55 * fill, 0.88 * fill) for share in on[seen]])
    # One side may be hidden; a side full of more than the strip beside it is a line, not an area.
    hidden = 0.9 if len(sides) < 4 or sides[0] < 0.5 else 1.0
    if len(sides) == 4 and sides[0] < 0.5:
        sides = sides[1:]
    clutter = float(inner[seen].mean())
    dashed = 1.0 if fill > 0.85 else ramp(float(np.nanmedian(on)), 1.0, min(fill + 0.25, 0.98))
    return float(np.mean(sides) * np.min(sides) ** 0.5 * hidden * (1 - ramp(clutter, 0.15, 0.45)) * dashed)


def _on_edge(sides: Sides, box: np.ndarray, inwards: int = 2) -> np.ndarray:
    """The box with each edge on the outermost row that is nearly as full as the fullest near it.

    Args:
        inwards: pixels inside the box at which an edge is looked for; outside it is 2.
    """
    steps = np.arange(-2, inwards + 1)
    shares = np.nan_to_num(sides.on(box + steps[:, None] * INWARDS))
    moved = box.copy()
    for side in range(4):
        full = shares[:, side]
        good = np.flatnonzero(full >= 0.6 * full.max()) if full.max() > 0.2 else np.array([2])
        moved[side] = box[side] + steps[good[0]] * INWARDS[side]
    return moved


def measured_fill(
    scenes: Sequence[Scene], boxes: Sequence[np.ndarray], reach: int = 3
) -> tuple[float, float]:
    """Share of the sides that is line in all but the faintest quarter of the examples, and median thickness
    of the lines in pixels. Of dashes in one of several colours compression may leave less than of others.

    Args:
        reach: pixels by which a line may lie beside the edge of a box; below 3, beside where the mask is
            fullest near that edge.
    """
    shares, widths = [], []
    for scene, box in zip(scenes, boxes, strict=True):
        exact = Sides(scene.mask, 0)
        edge = box if reach >= 3 else _on_edge(exact, box)
        shares.append(np.nanmedian(Sides(scene.mask, reach).on(edge[None])))
        level = np.array([np.nan_to_num(exact.on(box[None], inwards=k)).mean() for k in range(-3, 6)])
        widths.append((level >= 0.5 * level.max()).sum() if level.max() > 0 else 1)
    return float(np.nanquantile(shares, 0.25)), float(np.median(widths))


def reaches_corners(scenes: Sequence[Scene], boxes: Sequence[np.ndarray], fill: float) -> bool:
    """Whether lines fill the ends of sides about as much as the whole, as dashes do and arcs of rings do not.

    True where every quarter of a side is too short to be measured.

    Args:
        fill: share of the sides that is line.
    """
    ends = []
    for scene, box in zip(scenes, boxes, strict=True):
        quarter = (box[2:] - box[:2]) / 4
        inner = np.concatenate((box[:2] + quarter, box[2:] - quarter))
        columns = np.array([[box[0], box[1], inner[0], box[3]], [inner[2], box[1], box[2], box[3]]])
        rows = np.array([[box[0], box[1], box[2], inner[1]], [box[0], inner[3], box[2], box[3]]])
        sides = Sides(scene.mask, 1)
        shares = np.concatenate([sides.on(columns)[:, 1::2], sides.on(rows)[:, ::2]])
        if np.isfinite(shares).any():
            ends.append(float(np.nanmean(shares)))
    return not ends or float(np.median(ends)) >= _ENDS * fill


def _without_parts(found: Sequence[Sighting]) -> list[Sighting]:
    """Sightings without those made of two sides of a larger and surer one."""
    kept: list[Sighting] = []
    for sighting in sorted(found, key=lambda s: -s.confidence):
        inwards = [(sighting.box - other.box) * INWARDS for other in kept]
        if not any((apart > -_ON_EDGE).all() and (np.abs(apart) <= _ON_EDGE).sum() >= 2 for apart in inwards):
            kept.append(sighting)
    return kept


class Frame:
    """The family of closed and dashed rectangles."""

    def learn(self, scenes: Sequence[Scene], boxes: Sequence[np.ndarray], draft: Draft) -> list[Look]:
        """See base.Family."""
        lines = boxes
        fill, thickness = measured_fill(scenes, lines, reach=1)
        if fill < _LEAST:
            lines = [
                _on_edge(Sides(scene.mask, 0), box, _OUTSIDE)
                for scene, box in zip(scenes, boxes, strict=True)
            ]
            fill, thickness = measured_fill(scenes, lines, reach=1)
        thin = thickness <= _THICKEST * float(np.median(sizes(lines)))
        if fill < _LEAST or not thin or not reaches_corners(scenes, lines, fill):
            return []
        looks: list[Look] = []
        for gap in GAPS if fill < _CLOSED else CLOSED_GAPS:
            if not gap and fill < WHOLE:
                continue
            looks.append(
                FrameLook(
                    **vars(draft),
                    **shape_of(lines, slack=1.6),
                    thickness_px=thickness,
                    fill=round(fill, 2),
                    dash_gap_px=gap,
                )
            )
        return as_drawn(self, looks, scenes, boxes)

    def find(self, scene: Scene, look: Look) -> list[Sighting]:
        """See base.Family."""
        assert isinstance(look, FrameLook)
        found = rectangles(scene.mask, look, look.size_px)
        return _without_parts([sighting for sighting in found if fits_size(sighting.box, look)])

    def mark_pixels(self, mask: np.ndarray, box: np.ndarray, look: Look) -> np.ndarray:
        """See base.Family: the band of the lines, so that the target's own colours stay."""
        within = pixels_in(mask, box, 3)
        depth = look.thickness_px + 3
        if min(box[2:] - box[:2]) > 2 * depth:
            within &= ~pixels_in(np.ones_like(mask), box + depth * np.array([1, 1, -1, -1]), 0)
        return within
