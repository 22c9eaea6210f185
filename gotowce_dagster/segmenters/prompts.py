"""How a promptable model is asked for the target in a designator: several ways, so that they may agree."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

_OUTWARD = 1.2


@dataclass(frozen=True)
class Prompt:
    """Points and their labels, or a box, or a mask; in the pixels of one picture."""

    points: np.ndarray | None = None
    """float (n, 2) as x, y."""
    labels: np.ndarray | None = None
    """int (n,): 1 target, 0 not."""
    box: np.ndarray | None = None
    """xyxy float (4,)."""
    mask: np.ndarray | None = None
    """bool (H, W); only propagators take one, image segmenters do not."""


def point(box: np.ndarray) -> Prompt:
    """The designator's centre."""
    return Prompt(_centre(box), np.ones(1, int))


def ring(box: np.ndarray) -> Prompt:
    """The centre, and a ring that is not the target: the corners, and points outside each side's middle."""
    x1, y1, x2, y2 = box
    corners = np.array([(x1, y1), (x2, y1), (x2, y2), (x1, y2)])
    middles = (corners + np.roll(corners, -1, axis=0)) / 2
    outside = _centre(box) + _OUTWARD * (middles - _centre(box))
    points = np.concatenate([_centre(box), corners, outside])
    return Prompt(points, np.r_[1, np.zeros(len(points) - 1, int)])


def whole(box: np.ndarray) -> Prompt:
    """The designator itself as a box: right for targets that fill it, the bracket's square otherwise."""
    return Prompt(box=box)


PROMPTS: dict[str, Callable[[np.ndarray], Prompt]] = {"point": point, "ring": ring, "box": whole}


def _centre(box: np.ndarray) -> np.ndarray:
    return (box[None, :2] + box[None, 2:]) / 2
