"""Learn what a designator looks like from a few example boxes.

The mark's colour is unknown, its place only to a pixel or two. What gives it away: thin lines along the
ends of all sides that stand out from both sides, of a colour that recurs in every corner of every example.
So every pixel that stands out votes for its colour, a corner counts once however many pixels it has, and
the colour that most corners agree on is the mark's. With the colour known the lines are found, and with
the lines everything else is measured.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
import supervision as sv
from pydantic import ValidationError

from gotowce_dagster.core.colour import Colour
from gotowce_dagster.core.errors import InputError
from gotowce_dagster.core.tables import read_truth
from gotowce_dagster.core.validation import in_words
from gotowce_dagster.designators.arms import Search, arm_lengths
from gotowce_dagster.designators.bracket import find_marks, inset
from gotowce_dagster.designators.evidence import CONTRAST, mark_mask, to_ycrcb
from gotowce_dagster.designators.measures import INSIDE, OUTSIDE, half_sides, judge, measure, onto_lines
from gotowce_dagster.designators.profile import Designator, Profile
from gotowce_dagster.video.decode import probe, read_frames
from gotowce_dagster.video.names import key_and_suffix

MIN_EXAMPLES = 3
_SAME = np.array([40.0, 16.0, 16.0])
"""Pixels of one mark differ by at most so much in Y, Cr, Cb after anti-aliasing and compression."""
_OUTLIERS = (0.05, 0.1, 0.2, 0.3, 0.02)
"""Shares of the mark's pixels whose colour is left out, tried in this order."""
_OFF = 2
"""Pixels by which a box may be off."""
_RECOGNISED = 0.5
"""An example is recognised from this confidence on, as by the ``bracket`` detector by default."""
_ADVICE = (
    "Look whether each box lies within 2 px around four corners with gaps between them (`gotowce mark` makes "
    "a page to draw them on) and add boxes from other frames; a mark of another form needs another detector, "
    "see docs/detectors.md"
)


@dataclass(frozen=True, eq=False)
class Example:
    """A frame and the box around the designator in it."""

    frame_index: int
    image: np.ndarray
    """RGB uint8 (H, W, 3)."""
    box: np.ndarray
    """float (4,): xyxy in pixels, exclusive end."""


@dataclass(frozen=True, eq=False)
class Fit:
    """How well what was learned describes one of its own examples."""

    example: Example
    box: np.ndarray
    """float (4,): the box as the detector would give it."""
    confidence: float


@dataclass(frozen=True, eq=False)
class Calibration:
    """What was learned and from what."""

    profile: Profile
    designator: Designator
    fits: Sequence[Fit]

    @property
    def recognised(self) -> int:
        """How many of its own examples the detector would find with what was learned."""
        return sum(fit.confidence >= _RECOGNISED for fit in self.fits)

    @property
    def notes(self) -> list[str]:
        """A sentence for each example that does not look like the others."""
        return [
            f"frame {fit.example.frame_index}: its mark is not recognised (confidence {fit.confidence:.2f}); "
            f"is the box there right?"
            for fit in self.fits
            if fit.confidence < _RECOGNISED
        ]


def calibrate(
    video: Path,
    boxes: Path,
    *,
    profile_name: str,
    name: str = "target",
    class_name: str = "target",
    into: Profile | None = None,
) -> Calibration:
    """Learn a designator from boxes on a video and put it into a profile.

    Args:
        video: the video file.
        boxes: CSV with the columns of tables.read_truth; rows of other clips and labels are passed over.
        profile_name: name of a new profile.
        name: what the designator is called; one of that name in ``into`` is replaced.
        class_name: the class its target gets.
        into: a profile to add to, for a game with several marks.

    Raises:
        InputError: fewer than three boxes on that video, frames that it does not have, boxes whose
            corners share no colour, or a mark that is then found in none of its own examples.
    """
    rows = _rows_of(video, boxes)
    frames = {f.index: f.rgb() for f in read_frames(video, set(rows["frame_index"]))}
    if missing := sorted(set(rows["frame_index"]) - set(frames)):
        raise InputError(f"{boxes}: {video.name} has no readable frame {', '.join(map(str, missing))}")
    columns = rows[["x1", "y1", "x2", "y2"]].to_numpy(float)
    examples = [Example(int(i), frames[i], box) for i, box in zip(rows["frame_index"], columns, strict=True)]
    for example in examples:
        _refuse_outside(boxes, example)
    try:
        designator = learn(examples, name, class_name)
    except ValidationError as error:
        raise InputError(f"{boxes}: such boxes make no designator: {in_words(error)}") from None
    except ValueError as error:
        raise InputError(f"{boxes}: {error}; nothing was saved. {_ADVICE}") from None
    known = into or Profile(name=profile_name)
    key = key_and_suffix(video.name)[0]
    videos = known.videos if known.fits(key) else (*known.videos, key)
    others = tuple(d for d in known.designators if d.name != name)
    profile = Profile(name=known.name, videos=videos, designators=(*others, designator))
    learned = Calibration(profile, designator, [_fit(example, designator) for example in examples])
    if not learned.recognised:
        best = max(fit.confidence for fit in learned.fits)
        raise InputError(
            f"{boxes}: what was learned recognises none of its own {len(examples)} examples (the best at "
            f"confidence {best:.2f}, {_RECOGNISED} is needed), so nothing was saved. {_ADVICE}"
        )
    return learned


def _rows_of(video: Path, boxes: Path) -> pd.DataFrame:
    names = (video.name, video.stem)
    truth = read_truth(boxes, probe(video), names)
    own = truth["clip"].isin(names)
    rows = truth[own & truth["label"].eq("designator")].drop_duplicates(["frame_index", "x1", "y1"])
    if len(rows) < MIN_EXAMPLES:
        clips = ", ".join(sorted(set(truth["clip"]))) or "none"
        raise InputError(
            f"{boxes}: {len(rows)} boxes labelled `designator` on {video.name}, at least {MIN_EXAMPLES} are "
            f"needed; clips in this file: {clips}"
        )
    return rows


def _refuse_outside(boxes: Path, example: Example) -> None:
    """A box may reach over the frame's edge by as much as it is off, no further."""
    height, width = example.image.shape[:2]
    x1, y1, x2, y2 = example.box
    # NaN and infinity fail every comparison that they should.
    reach = 2 * _OFF
    if not (-reach <= x1 < x2 <= width + reach and -reach <= y1 < y2 <= height + reach):
        raise InputError(
            f"{boxes}: frame {example.frame_index}: expected a box x1 < x2, y1 < y2 in the frame of "
            f"{width} x {height} pixels, got {example.box.tolist()}"
        )


def learn(examples: Sequence[Example], name: str, class_name: str) -> Designator:
    """Learn a designator from three or more examples, whose boxes may be off by 2 pixels.

    Raises:
        ValueError: the corners of the boxes share no colour, or show no arms with a gap between.
    """
    if len(examples) < MIN_EXAMPLES:
        raise ValueError(f"{len(examples)} examples, at least {MIN_EXAMPLES} are needed")
    scenes = [to_ycrcb(example.image) for example in examples]
    boxes = [example.box for example in examples]
    groups = _shared_colours(scenes, boxes)
    tried = []
    for share in _OUTLIERS:
        draft = _draft(tuple(_colour(pixels, share) for pixels in groups), boxes, name, class_name)
        try:
            # Twice, because lines are found better once the arms' length is known.
            learned = _learn_shape(scenes, boxes, _learn_shape(scenes, boxes, draft))
        except ValueError as error:
            tried.append((-1.0, error))
        else:
            tried.append((_separation(scenes, boxes, learned), learned))
    best = max(tried, key=lambda pair: pair[0])[1]
    if isinstance(best, ValueError):
        raise best
    return best


def _separation(scenes: Sequence[np.ndarray], boxes: Sequence[np.ndarray], designator: Designator) -> float:
    """How much surer than of anything else the detector is of the marks in the examples, on average."""
    margins = []
    for scene, box in zip(scenes, boxes, strict=True):
        marks = find_marks(scene, designator, 0.0)
        confidence = np.array([mark.confidence for mark in marks])
        found = np.stack([box, *(mark.box for mark in marks)])
        right = sv.box_iou_batch(found[:1], found[1:])[0] >= 0.5
        margins.append(confidence[right].max(initial=0) - confidence[~right].max(initial=0))
    return float(np.mean(margins))


def _fit(example: Example, designator: Designator) -> Fit:
    ycrcb = to_ycrcb(example.image)
    mask = mark_mask(ycrcb, designator)
    measured = measure(ycrcb, mask, example.box, designator, Search.of(designator, mask.shape))
    return Fit(example, inset(measured.box, designator), judge(measured, designator))


def _shared_colours(scenes: Sequence[np.ndarray], boxes: Sequence[np.ndarray]) -> list[np.ndarray]:
    """Pixels (n, 3) of the colour that the most corners share, and of further ones on other examples."""
    pixels, halves = _outstanding(scenes, boxes)
    open_examples = np.arange(len(scenes))
    groups: list[np.ndarray] = []
    while len(open_examples):
        open_ = np.isin(halves // 8, open_examples)
        shared = _most_shared(pixels[open_], halves[open_])
        example, corners = np.unique(np.unique(halves[open_][shared]) // 8, return_counts=True)
        # Of an example's eight half-sides some may be crossed by something, but not most.
        explained = example[corners >= 5]
        if not len(explained):
            break
        groups.append(pixels[open_][shared])
        open_examples = np.setdiff1d(open_examples, explained)
    if not groups:
        raise ValueError(
            "the corners of the boxes share no colour; is each box around the same kind of mark?"
        )
    return groups


def _outstanding(scenes: Sequence[np.ndarray], boxes: Sequence[np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
    """Pixels near the edges of boxes that differ from both sides of a line through them.

    Returns:
        Their YCrCb, float (n, 3), and the half-side each lies on, int (n,): 8 an example.
    """
    rows = np.arange(3, OUTSIDE + INSIDE - 3)
    pixels, places = [], []
    for number, (scene, box) in enumerate(zip(scenes, boxes, strict=True)):
        for turn, halves in enumerate(half_sides(scene, box + _OFF * np.array([-1, -1, 1, 1]))):
            strips = halves.astype(float)
            differs = [
                (np.abs(strips[:, rows] - strips[:, rows + step]) / CONTRAST).max(axis=-1) for step in (-3, 3)
            ]
            contrast = np.minimum(*differs)
            best = contrast.argmax(axis=1)
            colour = np.take_along_axis(strips[:, rows], best[:, None, :, None], axis=1)[:, 0]
            corner, column = np.nonzero(contrast.max(axis=1) >= 1)
            pixels.append(colour[corner, column])
            places.append(8 * number + 2 * corner + turn)
    return np.concatenate(pixels), np.concatenate(places)


def _most_shared(pixels: np.ndarray, halves: np.ndarray, seeds: int = 300) -> np.ndarray:
    """Which pixels have the colour that is found on the most half-sides: bool (n,)."""
    if not len(pixels):
        return np.zeros(0, bool)
    tried = pixels[np.linspace(0, len(pixels) - 1, min(seeds, len(pixels))).astype(int)]
    same = (np.abs(tried[:, None] - pixels) <= _SAME).all(axis=-1)
    on_half = halves[:, None] == np.unique(halves)
    votes = (same.astype(int) @ on_half.astype(int) >= 3).sum(axis=1)
    best = np.lexsort((same.sum(axis=1), votes))[-1]
    middle = np.median(pixels[same[best]], axis=0)
    return (np.abs(pixels - middle) <= _SAME).all(axis=-1)


def _colour(pixels: np.ndarray, outliers: float) -> Colour:
    """The box in YCrCb in which a mark of these pixels stays in other scenes and at other sizes.

    Anti-aliasing and chroma subsampling pull it down and towards grey, but not all the way; a line that is
    wide enough shows its full colour; a mark drawn with two thirds of opacity is lifted by a bright scene.

    Args:
        outliers: share of the pixels on either side that the box need not hold.
    """
    low, middle, high = np.quantile(pixels, (outliers, 0.5, 1 - outliers), axis=0)
    bounds = [(max(0.7 * low[0], 0.4 * middle[0]), high[0] + (255 - high[0]) / 3)]
    tint = middle[1:] - 128
    for axis, (least, most) in enumerate(zip(low[1:] - 128, high[1:] - 128, strict=True)):
        down = 0.3 * least if least > 0 else 0.5 * -least
        up = 0.3 * -most if most < 0 else 0.5 * most
        bottom, top = least - max(down, 5), most + max(up, 5)
        if abs(tint[axis]) == abs(tint).max() >= 6:  # it is coloured: greys must stay out
            bottom = max(bottom, 0.35 * tint[axis]) if tint[axis] > 0 else bottom
            top = min(top, 0.35 * tint[axis]) if tint[axis] < 0 else top
        bounds.append((128 + bottom, 128 + top))
    lowest, highest = np.clip(np.array(bounds).T, 0, 255)
    centre = np.round((lowest + highest) / 2).astype(int)
    tolerance = np.round((highest - lowest) / 2).astype(int)
    return Colour(ycrcb=tuple(centre.tolist()), tolerance=tuple(tolerance.tolist()))


def _draft(
    colours: tuple[Colour, ...], boxes: Sequence[np.ndarray], name: str, class_name: str
) -> Designator:
    """A designator of these colours and of any shape."""
    # A wrong box may be tiny; no designator has sides below 9 pixels.
    side = max(min(float((box[2:] - box[:2]).min()) for box in boxes), 9.0)
    return Designator(
        name=name,
        class_name=class_name,
        colours=colours,
        arm=(0.02, 0.45),
        arm_px=max(0.12 * side, 3),
        gap=(0.1, 0.96),
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
    # A wrong box among right ones must not spoil what is learned; the caller tells of it.
    good = (arms >= 3) & (share <= 0.45) & (size.min(axis=1) >= 6)
    if good.sum() < MIN_EXAMPLES:
        raise ValueError(
            f"the corners' arms measure {np.round(arms, 1).tolist()} px on sides of "
            f"{np.round(size.mean(axis=1), 1).tolist()} px; at least {MIN_EXAMPLES} boxes must have four "
            f"corners with gaps between"
        )
    fitted, arms, size, share = fitted[good], arms[good], size[good], share[good]
    inwards = (np.stack(boxes)[good] - fitted) * (1, 1, -1, -1)
    aspect = size[:, 0] / size[:, 1]
    arm = 0.9 * share.min(), 1.1 * share.max()
    return Designator.model_validate(
        draft.model_dump()
        | {
            "arm": _rounded(*arm),
            "arm_px": round(float(arms.min()), 1),
            "gap": _rounded(1 - 2 * arm[1], 1 - 2 * arm[0]),
            "rounding": round(float(np.clip(np.median(rounding[good]), 0, 0.7)), 2),
            "thickness_px": round(float(np.median(thickness[good])), 1),
            "size_px": (float(np.floor(0.6 * size.min())), 0.0),
            "aspect": _rounded(0.95 * aspect.min(), 1.05 * aspect.max()),
            "inset_px": round(float(np.clip(np.median(inwards), -_OFF, _OFF)), 1),
        }
    )


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
