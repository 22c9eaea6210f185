"""Find designators by colour and geometry alone: what the detector ``bracket`` runs.

The family of each designator decides how (designators/families.py); this file finds those of four corners.

A frame becomes a mask of the mark's colours (evidence.py); corners found in it (arms.py) propose boxes
in pairs (proposals.py); each proposal is measured on the frame (measures.py): are its arms visible and all of
one length, is the middle of its sides empty, do the lines stand out from both sides. One or two corners may
be hidden by a panel or the screen's edge.

Why not template matching: the mark grows with its target while its lines stay 1 to 2 pixels thin, so
there is no one template. Why not contours: text that touches the mark joins its corners to letters.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import supervision as sv

from gotowce_dagster.designators import families
from gotowce_dagster.designators.arms import Search, find_corners
from gotowce_dagster.designators.evidence import Untinted, mark_mask, shifted_mask
from gotowce_dagster.designators.measures import at_most, judge, lines_at, with_colours
from gotowce_dagster.designators.profile import AnyDesignator, Designator
from gotowce_dagster.designators.proposals import corner_places, propose

STILL = 3.0
"""Pixels within which a finding is at a box of ``not_marks``."""
INSIDE = 0.8
"""Share of a finding that such a box covers from which the finding is a part of it."""
_ROUNDING = 1e-9
"""Difference between products of the same numbers in another order."""


@dataclass(frozen=True)
class Mark:
    """A designator found in a frame."""

    box: np.ndarray
    """float (4,): xyxy; of corners on the lines' outer edge, of other families as the examples were drawn."""
    confidence: float
    corners: int | None
    """How many corners are visible; None in families without corners."""
    designator: AnyDesignator


def find_marks(
    ycrcb: np.ndarray,
    designator: Designator,
    min_confidence: float,
    *,
    small: bool = True,
    untinted: Untinted | None = None,
) -> list[Mark]:
    """The marks of one designator in a frame, most confident first, none sharing a corner with another.

    Args:
        small: look in addition for marks with arms shorter than those of the examples.
        untinted: of the same frame, if it is known.
    """
    mask = mark_mask(ycrcb, designator) | shifted_mask(ycrcb, designator.colours, untinted)
    looks = [designator, designator.small] if small and designator.small else [designator]
    marks: list[Mark] = []
    for look in looks:
        search = Search.of(look, mask.shape)
        for box in propose(find_corners(ycrcb, mask, search), look, mask):
            if any(_clash(box, mark.box) for mark in marks if mark.confidence > 0.9):
                continue
            lines = lines_at(mask, box, look, search)
            if at_most(lines, look) < min_confidence - _ROUNDING:  # the colours need not be looked at
                continue
            measured = with_colours(ycrcb, mask, lines, search)
            confidence = judge(measured, look)
            if confidence >= min_confidence:
                marks.append(Mark(measured.box, confidence, int(measured.visible.sum()), designator))
    return distinct_marks(marks)


def marks_in(ycrcb: np.ndarray, designators: Sequence[AnyDesignator], min_confidence: float) -> list[Mark]:
    """The marks of several designators in a frame, most confident first."""
    several = sum(isinstance(designator, Designator) for designator in designators) > 1
    untinted = Untinted.of(ycrcb) if several else None
    return distinct_marks([m for d in designators for m in marks_of(ycrcb, d, min_confidence, untinted)])


def marks_of(
    ycrcb: np.ndarray,
    designator: AnyDesignator,
    min_confidence: float,
    untinted: Untinted | None = None,
) -> list[Mark]:
    """The marks of one designator of any family in a frame, most confident first.

    Args:
        untinted: of the same frame, if it is known.
    """
    if isinstance(designator, Designator):
        marks = find_marks(ycrcb, designator, min_confidence, untinted=untinted)
    else:
        found = families.find(ycrcb, designator, min_confidence)
        marks = [Mark(sighting.box, sighting.confidence, None, designator) for sighting in found]
    return [m for m in marks if not is_known(inset(m.box, designator), designator.not_marks)]


def is_known(box: np.ndarray, known: Sequence[tuple[float, float, float, float]]) -> bool:
    """Whether a finding is a known part of the HUD: on three of its edges and most of it, or inside of it.

    One part may look like marks of several sizes, when compression blurs one of its lines.
    """
    if not known:
        return False
    places = np.array(known)
    inwards = (box - places) * (1, 1, -1, -1)
    edges = (np.abs(inwards) <= STILL).sum(axis=1)
    most = (edges == 4) | ((edges == 3) & (sv.box_iou_batch(box[None], places)[0] >= 0.5))
    shared = np.minimum(box[2:], places[:, 2:]) - np.maximum(box[:2], places[:, :2])
    inside = shared.clip(0).prod(axis=1) >= INSIDE * np.prod(box[2:] - box[:2])
    return bool((most | inside).any())


def inset(box: np.ndarray, designator: AnyDesignator) -> np.ndarray:
    """A mark's box, drawn as the examples of the designator were."""
    if isinstance(designator, Designator):
        return box + designator.inset_px * np.array([1, 1, -1, -1])
    return box


def distinct_marks(marks: Sequence[Mark]) -> list[Mark]:
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
