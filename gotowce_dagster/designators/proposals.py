"""Boxes that pairs of corners propose."""

import numpy as np

from gotowce_dagster.designators.arms import BOTTOM, INWARD, RIGHT, Corners, alike
from gotowce_dagster.designators.profile import Designator

SHORT = 0.8
"""Arms shorter than this times the shortest of the profile, as fractions of the side, need more corners:
a game may draw short arms around a large target, but two such corners far apart are two letters somewhere."""

_ANY_SHAPE = 16
"""So many times as many boxes are proposed where marks have any shape: any two corners make one then."""


def propose(corners: Corners, designator: Designator, mask: np.ndarray, limit: int = 12) -> np.ndarray:
    """Boxes that two or more corners agree on, best supported first.

    Args:
        mask: uint8 (H, W) of 0 and 1; the frame's size bounds the side when the profile does not.

    Returns:
        float (n, 4) xyxy, exclusive end, at most ``limit``, of marks of any shape _ANY_SHAPE times as many.
    """
    pairs = [_pair_boxes(corners, designator)]
    if designator.free_aspect:
        pairs += [
            _closed_by_arms(corners, one, other, mask) for one, other in ((0, 1), (2, 3), (0, 2), (1, 3))
        ]
    boxes, arm = (np.concatenate(column) for column in zip(*pairs, strict=True))
    width, height = (boxes[:, 2:] - boxes[:, :2]).T
    side = np.maximum(width, height)
    smallest, largest = designator.size_px
    lo, hi = designator.aspect
    fits = (np.minimum(width, height) >= smallest) & (side <= (largest or max(mask.shape)))
    fits &= (width >= lo * height - 2) & (width <= hi * height + 2)
    fits &= arm <= designator.longest_arm_px(side)
    boxes, long_enough = boxes[fits], (arm >= SHORT * designator.expected_arm_px(side))[fits]
    count, off = _support(boxes, corners)
    ranked = np.lexsort((off, -count))
    boxes = boxes[ranked[((count > 2) | long_enough)[ranked]]]
    _, first = np.unique(np.round(boxes / 4), axis=0, return_index=True)
    boxes = boxes[np.sort(first)]
    if designator.free_aspect:
        limit *= _ANY_SHAPE
        boxes = boxes[: 2 * limit]
        near = np.triu(np.abs(boxes[:, None] - boxes).max(axis=-1) <= 2, 1)
        boxes = boxes[~near.any(axis=0)]
    return boxes[:limit]


def _pair_boxes(corners: Corners, designator: Designator) -> tuple[np.ndarray, np.ndarray]:
    """Boxes with two corners of different kinds, (n, 4), and the mean length of their arms, (n,).

    Two corners on one side say nothing of the other side, which follows from the aspect.
    """
    i, j = np.nonzero(corners.kind[:, None] < corners.kind)
    order = np.argsort(4 * corners.kind[i] + corners.kind[j], kind="stable")
    i, j = i[order], j[order]
    one, other = corners.kind[i], corners.kind[j]
    across, down = (corners.xy[j] - corners.xy[i]).T
    same_x, same_y = RIGHT[one] == RIGHT[other], BOTTOM[one] == BOTTOM[other]
    possible = np.where(same_x, np.abs(across) <= 2, across * INWARD[one, 0] > 0)
    possible &= np.where(same_y, np.abs(down) <= 2, down > 0)
    arms = np.stack((corners.arm[i], corners.arm[j]), axis=-1)
    possible &= alike(arms, arms.mean(axis=1, keepdims=True)).all(axis=1)
    i, one, arms = i[possible], one[possible], arms[possible]
    same_x, same_y = same_x[possible], same_y[possible]
    width, height = np.abs(across[possible]) + 1.0, np.abs(down[possible]) + 1.0
    aspect = designator.typical_aspect
    width, height = np.where(same_x, height * aspect, width), np.where(same_y, width / aspect, height)
    x, y = corners.xy[i].T
    x1, y1 = np.where(RIGHT[one], x + 1 - width, x), np.where(BOTTOM[one], y + 1 - height, y)
    return np.stack((x1, y1, x1 + width, y1 + height), axis=-1), arms.mean(axis=1)


def _closed_by_arms(
    corners: Corners, one: int, other: int, mask: np.ndarray, most: int = 40
) -> tuple[np.ndarray, np.ndarray]:
    """Boxes (n, 4) from two corners on one side, closed where the lines from them end; their arms (n,).

    A pointer may hide the far corners so far that only one arm of each is left.
    """
    upright = RIGHT[one] != RIGHT[other]  # the corners lie on a horizontal side
    xy, field = (corners.xy, mask) if upright else (corners.xy[:, ::-1], mask.T)
    far = BOTTOM[one] if upright else RIGHT[one]
    first, second = np.flatnonzero(corners.kind == one), np.flatnonzero(corners.kind == other)
    i, j = (grid.ravel() for grid in np.meshgrid(first, second, indexing="ij"))
    level = (np.abs(xy[i, 1] - xy[j, 1]) <= 1) & (xy[j, 0] - xy[i, 0] > 4)
    level &= alike(corners.arm[i], corners.arm[j]) & alike(corners.arm[j], corners.arm[i])
    boxes, arms = [], []
    for left, right in zip(i[level][:most], j[level][:most], strict=True):
        (x1, y), (x2, _) = xy[left], xy[right]
        arm = round(float(corners.arm[left] + corners.arm[right]) / 2)
        both = field[:, x1 : x1 + 2].max(axis=1), field[:, max(x2 - 1, 0) : x2 + 1].max(axis=1)
        # Of two far corners one may be hidden altogether.
        for line, slack in ((np.minimum(*both), max(arm - 3, 0)), (both[0], 1), (both[1], 1)):
            for end in _run_ends(line[y::-1] if far else line[y:], arm, slack):
                y1, y2 = (y + 1 - end, y + 1) if far else (y, y + end)
                boxes.append((x1, y1, x2 + 1, y2) if upright else (y1, x1, y2, x2 + 1))
                arms.append(float(arm))
    return np.array(boxes, float).reshape(-1, 4), np.array(arms)


def _run_ends(line: np.ndarray, arm: int, slack: int) -> np.ndarray:
    """Where the first runs of about an arm's length end on a line that begins at a corner."""
    begin = 2 * arm
    edges = np.flatnonzero(np.diff(line[begin:].astype(np.int8), prepend=0, append=0))
    runs = edges.reshape(-1, 2)[:6] + begin
    length = runs[:, 1] - runs[:, 0]
    return runs[(length >= max(arm - slack, 3)) & (length <= arm + min(slack, 2)), 1]


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
