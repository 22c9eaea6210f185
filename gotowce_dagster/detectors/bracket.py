"""The ``bracket`` detector: finds designators made of four corners, by colour and geometry alone.

A frame becomes a mask of the mark's colours; corners found in it (detectors/corners.py) propose boxes in
pairs; each proposal is then measured on the frame: are its arms there and all of one length, is the middle
of its sides empty, do the lines stand out from both sides. One or two corners may be hidden by a panel or
the screen's edge.

Why not template matching: the mark grows with its target while its lines stay 1 to 2 pixels thin, so
there is no one template. Why not contours: text that touches the mark joins its corners to letters.
"""

import time
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations

import cv2
import numpy as np
import supervision as sv

from gotowce_dagster.detectors.base import Cost
from gotowce_dagster.detectors.corners import (
    BOTTOM,
    CONTRAST,
    RIGHT,
    Corners,
    Search,
    alike,
    arm_lengths,
    find_corners,
)
from gotowce_dagster.detectors.profile import Designator, Profile

OUTSIDE, INSIDE = 4, 8
"""Pixels looked at on either side of a box's edge."""
FLOOD = 0.015
"""A mask that fills more of the frame than this has taken a cloud or a planet for the mark."""
SURROUNDINGS = 11
"""Side in pixels of the square around a pixel from which it must stand out then."""
VISIBLE = 0.6
"""A corner counts as visible when this share of its probes is there."""
STEP = 30.0
"""A rise or fall of luma along a side that can be the border of a panel which hides the corner behind it."""
SIGHT = {2: 0.75, 3: 0.9, 4: 1.0}
"""What is left of the confidence when so many corners are visible."""
SHORT = 0.8
"""Arms shorter than this times the shortest of the profile, as fractions of the side, need all four corners:
a game may draw short arms around a large target, but two such corners far apart are two letters somewhere."""
SPARED = {2: 0, 3: 1, 4: 2}
"""Of the half-sides with a visible corner so many may be crossed by a shot or touched by text, for free."""
CROWDED = {2: 2.5, 3: 2.0, 4: 1.5}
"""How much clutter around the arms counts: text is all clutter, and two corners in it are two letters."""
UNEXPLAINED = {2: 0.6, 3: 0.85, 4: 1.0}
"""What is left of it when nothing is seen that could hide the missing ones."""


def to_ycrcb(image: np.ndarray) -> np.ndarray:
    """RGB uint8 (H, W, 3) to the colour space of profiles."""
    return cv2.cvtColor(image, cv2.COLOR_RGB2YCrCb)


def mark_mask(ycrcb: np.ndarray, designator: Designator) -> np.ndarray:
    """Pixels that have one of the mark's colours: uint8 (H, W) of 0 and 1.

    Where much of the scene has them too, only those that stand out from their surroundings.
    """
    masks = [np.asarray(cv2.inRange(ycrcb, *colour.bounds)) for colour in designator.colours]
    mask = masks[0] if len(masks) == 1 else np.maximum.reduce(masks)
    if cv2.countNonZero(mask) > FLOOD * mask.size:
        around = cv2.blur(ycrcb, (SURROUNDINGS, SURROUNDINGS))
        alike_around = cv2.inRange(cv2.absdiff(ycrcb, around), (0.0, 0.0, 0.0), tuple(CONTRAST / 2))
        mask[np.asarray(alike_around, bool)] = 0
    return np.bitwise_and(mask, 1, out=mask)


def propose(corners: Corners, designator: Designator, shape: tuple[int, ...], limit: int = 12) -> np.ndarray:
    """Boxes that two or more corners agree on, best supported first.

    Args:
        shape: height and width of the frame, which bounds the side when the profile does not.

    Returns:
        float (n, 4) xyxy, exclusive end, at most ``limit``.
    """
    pairs = [_pair_boxes(corners, one, other, designator) for one, other in combinations(range(4), 2)]
    boxes, arm = (np.concatenate(column) for column in zip(*pairs, strict=True))
    width, height = (boxes[:, 2:] - boxes[:, :2]).T
    side = np.maximum(width, height)
    smallest, largest = designator.size_px
    lo, hi = designator.aspect
    fits = (np.minimum(width, height) >= smallest) & (side <= (largest or max(shape[:2])))
    fits &= (width >= lo * height - 2) & (width <= hi * height + 2)
    fits &= arm <= 1.4 * designator.arm[1] * side + 2
    boxes, long_enough = boxes[fits], (arm >= SHORT * designator.arm[0] * side)[fits]
    count, off = _support(boxes, corners)
    ranked = np.lexsort((off, -count))
    boxes = boxes[ranked[((count > 2) | long_enough)[ranked]]]
    _, first = np.unique(np.round(boxes / 4), axis=0, return_index=True)
    return boxes[np.sort(first)[:limit]]


def _pair_boxes(
    corners: Corners, one: int, other: int, designator: Designator
) -> tuple[np.ndarray, np.ndarray]:
    """Boxes with these two kinds of corner, (n, 4), and the mean length of their arms, (n,).

    Two corners on one side say nothing of the other side, which follows from the aspect.
    """
    first, second = np.flatnonzero(corners.kind == one), np.flatnonzero(corners.kind == other)
    i, j = (grid.ravel() for grid in np.meshgrid(first, second, indexing="ij"))
    a, b = corners.xy[i], corners.xy[j]
    across, down = (b - a).T
    width, height = np.abs(across) + 1.0, np.abs(down) + 1.0
    aspect = float(np.mean(designator.aspect))
    possible = np.ones(len(a), bool)
    if RIGHT[one] == RIGHT[other]:
        possible &= np.abs(across) <= 2
        width = height * aspect
    else:
        possible &= across > 0 if RIGHT[other] else across < 0
    if BOTTOM[one] == BOTTOM[other]:
        possible &= np.abs(down) <= 2
        height = width / aspect
    else:
        possible &= down > 0
    arms = np.c_[corners.arm[i], corners.arm[j]]
    possible &= alike(arms, arms.mean(axis=1, keepdims=True)).all(axis=1)
    x1 = a[:, 0] + 1 - width if RIGHT[one] else a[:, 0]
    y1 = a[:, 1] + 1 - height if BOTTOM[one] else a[:, 1]
    boxes = np.c_[x1, y1, x1 + width, y1 + height].astype(float)
    return boxes[possible], arms[possible].mean(axis=1)


def corner_places(boxes: np.ndarray) -> np.ndarray:
    """Outermost pixels of boxes' four corners: (n, 4) -> (n, 4, 2)."""
    x = np.where(RIGHT, boxes[:, [2]] - 1, boxes[:, [0]])
    y = np.where(BOTTOM, boxes[:, [3]] - 1, boxes[:, [1]])
    return np.stack((x, y), axis=-1)


def _support(boxes: np.ndarray, corners: Corners, reach: int = 3) -> tuple[np.ndarray, np.ndarray]:
    """How many corners of each box were found within ``reach`` pixels, and how far off they are in sum."""
    places = corner_places(boxes)
    distance = np.full((4, len(boxes)), np.inf)
    for kind in range(4):
        xy = corners.xy[corners.kind == kind]
        if len(xy):
            distance[kind] = np.abs(places[:, kind, None] - xy).max(axis=-1).min(axis=1)
    return (distance <= reach).sum(axis=0), np.minimum(distance, reach).sum(axis=0)


@dataclass(frozen=True)
class Measured:
    """What a frame says about one box; per corner in the order of corners.RIGHT."""

    box: np.ndarray
    """float (4,): the box with its edges moved onto the outside of the lines."""
    coverage: np.ndarray
    """float (4, 2): share of each arm's probe that is there, 0 to 1; the horizontal arm first."""
    arms: np.ndarray
    """float (4, 2): lengths in pixels."""
    gap_on: np.ndarray
    """float (4, 2): share of the middle of the side, on the corner's half, that is not empty."""
    contrast: np.ndarray
    """float (4, 2): how far the arm stands out from both sides; 1 is CONTRAST or more."""
    clutter: np.ndarray
    """float (4, 2): share of the pixels around the arm, outside, inside and beyond its end, that are on."""
    hidden: np.ndarray
    """bool (4,): whether the corner is outside the frame, or something before it could hide it."""

    @property
    def visible(self) -> np.ndarray:
        """bool (4,): the corners that are seen; of one arm a good part may be missing."""
        return _visible(self.coverage)


def half_sides(image: np.ndarray, box: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The image along each half of each side of a box, all turned alike.

    Returns:
        The halves of the horizontal sides and those of the vertical ones, each (4 corners,
        OUTSIDE + INSIDE, half a side[, channels]): rows run inwards with the box's edge before row
        OUTSIDE, columns run from the corner to the middle of the side. Zeros outside the image.
    """
    x1, y1, x2, y2 = np.round(box).astype(int)
    patch = _cut(image, x1 - OUTSIDE, y1 - OUTSIDE, x2 + OUTSIDE, y2 + OUTSIDE)
    turned = [
        patch[:: -1 if bottom else 1, :: -1 if right else 1]
        for right, bottom in zip(RIGHT, BOTTOM, strict=True)
    ]
    depth = OUTSIDE + INSIDE
    flat = [t[:depth, OUTSIDE : OUTSIDE + (x2 - x1) // 2] for t in turned]
    upright = [t[OUTSIDE : OUTSIDE + (y2 - y1) // 2, :depth].swapaxes(0, 1) for t in turned]
    return np.stack(flat), np.stack(upright)


def _cut(image: np.ndarray, x1: int, y1: int, x2: int, y2: int) -> np.ndarray:
    """A rectangle of the image, zeros outside it."""
    height, width = image.shape[:2]
    inside = image[max(y1, 0) : max(y2, 0), max(x1, 0) : max(x2, 0)]
    if x1 >= 0 and y1 >= 0 and x2 <= width and y2 <= height:
        return inside
    patch = np.zeros((y2 - y1, x2 - x1, *image.shape[2:]), image.dtype)
    top, left = max(-y1, 0), max(-x1, 0)
    patch[top : top + inside.shape[0], left : left + inside.shape[1]] = inside
    return patch


def measure(
    ycrcb: np.ndarray, mask: np.ndarray, box: np.ndarray, designator: Designator, search: Search
) -> Measured:
    """Measure how well a frame shows a designator at about that box (within 3 pixels)."""
    box = onto_lines(mask, box, search)
    colours, on = half_sides(ycrcb, box), half_sides(mask, box)
    sides = [
        _measure_halves(side_colours, side_on, designator, search)
        for side_colours, side_on in zip(colours, on, strict=True)
    ]
    coverage, arms, gap_on, contrast, clutter = (np.stack(pair, axis=1) for pair in zip(*sides, strict=True))
    place = corner_places(box[None])[0]
    hidden = _behind_step(colours[0], colours[1], _visible(coverage), search)
    hidden |= ((place < 0) | (place >= mask.shape[::-1])).any(axis=1)
    return Measured(box, coverage, arms, gap_on, contrast, clutter, hidden)


def _visible(coverage: np.ndarray) -> np.ndarray:
    return (coverage.mean(axis=1) >= VISIBLE) & (coverage.min(axis=1) >= VISIBLE / 3)


def _measure_halves(
    colours: np.ndarray, on: np.ndarray, designator: Designator, search: Search
) -> tuple[np.ndarray, ...]:
    """Coverage, arm length, filled gap, contrast and clutter, each (4,), of the halves of opposite sides."""
    lines = slice(OUTSIDE - 1, OUTSIDE + search.thickness + 1)
    beside = slice(OUTSIDE + search.thickness + 2, None), slice(0, OUTSIDE - 1)
    arm = slice(search.probe // 3, search.probe)
    line = on[:, lines].max(axis=1)
    coverage = np.minimum(line[:, : search.probe].sum(axis=1) / search.fill, 1)
    lengths = arm_lengths(line, search.probe)
    middle = round((1 - 0.8 * designator.gap[0]) * line.shape[1])
    weight = on[:, lines, arm, None]
    colour = (colours[:, lines, arm] * weight).sum(axis=(1, 2)) / np.maximum(weight.sum(axis=(1, 2)), 1)
    differ = [np.abs(colour - colours[:, rows, arm].mean(axis=(1, 2))) / CONTRAST for rows in beside]
    contrast = np.minimum(differ[0].max(axis=1), differ[1].max(axis=1))
    inner = slice(min(search.thickness + 2, search.probe - 1), search.probe)
    around = [on[:, rows, inner].mean(axis=(1, 2)) for rows in beside]
    beyond = np.arange(line.shape[1]) >= lengths[:, None] + 3
    stray = (line * beyond).sum(axis=1) / np.maximum(beyond.sum(axis=1), 1)
    clutter = np.minimum(around[0] + around[1] + stray, 1)
    return coverage, lengths, line[:, middle:].mean(axis=1), np.minimum(contrast, 1), clutter


def _behind_step(
    flat: np.ndarray, upright: np.ndarray, visible: np.ndarray, search: Search, lag: int = 4
) -> np.ndarray:
    """For each corner, whether luma jumps on the way to it from a visible one, as at a panel's border."""
    hidden = np.zeros(4, bool)
    # Corners on one horizontal side differ in the lowest bit of their number, on a vertical one in the next.
    for halves, neighbour in zip((flat, upright), (1, 2), strict=True):
        luma = halves[:, OUTSIDE - 2 : OUTSIDE + 4, :, 0].mean(axis=1)
        for corner in range(4):
            other = corner ^ neighbour
            if visible[other]:
                way = np.concatenate((luma[other, search.probe + 3 :], luma[corner, ::-1]))
                hidden[corner] |= np.abs(way[lag:] - way[:-lag]).max(initial=0) >= STEP
    return hidden


def onto_lines(mask: np.ndarray, box: np.ndarray, search: Search) -> np.ndarray:
    """Move each edge of a box to the outside of its line, to a fraction of a pixel."""
    flat, upright = half_sides(mask, box)
    arm = slice(min(search.probe // 2, 4), search.probe + 1)
    left, right = upright[[0, 2], :, arm], upright[[1, 3], :, arm]
    top, bottom = flat[[0, 1], :, arm], flat[[2, 3], :, arm]
    shift = [_outer_edge(side.mean(axis=(0, 2))) for side in (left, top, right, bottom)]
    return np.round(box) + np.array(shift) * (1, 1, -1, -1)


def _outer_edge(profile: np.ndarray, reach: int = 3) -> float:
    """Where the line begins in a profile that runs inwards, from row OUTSIDE on; 0 if there is no line."""
    peak = OUTSIDE - reach + int(np.argmax(profile[OUTSIDE - reach : OUTSIDE + reach + 1]))
    if profile[peak] < 0.3:
        return 0.0
    begin = peak
    while begin > 0 and profile[begin - 1] >= 0.5 * profile[peak]:
        begin -= 1
    partly = profile[begin - 1] / profile[peak] if begin > 0 else 0.0
    return float(begin - OUTSIDE - partly)


def judge(measured: Measured, designator: Designator) -> float:
    """Confidence from 0 to 1 that a measured box is a designator."""
    visible = measured.visible
    count = int(visible.sum())
    diagonal = count == 2 and visible[0] == visible[3]
    arms = measured.arms[visible]
    width, height = measured.box[2:] - measured.box[:2]
    typical = float(np.median(arms)) if count else 0.0
    side = (width + height) / 2
    longest = 1.4 * designator.arm[1] * side + 2
    shortest = max(0.6 * designator.arm_px, SHORT * designator.arm[0] * side * (count < 4))
    if count < 2 or diagonal or not shortest <= typical <= longest:
        return 0.0
    lo, hi = designator.aspect
    off_aspect = max(lo * height - width, width - hi * height, 0.0)
    scores = (
        _mean_of_best(measured.coverage[visible], SPARED[count]),
        _mean_of_best(alike(arms, typical), SPARED[count]),
        _mean_of_best(1 - measured.gap_on[visible], SPARED[count]),
        # Text may touch the mark on one side, so the middle arm speaks for all.
        np.median(measured.contrast[visible]),
        max(1 - off_aspect / 4, 0.0),
        SIGHT[count],
        1 - (1 - UNEXPLAINED[count]) * (~measured.hidden[~visible]).sum() / max(4 - count, 1),
        max(1 - CROWDED[count] * (1 - _mean_of_best(1 - measured.clutter[visible], SPARED[count])), 0.0),
    )
    return float(np.prod(scores))


def _mean_of_best(values: np.ndarray, spared: int) -> float:
    """Mean without the ``spared`` lowest."""
    return float(np.sort(values, axis=None)[spared:].mean())


@dataclass(frozen=True)
class Mark:
    """A designator found in a frame."""

    box: np.ndarray
    confidence: float
    corners: int
    designator: Designator


def find_marks(ycrcb: np.ndarray, designator: Designator, min_confidence: float) -> list[Mark]:
    """The marks of one designator in a frame, most confident first, none sharing a corner with another."""
    mask = mark_mask(ycrcb, designator)
    search = Search.of(designator, mask.shape)
    marks: list[Mark] = []
    for box in propose(find_corners(ycrcb, mask, search), designator, mask.shape):
        if any(_clash(box, mark.box) for mark in marks if mark.confidence > 0.9):
            continue
        measured = measure(ycrcb, mask, box, designator, search)
        confidence = judge(measured, designator)
        if confidence >= min_confidence:
            marks.append(Mark(measured.box, confidence, int(measured.visible.sum()), designator))
    return _distinct(marks)


def inset(box: np.ndarray, designator: Designator) -> np.ndarray:
    """A box on the lines' outer edge, drawn as the examples of the designator were."""
    return box + designator.inset_px * np.array([1, 1, -1, -1])


def _distinct(marks: Sequence[Mark]) -> list[Mark]:
    """Marks that no more confident one contradicts, most confident first."""
    kept: list[Mark] = []
    for mark in sorted(marks, key=lambda mark: -mark.confidence):
        if not any(_clash(mark.box, other.box) for other in kept):
            kept.append(mark)
    return kept


def _clash(box: np.ndarray, other: np.ndarray) -> bool:
    """Whether two boxes share a corner or more than a third of what they cover."""
    pair = np.stack((box, other))
    places = corner_places(pair)
    shared = (np.abs(places[0][:, None] - places[1]).max(axis=-1) <= 4).any()
    return bool(shared or sv.box_iou_batch(pair[:1], pair[1:])[0, 0] > 0.33)


class Bracket:
    """Finds the designators of a profile.

    ``data["visible_corners"]`` of its detections says how many corners are seen, 2 to 4.
    """

    name = "bracket"
    version = "1"

    def __init__(self, profile: Profile, min_confidence: float = 0.3) -> None:
        self.profile = profile
        self.min_confidence = min_confidence
        self.cost = Cost()

    def detect(self, images: Sequence[np.ndarray]) -> list[sv.Detections]:
        """Find designators in RGB uint8 images (H, W, 3); see detectors/base.py."""
        start = time.perf_counter()
        found = [self._detect(image) for image in images]
        self.cost.frames += len(images)
        self.cost.seconds += time.perf_counter() - start
        return found

    def _detect(self, image: np.ndarray) -> sv.Detections:
        ycrcb = to_ycrcb(image)
        marks = _distinct(
            [m for d in self.profile.designators for m in find_marks(ycrcb, d, self.min_confidence)]
        )
        height, width = image.shape[:2]
        boxes = np.array([inset(mark.box, mark.designator) for mark in marks]).reshape(-1, 4)
        return sv.Detections(
            xyxy=np.clip(boxes, 0, [width, height, width, height]),
            confidence=np.array([mark.confidence for mark in marks], np.float32),
            data={
                "class_name": np.array([mark.designator.class_name for mark in marks], dtype=str),
                "prompt": np.array([mark.designator.name for mark in marks], dtype=str),
                "visible_corners": np.array([mark.corners for mark in marks], np.int8),
            },
        )
