"""Boxes that pairs of corners propose."""

from itertools import combinations

import numpy as np

from gotowce_dagster.designators.arms import BOTTOM, RIGHT, Corners, alike
from gotowce_dagster.designators.profile import Designator

SHORT = 0.8
"""Arms shorter than this times the shortest of the profile, as fractions of the side, need more corners:
a game may draw short arms around a large target, but two such corners far apart are two letters somewhere."""


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
