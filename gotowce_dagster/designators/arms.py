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
INWARD = np.stack((1 - 2 * RIGHT, 1 - 2 * BOTTOM), axis=-1)
"""The step in x and in y from each kind of corner into the mark, (4, 2)."""

_UNIT = int(np.lcm.reduce(CONTRAST))
"""Levels of contrast in whole numbers."""
THICK = 4
"""Width in pixels of lines so thick, as on large screens, that a corner is found several times."""
_NEAR = 32
"""Pixels in which most arms end: only longer ones are followed further."""
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


NO_CORNERS = Corners(np.zeros((0, 2), int), np.zeros(0, int), np.zeros(0))


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
    # Most rows have nothing on. Those that matter are put one below the other, with empty ones between them.
    level = _occupied(mask, probe + 1)
    if not len(level):
        return NO_CORNERS
    packed = mask[level]
    across, down = (_run_sum(_or_next(packed, axis=1 - axis), probe, axis) for axis in (1, 0))
    xy, kind, strength = _crossings(across, down, probe, needed)
    xy[:, 1] = level[xy[:, 1] - BOTTOM[kind]] + BOTTOM[kind]
    best = _strongest(xy, kind, strength)
    xy, kind = xy[best], kind[best]
    rank = np.arange(len(kind)) - np.searchsorted(kind, kind)
    found = np.zeros(0, np.intp)
    # In portions: where the ground has the mark's colour there are tens of thousands.
    for begin in range(0, min(int(rank.max(initial=-1)) + 1, MOST), PORTION):
        lacking = np.bincount(kind[found], minlength=4) < limit
        part = np.flatnonzero((rank >= begin) & (rank < min(begin + PORTION, MOST)) & lacking[kind])
        part = part[_empty_inside(mask, xy[part], kind[part], search)]
        part = part[_stand_out(ycrcb, xy[part], kind[part], search)]
        found = np.sort(np.concatenate((found, part)))
    found = found[np.arange(len(found)) - np.searchsorted(kind[found], kind[found]) < limit]
    xy, kind = xy[found], kind[found]
    reach = max(search.longest, search.thickness + 2 + search.clear)
    arms = _arms(mask, xy, kind, probe, min(_NEAR + 2, reach))
    long = (arms > _NEAR - 1).any(axis=1)
    arms[long] = _arms(mask, xy[long], kind[long], probe, reach)
    same = alike(arms, arms.mean(axis=1, keepdims=True)).all(axis=1)
    corners = Corners(xy[same], kind[same], arms[same].mean(axis=1))
    return _outermost(corners, search.thickness) if search.thickness >= THICK else corners


def _arms(mask: np.ndarray, xy: np.ndarray, kind: np.ndarray, probe: int, reach: int) -> np.ndarray:
    """Lengths of both arms of corners, the horizontal one first, up to ``reach`` pixels: int (n, 2)."""
    inward = np.arange(reach) * INWARD[kind][:, :, None]
    across = _either(mask, xy[:, :1] + inward[:, 0], xy[:, 1:] - BOTTOM[kind][:, None], (0, 1))
    down = _either(mask, xy[:, :1] - RIGHT[kind][:, None], xy[:, 1:] + inward[:, 1], (1, 0))
    return np.stack((arm_lengths(across, probe), arm_lengths(down, probe)), axis=-1)


def _crossings(
    across: np.ndarray, down: np.ndarray, probe: int, needed: int
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Where a horizontal and a vertical arm meet: corners int (n, 2), their kinds, the pixels of both arms.

    Whole images are compared: most pixels that begin one arm begin no other, so looking at each is slower.

    Args:
        across: uint8 (H, W), pixels on of a horizontal arm that begins at each place, running right.
        down: as ``across``, of a vertical one, running down.
    """
    starts = [np.asarray(cv2.threshold(sums, needed - 1, 1, cv2.THRESH_BINARY)[1]) for sums in (across, down)]
    height, width = across.shape
    places, kinds, strengths = [], [], []
    for kind in range(4):
        right, up = int(RIGHT[kind]) * (probe - 2), int(BOTTOM[kind]) * (probe - 2)
        one, other = np.s_[up:, : max(width - right, 0)], np.s_[: max(height - up, 0), right:]
        both = np.bitwise_and(starts[0][one], starts[1][other])
        y, x = np.divmod(np.flatnonzero(both.view(bool)), both.shape[1])
        strengths.append(across[one][y, x].astype(int) + down[other][y, x])
        places.append(np.c_[x + RIGHT[kind] * (probe - 1), y + up + BOTTOM[kind]])
        kinds.append(np.full(len(x), kind))
    return np.concatenate(places), np.concatenate(kinds), np.concatenate(strengths)


def _outermost(corners: Corners, thickness: int) -> Corners:
    """Corners without those that lie further inside on the lines of another; thick lines have several."""
    inwards = (corners.xy[:, None] - corners.xy) * INWARD[corners.kind]
    on_line = (inwards >= 0).all(axis=-1) & (inwards <= thickness).all(axis=-1) & inwards.any(axis=-1)
    same = (corners.kind[:, None] == corners.kind) & (corners.arm >= corners.arm[:, None] - 1)
    kept = ~(on_line & same).any(axis=1)
    return Corners(corners.xy[kept], corners.kind[kept], corners.arm[kept])


def _occupied(mask: np.ndarray, above: int) -> np.ndarray:
    """Rows with something on and the ``above`` rows before each, from the top: int (n,)."""
    on = np.flatnonzero(mask.max(axis=1))
    wanted = np.zeros(len(mask) + above, bool)
    for back in range(above + 1):
        wanted[on + above - back] = True
    return np.flatnonzero(wanted[above:])


def _empty_inside(mask: np.ndarray, xy: np.ndarray, kind: np.ndarray, search: Search) -> np.ndarray:
    """Whether the square inside each corner is empty but for a few pixels: bool (n,)."""
    begin, side = search.thickness + 2, search.clear
    first = xy + INWARD[kind] * begin - (INWARD[kind] < 0) * (side - 1)
    inside = (first >= 0).all(axis=1) & (first + side <= [mask.shape[1], mask.shape[0]]).all(axis=1)
    filled = np.zeros(len(xy), int)
    # Squares within the frame are read by one offset each: faster than by x and y.
    steps = (np.arange(side)[:, None] * mask.shape[1] + np.arange(side)).ravel()
    corner = first[inside, 1] * mask.shape[1] + first[inside, 0]
    filled[inside] = np.take(mask.ravel(), corner[:, None] + steps).sum(axis=1)
    x, y = (first[~inside][:, :, None] + np.arange(side)).transpose(1, 0, 2)
    filled[~inside] = _at(mask, x[:, :, None], y[:, None]).sum(axis=(1, 2))
    return filled / side**2 <= 0.15


def _stand_out(
    ycrcb: np.ndarray, xy: np.ndarray, kind: np.ndarray, search: Search, least: float = 0.6
) -> np.ndarray:
    """Whether both arms differ from what is inside them, and one also from what is outside: bool (n,).

    Only one, because text may touch the mark on one side.
    """
    along = np.linspace(0.5, 1, 4) * (search.probe - 1)
    across = np.array([0, 1, search.thickness + 2, -3])
    step = np.zeros((2, len(along), len(across), 2), int)
    for axis in range(2):
        step[axis, ..., axis] = np.round(along)[:, None]
        step[axis, ..., 1 - axis] = across
    # The corners come last: then every step below is over long rows. Whole numbers, for they are faster.
    place = (
        xy.T[:, None, None, None]
        + step.transpose(3, 0, 1, 2)[..., None] * INWARD[kind].T[:, None, None, None]
    )
    height, width = ycrcb.shape[:2]
    first = 3 * (np.clip(place[1], 0, height - 1) * width + np.clip(place[0], 0, width - 1))
    values, contrast = ycrcb.ravel(), np.zeros((), np.int16)
    for channel, weight in enumerate(_UNIT // CONTRAST):
        level = np.take(values, first + channel).astype(np.int16) * np.int16(weight)
        contrast = np.maximum(contrast, np.abs(level[:, :, :2, None] - level[:, :, None, 2:]))
    # Of the line's two possible rows the better one, of the places along the arm the middle one.
    better = contrast.max(axis=2)
    middle = better.sum(axis=1) - better.max(axis=1) - better.min(axis=1)
    inside, outside = np.moveaxis(middle >= 2 * _UNIT * least, 1, 0)
    return inside.all(axis=0) & outside.any(axis=0)


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


def _run_sum(mask: np.ndarray, length: int, axis: int) -> np.ndarray:
    """Sum over the ``length`` pixels from each pixel on, along ``axis``; saturates at 255.

    Sums of 1, 2, 4, ... pixels are added, which takes few steps over the image.
    """
    total, power, done = np.zeros_like(mask), mask, 0
    step = 1
    while True:
        if length & step:
            total = cv2.add(total, _ahead(power, done, axis))
            done += step
        if done == length:
            return total
        power = cv2.add(power, _ahead(power, step, axis))
        step *= 2


def _ahead(values: np.ndarray, by: int, axis: int) -> np.ndarray:
    """The value ``by`` pixels further along ``axis``; 0 outside the image."""
    moved = np.zeros_like(values)
    if axis == 0:
        moved[: max(len(values) - by, 0)] = values[by:]
    else:
        moved[:, : max(values.shape[1] - by, 0)] = values[:, by:]
    return moved


def _or_next(mask: np.ndarray, axis: int) -> np.ndarray:
    """Each pixel or its neighbour further along ``axis``."""
    both = mask.copy()
    inner, ahead = (both[:-1], mask[1:]) if axis == 0 else (both[:, :-1], mask[:, 1:])
    cv2.max(inner, ahead, inner)
    return both


def _at(values: np.ndarray, x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """Values at pixels, 0 outside the image; x and y broadcast."""
    height, width = values.shape
    column, row = np.clip(x, 0, width - 1), np.clip(y, 0, height - 1)
    found = np.take(values.ravel(), row * width + column).astype(int)
    found[(column != x) | (row != y)] = 0
    return found


def _either(mask: np.ndarray, x: np.ndarray, y: np.ndarray, step: tuple[int, int]) -> np.ndarray:
    """Each pixel or the one a step further, as ``_or_next``: 0 outside the image; x and y broadcast."""
    return np.maximum(_at(mask, x, y), _at(mask, x + step[0], y + step[1]))


def _strongest(xy: np.ndarray, kind: np.ndarray, strength: np.ndarray, cell: int = 4) -> np.ndarray:
    """Indices of the strongest of each kind in each ``cell`` x ``cell`` pixels, by kind, strongest first."""
    order = np.lexsort((-strength, kind))
    _, first = np.unique((xy[order] // cell) @ np.array([4, 1 << 22]) + kind[order], return_index=True)
    return order[np.sort(first)]
