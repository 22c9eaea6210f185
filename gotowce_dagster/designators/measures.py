"""Measurements of one proposed box in a frame, and the confidence that it is a designator."""

from dataclasses import dataclass

import numpy as np

from gotowce_dagster.designators.arms import BOTTOM, RIGHT, Search, alike, arm_lengths
from gotowce_dagster.designators.evidence import CONTRAST
from gotowce_dagster.designators.profile import SMALL, Designator
from gotowce_dagster.designators.proposals import SHORT, corner_places

OUTSIDE, INSIDE = 4, 8
"""Pixels looked at on either side of a box's edge."""
VISIBLE = 0.6
"""A corner counts as visible when this share of its probes is on."""
STEP = 30.0
"""A rise or fall of luma along a side that can be the border of a panel which hides the corner behind it."""
SIGHT = {2: 0.75, 3: 0.9, 4: 1.0}
"""What is left of the confidence when so many corners are visible."""
ALONE = 0.6
"""What is left when, in addition, one side of a mark of any shape rests on nothing that is seen."""
UNEXPLAINED = {2: 0.6, 3: 0.85, 4: 1.0}
"""What is left of the confidence then when nothing is seen that could hide the missing ones."""
SPARED = {2: 0, 3: 1, 4: 2}
"""Of the half-sides with a visible corner so many may be crossed by a shot or touched by text, for free."""
CROWDED = {2: 2.5, 3: 2.0, 4: 1.5}
"""How much clutter around the arms counts: text is all clutter, and two corners in it are two letters."""


@dataclass(frozen=True)
class Lines:
    """Measurements of one box in the mask of a frame; per corner in the order of arms.RIGHT."""

    box: np.ndarray
    """float (4,): the box with its edges moved onto the outside of the lines."""
    coverage: np.ndarray
    """float (4, 2): share of each arm's probe that is on, 0 to 1; the horizontal arm first."""
    arms: np.ndarray
    """float (4, 2): lengths in pixels."""
    gap_on: np.ndarray
    """float (4, 2): share of the middle of the side, on the corner's half, that is not empty."""
    clutter: np.ndarray
    """float (4, 2): share of the pixels around the arm, outside, inside and beyond its end, that are on."""
    outside: np.ndarray
    """bool (4,): whether the corner is outside the frame."""
    visible: np.ndarray
    """bool (4,): the corners that are seen; of one arm a good part may be missing."""


@dataclass(frozen=True)
class Measured(Lines):
    """Measurements of one box in a frame; per corner in the order of arms.RIGHT."""

    contrast: np.ndarray
    """float (4, 2): how far the arm stands out from both sides; 1 is CONTRAST or more."""
    vividness: np.ndarray
    """float (4, 2): distance of the arm's mean colour from grey in Cr and Cb."""
    hidden: np.ndarray
    """bool (4,): whether the corner is outside the frame, or something before it could hide it."""


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
    return np.array(flat), np.array(upright)


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


def mean(values: np.ndarray, axis: int | tuple[int, ...], empty: float = 0.0) -> np.ndarray:
    """Mean along axes; ``empty`` where there is nothing, as in a box smaller than its probes."""
    return values.mean(axis=axis) if values.size else np.full(values.sum(axis=axis).shape, empty)


def measure(
    ycrcb: np.ndarray, mask: np.ndarray, box: np.ndarray, designator: Designator, search: Search
) -> Measured:
    """Measure how well a frame shows a designator at about that box (within 3 pixels)."""
    return with_colours(ycrcb, mask, lines_at(mask, box, designator, search), search)


def lines_at(mask: np.ndarray, box: np.ndarray, designator: Designator, search: Search) -> Lines:
    """Measure the lines in a mask at about that box (within 3 pixels)."""
    halves = half_sides(mask, box)
    moved = _onto_lines(box, halves, search)
    if (np.round(moved) != np.round(box)).any():
        halves = half_sides(mask, moved)
    box = moved
    sides = np.array([_measure_lines(half, designator, search) for half in halves])
    coverage, arms, gap_on, clutter = np.ascontiguousarray(sides.transpose(1, 2, 0))
    place = corner_places(box[None])[0]
    outside = ((place < 0) | (place >= mask.shape[::-1])).any(axis=1)
    visible = (coverage.mean(axis=1) >= VISIBLE) & (coverage.min(axis=1) >= VISIBLE / 3)
    return Lines(box, coverage, arms, gap_on, clutter, outside, visible)


def with_colours(ycrcb: np.ndarray, mask: np.ndarray, lines: Lines, search: Search) -> Measured:
    """Lines with what the frame's colours say of them."""
    colours = half_sides(ycrcb, lines.box)
    sides = [
        _measure_colours(side_colours, side_on, search)
        for side_colours, side_on in zip(colours, half_sides(mask, lines.box), strict=True)
    ]
    contrast, vividness = (np.stack(pair, axis=1) for pair in zip(*sides, strict=True))
    hidden = _behind_step(colours[0], colours[1], lines.visible, search) | lines.outside
    return Measured(**vars(lines), contrast=contrast, vividness=vividness, hidden=hidden)


def _measure_lines(on: np.ndarray, designator: Designator, search: Search) -> tuple[np.ndarray, ...]:
    """Coverage, arm length, filled gap, clutter, each (4,), of halves of two sides."""
    line = on[:, OUTSIDE - 1 : OUTSIDE + search.thickness + 1].max(axis=1)
    coverage = np.minimum(line[:, : search.probe].sum(axis=1) / search.fill, 1)
    lengths = arm_lengths(line, search.probe)
    gap = designator.gap[0]
    if designator.arm_law in ("fixed", "either"):  # of a smaller mark more of the side is arm
        gap = min(gap, max(1 - (designator.arm_longest_px + 1) / max(line.shape[1], 1), 0.15))
    middle = min(round((1 - 0.8 * gap) * line.shape[1]), line.shape[1] - 1)
    inner = slice(min(search.thickness + 2, search.probe - 1, line.shape[1] - 1), search.probe)
    around = [mean(on[:, rows, inner], (1, 2)) for rows in _beside(search)]
    beyond = np.arange(line.shape[1]) >= lengths[:, None] + 3
    stray = (line * beyond).sum(axis=1) / np.maximum(beyond.sum(axis=1), 1)
    clutter = np.minimum(around[0] + around[1] + stray, 1)
    # Where the box is too small to show a gap, none is seen.
    return coverage, lengths, mean(line[:, middle:], 1, empty=1.0), clutter


def _measure_colours(colours: np.ndarray, on: np.ndarray, search: Search) -> tuple[np.ndarray, np.ndarray]:
    """Contrast and vividness, each (4,), of halves of two sides."""
    lines = slice(OUTSIDE - 1, OUTSIDE + search.thickness + 1)
    arm = slice(search.probe // 3, search.probe)
    weight = on[:, lines, arm, None]
    colour = (colours[:, lines, arm] * weight).sum(axis=(1, 2)) / np.maximum(weight.sum(axis=(1, 2)), 1)
    differ = [np.abs(colour - mean(colours[:, rows, arm], (1, 2))) / CONTRAST for rows in _beside(search)]
    contrast = np.minimum(differ[0].max(axis=1), differ[1].max(axis=1))
    vividness = np.hypot(*(colour[:, 1:] - 128).T) * weight.any(axis=(1, 2, 3))
    return np.minimum(contrast, 1), vividness


def _beside(search: Search) -> tuple[slice, slice]:
    """Rows of half a side inside and outside of its line."""
    return slice(OUTSIDE + search.thickness + 2, None), slice(0, OUTSIDE - 1)


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
    return _onto_lines(box, half_sides(mask, box), search)


def _onto_lines(box: np.ndarray, halves: tuple[np.ndarray, np.ndarray], search: Search) -> np.ndarray:
    flat, upright = halves
    arm = slice(min(search.probe // 2, 4), search.probe + 1)
    left, right = upright[[0, 2], :, arm], upright[[1, 3], :, arm]
    top, bottom = flat[[0, 1], :, arm], flat[[2, 3], :, arm]
    shift = [_outer_edge(mean(side, (0, 2))) for side in (left, top, right, bottom)]
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
    scores = _line_scores(measured, designator)
    if scores is None:
        return 0.0
    visible = measured.visible
    count = int(visible.sum())
    vivid = designator.vividness if designator.free_aspect else 0.0
    coverage, alike_arms, gap, aspect, sight, clutter = scores
    # Text may touch the mark on one side, so the middle arm stands for all.
    contrast = np.median(measured.contrast[visible])
    vividness = _vivid_enough(measured.vividness[visible], vivid)
    unexplained = 1 - (1 - UNEXPLAINED[count]) * (~measured.hidden[~visible]).sum() / max(4 - count, 1)
    return float(
        np.prod((coverage, alike_arms, gap, contrast, aspect, vividness, sight, unexplained, clutter))
    )


def at_most(lines: Lines, designator: Designator) -> float:
    """The confidence of a box whose lines are known, whatever its colours are."""
    scores = _line_scores(lines, designator)
    return 0.0 if scores is None else float(np.prod(scores))


def _line_scores(lines: Lines, designator: Designator) -> tuple[float, ...] | None:
    """What lines say of coverage, equal arms, gaps, aspect, hidden corners and clutter, 0 to 1 each; None if
    they are no designator's."""
    visible = lines.visible
    count = int(visible.sum())
    diagonal = count == 2 and visible[0] == visible[3]
    if count < 2 or diagonal:
        return None
    # Two corners of a mark of any shape define one side; the other must be off the frame or show an arm.
    resting = lines.outside | (lines.coverage.max(axis=1) >= 0.9)
    made_up = designator.free_aspect and count == 2 and not resting[~visible].any()
    slack = 1.5 if designator.free_aspect and count < 4 else 2.5
    arms = lines.arms[visible]
    width, height = lines.box[2:] - lines.box[:2]
    typical = float(np.median(arms))
    side = (width + height) / 2
    longest = float(designator.longest_arm_px(side))
    expected = SHORT * float(designator.expected_arm_px(side)) * (count < 3)
    shortest = max(designator.shortest_arm_px, expected)
    by_side = designator.arm_law in ("proportional", "either")
    small = count < 4 and by_side and side < SMALL * designator.size_px[0]
    if small or not shortest <= typical <= longest:
        return None
    lo, hi = designator.aspect
    off_aspect = max(lo * height - width, width - hi * height, 0.0)
    return (
        _mean_of_best(lines.coverage[visible], SPARED[count]),
        _mean_of_best(alike(arms, typical, slack), SPARED[count]),
        _mean_of_best(1 - lines.gap_on[visible], SPARED[count]),
        max(1 - off_aspect / 4, 0.0),
        SIGHT[count] * (ALONE if made_up else 1),
        max(1 - CROWDED[count] * (1 - _mean_of_best(1 - lines.clutter[visible], SPARED[count])), 0.0),
    )


def _vivid_enough(vividness: np.ndarray, expected: float) -> float:
    """1 from nine tenths of what the examples have on average, 0 below seven and a half."""
    if not expected:
        return 1.0
    return float(np.clip((vividness.mean() / expected - 0.75) / 0.15, 0, 1))


def _mean_of_best(values: np.ndarray, spared: int) -> float:
    """Mean without the ``spared`` lowest."""
    return float(np.sort(values, axis=None)[spared:].mean())
