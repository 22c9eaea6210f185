"""Corners: learn the look of brackets from a few example boxes.

The mark's colour is unknown, its place only to a pixel or two. What gives it away: thin lines along the
ends of all sides that stand out from both sides, of a colour that recurs in every corner of every example.
So every pixel that stands out votes for its colour, a corner counts once however many pixels it has, and
the colour that most corners agree on is the mark's. With the colour known the lines are found, and with
the lines everything else is measured.
"""

from collections.abc import Sequence
from typing import Literal

import numpy as np
import supervision as sv

from gotowce_dagster.core.colour import Colour
from gotowce_dagster.designators.arms import Search, arm_lengths
from gotowce_dagster.designators.bracket import find_marks
from gotowce_dagster.designators.evidence import CONTRAST, mark_mask, to_ycrcb
from gotowce_dagster.designators.examples import MIN_EXAMPLES, Example
from gotowce_dagster.designators.measures import INSIDE, OUTSIDE, half_sides, measure, onto_lines
from gotowce_dagster.designators.profile import Designator

_SAME = np.array([40.0, 16.0, 16.0])
"""Pixels of one mark differ by at most so much in Y, Cr, Cb after anti-aliasing and compression."""
_OUTLIERS = (0.05, 0.1, 0.2, 0.3, 0.02)
"""Shares of the mark's pixels whose colour is left out, tried in this order."""
_FULL = 2.5
"""A line with chroma of its own is so many times more coloured than one that shares it with the ground."""
_REACHES = (24.0, 8.0)
"""Pixels from the corner in which its arms are looked for after half the side: where little of a side is arm,
much of it is ground."""
_DECOYS = ((0.37, 0.0), (0.0, 0.37), (0.63, 0.63), (-0.41, 0.0), (0.0, -0.41), (-0.63, -0.63))
"""Strip beside a box that contains no mark, in sides of the box."""
_SMALLER = 0.45
"""Sides down to this times the smallest example's are looked for."""
_SQUARE, _SHAPES = 0.07, 2.5
"""Marks within this of square, as a logarithm, are squares; others may be so many times wider or higher."""
_COLOURED = 12.0
"""Distance from grey in Cr and Cb from which a mark counts as coloured."""
SMALLEST = 9.0
"""Side in pixels below which corners cannot be distinguished."""
_HARMLESS = 0.3
"""Confidence up to which something else than the mark may be found in an example."""
_OFF = 2
"""Pixels by which a box may be off."""


def learn(examples: Sequence[Example], name: str, class_name: str) -> Designator:
    """Learn a designator from three or more examples, whose boxes may be off by 2 pixels.

    Raises:
        ValueError: the corners of the boxes share no colour, or show no arms with a gap between.
    """
    if len(examples) < MIN_EXAMPLES:
        raise ValueError(f"{len(examples)} examples, at least {MIN_EXAMPLES} are needed")
    # A slip of the mouse among right boxes is left out; it counts as an example that is not recognised.
    smallest = min(float((example.box[2:] - example.box[:2]).min()) for example in examples)
    examples = [e for e in examples if (e.box[2:] - e.box[:2]).min() >= SMALLEST]
    if len(examples) < MIN_EXAMPLES:
        raise ValueError(f"a box has a side of {smallest:.0f} px; four corners need at least {SMALLEST:.0f}")
    scenes = [to_ycrcb(example.image) for example in examples]
    boxes = [example.box for example in examples]
    tried: list[tuple[float, Designator]] = []
    refused: ValueError | None = None
    seen: set[tuple[Colour, ...]] = set()
    side = min(float((box[2:] - box[:2]).min()) for box in boxes)
    for reach in (side, *(reach for reach in _REACHES if reach < side / 2)):
        try:
            groups = _shared_colours(scenes, boxes, reach)
        except ValueError as error:
            refused = refused or error
            continue
        for share in _OUTLIERS:
            colours = tuple(_colour(pixels, ground, share) for pixels, ground in groups)
            if colours in seen:
                continue
            seen.add(colours)
            draft = _draft(colours, boxes, name, class_name, reach)
            try:
                # Twice, because lines are found better once the arms' length is known.
                learned = _learn_shape(scenes, boxes, _learn_shape(scenes, boxes, draft))
                learned = _with_vividness(scenes, boxes, learned)
            except ValueError as error:
                refused = refused or error
            else:
                tried.append((_separation(scenes, boxes, learned), learned))
    if not tried:
        raise refused or ValueError("the corners of the boxes show no mark")
    return max(tried, key=lambda pair: pair[0])[1]


def _separation(scenes: Sequence[np.ndarray], boxes: Sequence[np.ndarray], designator: Designator) -> float:
    """Mean margin of confidence between the marks in the examples and everything else."""
    margins = []
    for scene, box in zip(scenes, boxes, strict=True):
        marks = find_marks(scene, designator, 0.0, small=False)
        confidence = np.array([mark.confidence for mark in marks])
        found = np.stack([box, *(mark.box for mark in marks)])
        iou = sv.box_iou_batch(found[:1], found[1:])[0]
        right = iou >= 0.5
        # Boxes are off by a pixel or two, so no more than that is asked of the found ones.
        close = np.minimum(iou + 2 * _OFF / np.mean(box[2:] - box[:2]), 1)
        false = np.maximum(confidence[~right] - _HARMLESS, 0).max(initial=0)
        margins.append((confidence * close)[right].max(initial=0) - false / (1 - _HARMLESS))
    return float(np.mean(margins))


def _shared_colours(
    scenes: Sequence[np.ndarray], boxes: Sequence[np.ndarray], reach: float
) -> list[tuple[np.ndarray, np.ndarray]]:
    """Pixels (n, 3) of the colour that the most corners share with the ground beneath them (n, 3), and of
    further colours on other examples.

    Places without a mark, near the boxes, vote against their colours: that is how the ground shows.
    """
    pixels, ground, halves = _outstanding(scenes, boxes, reach)
    elsewhere, _, decoys = _outstanding(
        [scene for scene in scenes for _ in _DECOYS],
        [
            _moved(box, decoy, scene.shape)
            for scene, box in zip(scenes, boxes, strict=True)
            for decoy in _DECOYS
        ],
        reach,
    )
    open_examples = np.arange(len(scenes))
    groups: list[tuple[np.ndarray, np.ndarray]] = []
    while len(open_examples):
        open_ = np.isin(halves // 8, open_examples)
        shared = _most_shared(pixels[open_], halves[open_], elsewhere, decoys)
        example, corners = np.unique(np.unique(halves[open_][shared]) // 8, return_counts=True)
        # Of an example's eight half-sides some may be crossed by something, but not most.
        explained = example[corners >= 5]
        if not len(explained):
            break
        groups.append((pixels[open_][shared], ground[open_][shared]))
        open_examples = np.setdiff1d(open_examples, explained)
    if not groups:
        raise ValueError(
            "the corners of the boxes share no colour; is each box around the same kind of mark?"
        )
    return groups


def _moved(box: np.ndarray, by: tuple[float, float], shape: tuple[int, ...]) -> np.ndarray:
    """A box moved by parts of its sides, in the direction in which it stays in the frame."""
    size, middle = box[2:] - box[:2], (box[2:] + box[:2]) / 2
    towards = np.where(middle > np.array(shape[1::-1]) / 2, -1, 1)
    return box + np.tile(towards * np.array(by) * size + np.sign(by) * 9, 2)


def _outstanding(
    scenes: Sequence[np.ndarray], boxes: Sequence[np.ndarray], reach: float
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Pixels near the corners of boxes that differ from both sides of a line through them.

    Args:
        reach: pixels from a corner along each side.

    Returns:
        Their YCrCb, float (n, 3), that of the ground beside each, float (n, 3), and the half-side each lies
        on, int (n,): 8 an example.
    """
    rows = np.arange(3, OUTSIDE + INSIDE - 3)
    pixels, grounds, places = [], [], []
    for number, (scene, box) in enumerate(zip(scenes, boxes, strict=True)):
        for turn, halves in enumerate(half_sides(scene, box + _OFF * np.array([-1, -1, 1, 1]))):
            strips = halves[:, :, : int(reach) + 2 * _OFF].astype(float)
            differs = [
                (np.abs(strips[:, rows] - strips[:, rows + step]) / CONTRAST).max(axis=-1) for step in (-3, 3)
            ]
            contrast = np.minimum(*differs)
            best = contrast.argmax(axis=1)
            beside = (strips[:, rows - 3] + strips[:, rows + 3]) / 2
            colour, ground = (
                np.take_along_axis(values, best[:, None, :, None], axis=1)[:, 0]
                for values in (strips[:, rows], beside)
            )
            corner, column = np.nonzero(contrast.max(axis=1) >= 1)
            pixels.append(colour[corner, column])
            grounds.append(ground[corner, column])
            places.append(8 * number + 2 * corner + turn)
    return np.concatenate(pixels), np.concatenate(grounds), np.concatenate(places)


def _most_shared(
    pixels: np.ndarray, halves: np.ndarray, elsewhere: np.ndarray, decoys: np.ndarray, seeds: int = 300
) -> np.ndarray:
    """Which pixels have the colour found on the most half-sides beyond what is usual elsewhere: bool (n,)."""
    if not len(pixels):
        return np.zeros(0, bool)
    tried = pixels[np.linspace(0, len(pixels) - 1, min(seeds, len(pixels))).astype(int)]
    same = (np.abs(tried[:, None] - pixels) <= _SAME).all(axis=-1)
    votes = _votes(same, halves)
    if len(elsewhere):
        usual = (np.abs(tried[:, None] - elsewhere) <= _SAME).all(axis=-1)
        votes = votes - _votes(usual, decoys) / len(_DECOYS)
    best = np.lexsort((same.sum(axis=1), np.round(votes, 1)))[-1]
    middle = np.median(pixels[same[best]], axis=0)
    return (np.abs(pixels - middle) <= _SAME).all(axis=-1)


def _votes(same: np.ndarray, halves: np.ndarray) -> np.ndarray:
    """Number of half-sides with at least three pixels of each colour: (seeds, n), (n,) -> (seeds,)."""
    on_half = halves[:, None] == np.unique(halves)
    return (same.astype(np.float32) @ on_half.astype(np.float32) >= 3).sum(axis=1)


def _colour(pixels: np.ndarray, ground: np.ndarray, outliers: float) -> Colour:
    """The box in YCrCb in which a mark of these pixels stays in other scenes and at other sizes.

    Anti-aliasing and chroma subsampling pull it down and towards grey, but not all the way; a line that is
    wide enough shows its full colour; a mark drawn with two thirds of opacity is lifted by a bright scene.

    Args:
        ground: what is beside each pixel, as ``pixels``.
        outliers: share of the pixels on either side that the box need not hold.
    """
    low, middle, high = np.quantile(pixels, (outliers, 0.5, 1 - outliers), axis=0)
    beneath = np.median(ground, axis=0)[1:] - 128
    bounds = [(max(0.7 * low[0], 0.4 * middle[0]), high[0] + (255 - high[0]) / 3)]
    tint = middle[1:] - 128
    for axis, (least, most) in enumerate(zip(low[1:] - 128, high[1:] - 128, strict=True)):
        down = 0.3 * least if least > 0 else 0.5 * -least
        up = 0.3 * -most if most < 0 else 0.5 * most
        bottom, top = least - max(down, 5), most + max(up, 5)
        # Chroma has half the resolution: most lines share theirs with the ground, a few have all of it. How
        # far that is depends on the ground: beside blue, violet lines show least of their own blue.
        full = _FULL * tint[axis], beneath[axis] + _FULL * (tint[axis] - beneath[axis])
        bottom, top = min(bottom, *full), max(top, *full)
        if abs(tint[axis]) == abs(tint).max() >= 6:  # it is coloured: greys must stay out
            bottom = max(bottom, 0.35 * tint[axis]) if tint[axis] > 0 else bottom
            top = min(top, 0.35 * tint[axis]) if tint[axis] < 0 else top
        bounds.append((128 + bottom, 128 + top))
    lowest, highest = np.clip(np.array(bounds).T, 0, 255)
    centre = np.round((lowest + highest) / 2).astype(int)
    tolerance = np.round((highest - lowest) / 2).astype(int)
    return Colour(ycrcb=tuple(centre.tolist()), tolerance=tuple(tolerance.tolist()))


def _draft(
    colours: tuple[Colour, ...], boxes: Sequence[np.ndarray], name: str, class_name: str, reach: float
) -> Designator:
    """A designator of these colours and of any shape."""
    # A wrong box may be tiny; no designator has sides below 9 pixels.
    side = max(min(float((box[2:] - box[:2]).min()) for box in boxes), 9.0)
    return Designator(
        name=name,
        class_name=class_name,
        colours=colours,
        arm=(0.01, 0.45),
        arm_px=max(min(0.12 * side, reach / 2), 3),
        gap=(0.1, 0.98),
        thickness_px=2,
        size_px=(side / 2, 0),
        aspect=(0.1, 10),
    )


def _learn_shape(scenes: Sequence[np.ndarray], boxes: Sequence[np.ndarray], draft: Designator) -> Designator:
    """Measure arms, lines and sides on the masks of a draft's colours."""
    shapes = [_shape(scene, box, draft) for scene, box in zip(scenes, boxes, strict=True)]
    fitted, arms, rounding, thickness = (np.array(column) for column in zip(*shapes, strict=True))
    size = fitted[:, 2:] - fitted[:, :2]
    share = arms / np.maximum(size.mean(axis=1), 1)  # a wrong box may have no size at all
    # A wrong box among right ones must not spoil what is learned; the caller reports it.
    good = (arms >= 3) & (share <= 0.45) & (size.min(axis=1) >= 6)
    if good.sum() < MIN_EXAMPLES:
        raise ValueError(
            f"the corners' arms measure {np.round(arms, 1).tolist()} px on sides of "
            f"{np.round(size.mean(axis=1), 1).tolist()} px; at least {MIN_EXAMPLES} boxes must have four "
            f"corners with gaps between"
        )
    fitted, arms, size, share = fitted[good], arms[good], size[good], share[good]
    inwards = (np.stack(boxes)[good] - fitted) * (1, 1, -1, -1)
    arm = 0.9 * share.min(), 1.1 * share.max()
    law = _arm_law(arms, size.mean(axis=1))
    smallest = max(_SMALLER * size.min(), *([1.6 * 0.75 * arms.min()] if law == "fixed" else [6.0]))
    return Designator.model_validate(
        draft.model_dump()
        | {
            "arm": _rounded(*arm),
            "arm_px": round(float(arms.min()), 1),
            "arm_law": law,
            "arm_longest_px": round(float(arms.max()), 1),
            "gap": _rounded(1 - 2 * arm[1], 1 - 2 * arm[0]),
            "rounding": round(float(np.clip(np.median(rounding[good]), 0, 0.7)), 2),
            "thickness_px": round(float(np.median(thickness[good])), 1),
            "size_px": (float(np.floor(smallest)), 0.0),
            "aspect": _aspects(size),
            "inset_px": round(float(np.clip(np.median(inwards), -_OFF, _OFF)), 1),
        }
    )


def _with_vividness(
    scenes: Sequence[np.ndarray], boxes: Sequence[np.ndarray], designator: Designator
) -> Designator:
    """The designator with how far from grey its palest example is, where even that has a colour."""
    means = []
    for scene, box in zip(scenes, boxes, strict=True):
        mask = mark_mask(scene, designator)
        measured = measure(scene, mask, box, designator, Search.of(designator, mask.shape))
        if measured.visible.sum() >= 3:
            means.append(measured.vividness[measured.visible].mean())
    palest = min(means, default=0.0)
    return designator.model_copy(
        update={"vividness": round(float(palest), 1) if palest >= _COLOURED else 0.0}
    )


def _arm_law(arms: np.ndarray, sides: np.ndarray) -> Literal["fixed", "proportional", "either"]:
    """Whether arms keep their length in pixels, grow with the side, or the examples cannot decide."""
    if sides.max() < 1.3 * sides.min():
        return "either"
    as_pixels, as_share = arms.std() / arms.mean(), (arms / sides).std() / (arms / sides).mean()
    if as_pixels < 0.5 * as_share:
        return "fixed"
    return "proportional" if as_share < 0.5 * as_pixels else "either"


def _aspects(size: np.ndarray) -> tuple[float, float]:
    """Smallest and largest width over height: squares stay squares, other shapes are their target's."""
    aspect = size[:, 0] / size[:, 1]
    if np.abs(np.log(np.median(aspect))) < _SQUARE and aspect.max() < 1.3 * aspect.min():
        return _rounded(0.95 * aspect.min(), 1.05 * aspect.max())
    return _rounded(aspect.min() / _SHAPES, aspect.max() * _SHAPES)


def _shape(scene: np.ndarray, box: np.ndarray, draft: Designator) -> tuple[np.ndarray, float, float, float]:
    """Box on the lines, arm length, rounding and thickness in one example."""
    mask = mark_mask(scene, draft)
    fitted = onto_lines(mask, box, Search.of(draft, mask.shape))
    lengths, fills, widths = [], [], []
    for halves in half_sides(mask, fitted):
        line = halves[:, OUTSIDE - 1 : OUTSIDE + 3].max(axis=1)
        arms = arm_lengths(line, line.shape[1] // 2)
        outer = halves[:, OUTSIDE : OUTSIDE + 2].max(axis=1)
        for arm, strip, edge in zip(arms, halves, outer, strict=True):
            if arm >= 3:
                lengths.append(arm)
                fills.append(edge[:arm].mean())
                widths.append(strip[OUTSIDE - 1 : OUTSIDE + 5, arm // 2 : arm].sum(axis=0).mean())
    if not lengths:
        return fitted, 0.0, 0.0, 0.0
    return fitted, float(np.median(lengths)), float(1 - np.median(fills)), float(np.median(widths))


def _rounded(low: float, high: float) -> tuple[float, float]:
    return round(float(low), 3), round(float(high), 3)
