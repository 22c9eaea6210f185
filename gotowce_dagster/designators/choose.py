"""Choose the family of a game's marks by cross-validation on the examples and on unmarked frames.

Each colour that may be the mark's is given to each family. What a family learns must find every example
where it was drawn and nothing else, also when that example was left out of learning, and no more marks in
other frames than the examples have.
"""

import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, replace

import numpy as np

from gotowce_dagster.designators import families
from gotowce_dagster.designators.base import Draft, Scene, crop
from gotowce_dagster.designators.colours import hypotheses
from gotowce_dagster.designators.composed import with_limits
from gotowce_dagster.designators.corners import learn
from gotowce_dagster.designators.evidence import mark_mask, mask_of, to_ycrcb
from gotowce_dagster.designators.examples import Example
from gotowce_dagster.designators.hud import MOST_KNOWN, is_at, knowing_hud, still
from gotowce_dagster.designators.profile import AnyDesignator, BesideLook, Designator, LearnedLook
from gotowce_dagster.designators.rims import is_rim
from gotowce_dagster.designators.sightings import SURE, different_frames, is_same_frame, marks, overlaps

PREFERRED = ("corners", *families.FAMILIES)
"""From the most specific family to the most general; with equal scores, the first one wins."""
_PREFERENCE = 0.05
_PIECES = 0.8
"""Share of it by which one line, ring or diamond, precedes pointers: pieces on a circle may be its arcs."""
_CERTAIN = 0.85
"""Score of corners from which no other family is tried: nothing else looks like four of them."""
_OUTSIDE = (0.0, 3.5)
"""Pixels by which boxes are drawn outside of the lines of corners, each within two: exactly, and loosely."""
GOOD = 0.85
"""Score below which no family describes the mark well enough, and its own picture is learned too."""
_SHORT = 0.9
"""Share of the marks a frame of the examples below which what is found in other frames may be too little."""
_MISSED = 0.5
"""What it costs a candidate to find nothing in other frames where another finds marks."""
_FOUND_AT = 0.5
"""IoU from which a sighting is at an example."""


@dataclass(frozen=True, eq=False)
class Candidate:
    """A candidate designator and its scores."""

    designator: AnyDesignator
    score: float
    """1: all examples are found at their boxes, without false positives."""
    recall: float
    """Share of the examples found by leave-one-out cross-validation."""
    iou: float
    """Mean IoU of those with the drawn boxes."""
    elsewhere: float
    """False positives per frame, in the examples' frames and in frames without marks."""
    unmarked: float
    """Sightings per frame in frames without examples, where marks are possible."""


def candidates(
    examples: Sequence[Example],
    name: str,
    class_name: str,
    others: Sequence[np.ndarray] = (),
    seconds: float = 45,
    *,
    empty: Sequence[np.ndarray] = (),
) -> list[Candidate]:
    """Candidate designators, best first; empty if no family explains the examples.

    Args:
        others: further frames of the same videos, RGB uint8 (H, W, 3); they may show marks.
        empty: frames in which a human found no mark, as ``others``.
        seconds: of this process; no new attempt is begun after so many, however busy the machine is.
    """
    deadline = time.process_time() + seconds
    converted = {id(example.image): to_ycrcb(example.image) for example in examples}
    frames = [converted[id(example.image)] for example in examples]
    boxes = [example.box for example in examples]
    tried = [
        measured
        for designator in _learned(examples, frames, Draft(name, class_name, ()), deadline)
        if (measured := _measure(designator, frames, boxes)).recall > 0
    ]
    best = sorted(tried, key=_rank, reverse=True)[:4]
    without, unknown = ([to_ycrcb(image) for image in images] for images in (empty, others))
    checked = []
    for candidate in best:
        if time.process_time() > deadline and checked:
            break
        checked.append(_against_others(_left_out(candidate, frames, boxes), unknown, without, frames))
    if not _good_enough(checked, _a_frame(frames) if unknown else 0.0):
        draft = Draft(name, class_name, ())
        learned = [_measure(look, frames, boxes) for look in _learned_mark(frames, boxes, draft, without)]
        checked += [
            _against_others(_left_out(each, frames, boxes), unknown, without, frames) for each in learned
        ]
    checked = _against_each_other(checked, frames)
    # Only now: a look that takes parts of the HUD for marks must not be preferred to one that does not.
    return [
        replace(each, designator=knowing_hud(each.designator, [*frames, *without, *unknown], boxes))
        for each in sorted(checked, key=_rank, reverse=True)
    ]


def _good_enough(checked: Sequence[Candidate], expected: float) -> bool:
    """Whether the best of the classic families leaves nothing to be wished for.

    Args:
        expected: marks in a frame without examples; 0 if no such frame was looked at.
    """
    best = max(checked, key=_rank, default=None)
    if best is None or best.score < GOOD:
        return False
    # Corners that fit are nothing else, however many frames show no mark.
    return isinstance(best.designator, Designator) or best.unmarked >= _SHORT * expected


def _against_each_other(checked: Sequence[Candidate], frames: Sequence[np.ndarray]) -> list[Candidate]:
    """The candidates, worth less if they find fewer marks in other frames than one without false positives.

    More than the examples have in a frame are no merit.
    """
    most = max((each.unmarked for each in checked if each.elsewhere == 0), default=0.0)
    most = min(most, _a_frame(frames))
    return [
        replace(each, score=each.score - _MISSED * max(1 - each.unmarked / most, 0)) if most else each
        for each in checked
    ]


def _a_frame(frames: Sequence[np.ndarray]) -> float:
    """How many examples a frame has."""
    return len(frames) / len(different_frames(frames))


def _rank(candidate: Candidate) -> float:
    """The score, less what explains the examples by more parts than another does."""
    designator = candidate.designator
    parts = getattr(designator, "shape", "") == "pointers"
    return candidate.score - _PREFERENCE * (PREFERRED.index(designator.family) + _PIECES * parts)


def _learned(
    examples: Sequence[Example], frames: Sequence[np.ndarray], draft: Draft, deadline: float
) -> list[AnyDesignator]:
    """What the families learn from all examples."""
    boxes = [example.box for example in examples]
    found: list[AnyDesignator] = []
    for outside in _OUTSIDE:
        with suppress(ValueError):  # no corners; another family may explain the boxes
            corners = _corners(examples, draft, outside)
            found.append(corners)
            if _measure(corners, frames, boxes).score >= _CERTAIN:
                return found
    parts, places = _parts(frames, boxes)
    for colours in hypotheses(frames, boxes):
        for family in families.CLASSIC:
            if time.process_time() < deadline:
                found += [
                    look
                    for look in _learn_family(family, parts, places, replace(draft, colours=colours))
                    if _explains(look, parts, places) and not _only_rims(look, parts, places)
                ]
    return found


def _corners(examples: Sequence[Example], draft: Draft, outside: float) -> Designator:
    """What corners learn from boxes that were drawn so many pixels outside of the lines.

    Raises:
        ValueError: as of corners.learn.
    """
    edges = [replace(each, box=each.box + outside * np.array([1, 1, -1, -1])) for each in examples]
    learned = learn(edges, draft.name, draft.class_name)
    return learned.model_copy(update={"inset_px": round(learned.inset_px - outside, 1)})


def _learned_mark(
    frames: Sequence[np.ndarray], boxes: Sequence[np.ndarray], draft: Draft, empty: Sequence[np.ndarray]
) -> list[AnyDesignator]:
    """The mark's own picture, with its limits; none if the examples have nothing in common."""
    parts, places = _parts(frames, boxes)
    looks = _learn_family("learned", parts, places, draft)
    if not any(_explains(look, parts, places) for look in looks):
        return []
    return [with_limits(look, frames, boxes, empty) for look in looks if isinstance(look, LearnedLook)]


def _parts(
    frames: Sequence[np.ndarray], boxes: Sequence[np.ndarray]
) -> tuple[list[np.ndarray], list[np.ndarray]]:
    """The surroundings of each box, and the box in them."""
    parts, places = [], []
    for frame, box in zip(frames, boxes, strict=True):
        part, x, y = crop(frame, box, margin=max(24.0, 0.6 * float((box[2:] - box[:2]).max())))
        parts.append(np.ascontiguousarray(part))
        places.append(box - np.array([x, y, x, y]))
    return parts, places


def _explains(look: AnyDesignator, parts: Sequence[np.ndarray], places: Sequence[np.ndarray]) -> bool:
    """Whether a look finds most examples at all; if not it need not be tried on whole frames."""
    hits = [
        overlaps(place[None], marks(part, look, SURE)).max(initial=0) >= _FOUND_AT
        for part, place in zip(parts, places, strict=True)
    ]
    return float(np.mean(hits)) >= 0.6


def _only_rims(look: AnyDesignator, parts: Sequence[np.ndarray], places: Sequence[np.ndarray]) -> bool:
    """Whether what a look takes for lines is the rim of a filled sign in most examples."""
    if isinstance(look, Designator | BesideLook) or getattr(look, "shape", "") == "pointers":
        return False
    family, edges = families.FAMILIES[look.family], np.array(look.inset_px) * (1, 1, -1, -1)
    lines = [
        family.mark_pixels(mark_mask(part, look), place - edges, look)
        for part, place in zip(parts, places, strict=True)
    ]
    rims = [is_rim(part, line) for part, line in zip(parts, lines, strict=True)]
    return float(np.mean(rims)) > 0.5


def _learn_family(
    family: str, parts: Sequence[np.ndarray], places: Sequence[np.ndarray], draft: Draft
) -> list[AnyDesignator]:
    scenes = [
        Scene(part, mask_of(part, draft.colours) if draft.colours else np.zeros(part.shape[:2], np.uint8))
        for part in parts
    ]
    return list(families.learn(family, scenes, places, draft))


def _measure(
    designator: AnyDesignator, frames: Sequence[np.ndarray], boxes: Sequence[np.ndarray]
) -> Candidate:
    """Score a designator on its own examples."""
    explained, ious, elsewhere = [], [], []
    for number, frame in enumerate(frames):
        drawn = np.stack(
            [box for other, box in zip(frames, boxes, strict=True) if is_same_frame(other, frame)]
        )
        found = marks(frame, designator, 0.3)
        own = overlaps(boxes[number][None], found)[0]
        sure = np.array([s.confidence for s in found])
        best = int(np.argmax(own)) if len(own) else -1
        at = len(own) > 0 and own[best] >= _FOUND_AT and sure[best] >= SURE
        side = float((boxes[number][2:] - boxes[number][:2]).mean())
        explained.append(sure[best] * min(own[best] + 4 / side, 1) if at else 0.0)
        ious.append(own[best] if at else 0.0)
        strange = (overlaps(drawn, found).max(axis=0, initial=0) < _FOUND_AT) & (sure >= 0.3)
        elsewhere.append([s for s, odd in zip(found, strange, strict=True) if odd])
    known = still([[s.box for s in elsewhere[k]] for k in different_frames(frames)], boxes)
    false = float(
        np.mean([sum(s.confidence >= SURE and not is_at(s.box, known) for s in odd) for odd in elsewhere])
    )
    if known:
        places = tuple(tuple(round(float(v), 1) for v in box) for box in known[:MOST_KNOWN])
        designator = designator.model_copy(update={"not_marks": places})
    hit = np.array(ious) > 0
    return Candidate(
        designator=designator,
        score=float(np.mean(explained)) - 0.25 * min(false, 4),
        recall=float(hit.mean()),
        iou=float(np.array(ious)[hit].mean()) if hit.any() else 0.0,
        elsewhere=false,
        unmarked=0.0,
    )


def _left_out(candidate: Candidate, frames: Sequence[np.ndarray], boxes: Sequence[np.ndarray]) -> Candidate:
    """The candidate with scores from leave-one-out cross-validation."""
    designator = candidate.designator
    if isinstance(designator, Designator) or len(boxes) < 4:
        return candidate
    parts, places = _parts(frames, boxes)
    draft = Draft(designator.name, designator.class_name, designator.colours)
    found = []
    for left in range(len(boxes)):
        kept = [k for k in range(len(boxes)) if k != left]
        looks = _learn_family(designator.family, [parts[k] for k in kept], [places[k] for k in kept], draft)
        ious = [
            float(
                overlaps(places[left][None], marks(parts[left], _as_sure(look, designator), SURE)).max(
                    initial=0
                )
            )
            for look in looks
            if _same_kind(look, designator)
        ]
        found.append(max(ious, default=0.0))
    hit = np.array(found) >= _FOUND_AT
    return replace(
        candidate,
        score=candidate.score * (0.5 + 0.5 * float(hit.mean())),
        recall=float(hit.mean()),
        iou=float(np.array(found)[hit].mean()) if hit.any() else 0.0,
    )


def _as_sure(look: AnyDesignator, designator: AnyDesignator) -> AnyDesignator:
    """A look with the limits of confidence that the designator has from whole frames."""
    if isinstance(look, LearnedLook) and isinstance(designator, LearnedLook):
        return look.model_copy(update={"likeness": designator.likeness})
    return look


def _same_kind(look: AnyDesignator, designator: AnyDesignator) -> bool:
    kinds = ("family", "shape", "pointers")
    return all(getattr(look, kind, None) == getattr(designator, kind, None) for kind in kinds)


def _against_others(
    candidate: Candidate,
    unknown: Sequence[np.ndarray],
    empty: Sequence[np.ndarray],
    frames: Sequence[np.ndarray],
) -> Candidate:
    """The candidate with a lower score if it finds marks where there are none, or many more than elsewhere.

    Args:
        unknown: frames that may show marks.
        empty: frames without any.
        frames: those of the examples.
    """
    unmarked, wrong = (
        float(np.mean([len(marks(frame, candidate.designator, SURE)) for frame in some])) if some else 0.0
        for some in (unknown, empty)
    )
    excess = max(unmarked - 1.25 * _a_frame(frames) - 0.25, 0.0) + wrong
    return replace(
        candidate,
        score=candidate.score - 0.25 * min(excess, 4),
        unmarked=unmarked,
        elsewhere=candidate.elsewhere + wrong,
    )
