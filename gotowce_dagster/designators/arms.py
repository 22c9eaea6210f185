"""Places in a mask where two arms of about one length meet at a right angle: the corners of designators.

Box sums over the mask find them in a few milliseconds a frame whatever their size, because only a short
piece of each arm, the probe, is looked at. Everything is arrays of candidates, never loops over pixels.
"""

from dataclasses import dataclass

import cv2
import numpy as np

from gotowce_dagster.designators.evidence import CONTRAST
from gotowce_dagster.designators.profile import Designator

RIGHT = np.array([False, True, False, True])
BOTTOM = np.array([False, False, True, True])
"""The four kinds of corner, in the order top left, top right, bottom left, bottom right."""

MOST, PORTION = 16_000, 2_000
"""Places of one kind that are looked at in a frame at most, and at once."""


@dataclass(frozen=True)
class Search:
    """How corners are looked for, in pixels; derived from a designator."""

    probe: int
    """Length of the piece of each arm that is looked at."""
    fill: float
    """Pixels of a probe's outer line that an unharmed arm has; less than the probe when it is rounded."""
    thickness: int
    clear: int
    """Side of the square inside the corner, beyond the lines, that must be empty."""
    longest: int
    """Longest arm that is followed."""

    @classmethod
    def of(cls, designator: Designator, shape: tuple[int, ...]) -> "Search":
        """For frames of that height and width, which bound the mark where the profile does not."""
        probe = max(round(0.8 * designator.arm_px), 4)
        thickness = max(round(designator.thickness_px), 1)
        side = designator.size_px[1] or min(shape[:2])
        return cls(
            probe=probe,
            fill=max(probe - designator.rounding * designator.arm_px, 0.3 * probe),
            thickness=thickness,
            clear=max(int(1.3 * designator.arm_px) - thickness - 2, 2),
            longest=round(float(designator.longest_arm_px(side))) + 1,
        )


@dataclass(frozen=True)
class Corners:
    """Candidates of all four kinds."""

    xy: np.ndarray
    """int (n, 2): outermost pixel of the corner, inclusive."""
    kind: np.ndarray
    """int (n,): index into RIGHT and BOTTOM."""
    arm: np.ndarray
    """float (n,): mean length of its two arms."""


def find_corners(ycrcb: np.ndarray, mask: np.ndarray, search: Search, limit: int = 64) -> Corners:
    """Find corners in a mask of 0 and 1.

    A probe's outer line, two pixels wide because anti-aliasing may put it into either, must be filled for
    7 tenths of what is expected. The square inside the corner, which reaches beyond the arms, must be
    empty: in text, bars and small circles it is not. The arms must stand out from what is beside them, as
    the fringes of a cloud do not, and both must be of about one length.

    Args:
        ycrcb: uint8 (H, W, 3), the frame.
        mask: uint8 (H, W), of 0 and 1.
        limit: at most so many of each kind, those with the fullest probes.
    """
    probe = search.probe
    needed = max(int(np.ceil(0.7 * search.fill)), 3)
    rows, columns = _or_next(mask, axis=0), _or_next(mask, axis=1)
    across, down = _box_sum(rows, probe, 1), _box_sum(columns, 1, probe)
    points = cv2.findNonZero(cv2.threshold(across, needed - 1, 1, cv2.THRESH_BINARY)[1])
    if points is None:
        return Corners(np.zeros((0, 2), int), np.zeros(0, int), np.zeros(0))
    x, y = points.reshape(-1, 2).T.astype(np.intp)
    steps = np.arange(max(search.longest, search.thickness + 2 + search.clear))
    found = []
    for kind, (right, bottom) in enumerate(zip(RIGHT, BOTTOM, strict=True)):
        corner_x, corner_y = x + (probe - 1) * right, y + bottom
        vertical = _at(down, corner_x - right, corner_y - (probe - 1) * bottom)
        good = vertical >= needed
        strength = across[y[good], x[good]] + vertical[good]
        strongest = _strongest(np.c_[corner_x[good], corner_y[good]], strength)
        over, along = (-steps if right else steps), (-steps if bottom else steps)
        xy = np.zeros((0, 2), np.intp)
        # In portions: where the ground has the mark's colour there are tens of thousands.
        for start in range(0, min(len(strongest), MOST), PORTION):
            part = strongest[start : start + PORTION]
            part = part[_empty_inside(mask, part, over, along, search)]
            part = part[_stand_out(ycrcb, part, search, right=bool(right), bottom=bool(bottom))]
            xy = np.concatenate((xy, part))[:limit]
            if len(xy) == limit:
                break
        arms = np.c_[
            arm_lengths(_at(rows, xy[:, [0]] + over, xy[:, [1]] - bottom), probe),
            arm_lengths(_at(columns, xy[:, [0]] - right, xy[:, [1]] + along), probe),
        ]
        same = alike(arms, arms.mean(axis=1, keepdims=True)).all(axis=1)
        found.append((xy[same], np.full(int(same.sum()), kind), arms[same].mean(axis=1)))
    return Corners(*(np.concatenate(column) for column in zip(*found, strict=True)))


def _empty_inside(
    mask: np.ndarray, xy: np.ndarray, over: np.ndarray, along: np.ndarray, search: Search
) -> np.ndarray:
    """Whether the square inside each corner is empty but for a few pixels: bool (n,).

    Args:
        over, along: steps from the corner inwards, in x and in y.
    """
    inner = slice(search.thickness + 2, search.thickness + 2 + search.clear)
    x, y = xy[:, 0, None, None] + over[None, inner, None], xy[:, 1, None, None] + along[None, None, inner]
    return _at(mask, x, y).mean(axis=(1, 2)) <= 0.15


def _stand_out(
    ycrcb: np.ndarray, xy: np.ndarray, search: Search, *, right: bool, bottom: bool, least: float = 0.6
) -> np.ndarray:
    """Whether both arms differ from what is inside them, and one also from what is outside: bool (n,).

    Only one, because text may touch the mark on one side.
    """
    inward = np.array([-1 if right else 1, -1 if bottom else 1])
    along = np.linspace(0.5, 1, 4) * (search.probe - 1)
    across = np.array([0, 1, search.thickness + 2, -3])
    differ = []
    for axis in range(2):
        step = np.zeros((len(along), len(across), 2))
        step[..., axis] = np.round(along)[:, None]
        step[..., 1 - axis] = across
        places = xy[:, None, None] + (step * inward).astype(int)
        x = np.clip(places[..., 0], 0, ycrcb.shape[1] - 1)
        y = np.clip(places[..., 1], 0, ycrcb.shape[0] - 1)
        colours = ycrcb[y, x].astype(np.int16)
        line, beside = colours[:, :, :2], colours[:, :, 2:]
        contrast = (np.abs(line[:, :, :, None] - beside[:, :, None]) / CONTRAST).max(axis=-1)
        # Of the line's two possible rows the better one, of the places along the arm the middle one.
        differ.append(np.median(contrast.max(axis=2), axis=1))
    inside, outside = np.stack(differ, axis=1).transpose(2, 0, 1)
    return (inside >= least).all(axis=1) & (outside >= least).any(axis=1)


def arm_lengths(lines: np.ndarray, probe: int) -> np.ndarray:
    """Lengths from the corner to the end of the first stretch of each line; holes of 2 pixels are crossed.

    Args:
        lines: 0 and 1, (n, length), each beginning at the corner.
        probe: a line with nothing on in so many pixels has no arm.

    Returns:
        int (n,).
    """
    on = lines.astype(bool)
    if not on.shape[1]:  # half a side of a box of one pixel
        return np.zeros(len(on), int)
    ahead = np.zeros((on.shape[0], on.shape[1] + 2), bool)
    ahead[:, :-2] = on
    begun = np.logical_or.accumulate(on, axis=1)
    end = begun & ~(on | ahead[:, 1:-1] | ahead[:, 2:])
    length = np.where(end.any(axis=1), end.argmax(axis=1), on.shape[1])
    return np.where(on[:, :probe].any(axis=1), length, 0)


def alike(arms: np.ndarray, typical: np.ndarray | float, slack: float = 2.5) -> np.ndarray:
    """Whether arms have the typical length, give or take a quarter or ``slack`` pixels."""
    return np.abs(arms - typical) <= np.maximum(slack, 0.25 * np.asarray(typical))


def _box_sum(mask: np.ndarray, width: int, height: int) -> np.ndarray:
    """Sum over the ``width`` x ``height`` pixels from each pixel on, right and down; saturates at 255."""
    return cv2.boxFilter(
        mask, -1, (width, height), anchor=(0, 0), normalize=False, borderType=cv2.BORDER_CONSTANT
    )


def _or_next(mask: np.ndarray, axis: int) -> np.ndarray:
    """Each pixel or its neighbour further along ``axis``."""
    both = mask.copy()
    inner, ahead = (both[:-1], mask[1:]) if axis == 0 else (both[:, :-1], mask[:, 1:])
    np.maximum(inner, ahead, out=inner)
    return both


def _at(values: np.ndarray, x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """Values at pixels, 0 outside the image; x and y broadcast."""
    height, width = values.shape
    inside = (x >= 0) & (y >= 0) & (x < width) & (y < height)
    return np.where(inside, values[np.clip(y, 0, height - 1), np.clip(x, 0, width - 1)], 0).astype(int)


def _strongest(xy: np.ndarray, strength: np.ndarray, cell: int = 4) -> np.ndarray:
    """Of the places in each ``cell`` x ``cell`` pixels the strongest, strongest of all first."""
    xy = xy[np.argsort(-strength, kind="stable")]
    _, first = np.unique((xy // cell) @ np.array([1, 1 << 20]), return_index=True)
    return xy[np.sort(first)]
