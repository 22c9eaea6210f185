"""The ``bracket`` detector: finds designators made of four corners, by colour and geometry alone.

A frame becomes a mask of the mark's colours (evidence.py); corners found in it (corners.py) propose boxes
in pairs (proposals.py); each proposal is measured on the frame (measures.py): are its arms there and all of
one length, is the middle of its sides empty, do the lines stand out from both sides. One or two corners may
be hidden by a panel or the screen's edge.

Why not template matching: the mark grows with its target while its lines stay 1 to 2 pixels thin, so
there is no one template. Why not contours: text that touches the mark joins its corners to letters.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import supervision as sv

from gotowce_dagster.designators.arms import Search, find_corners
from gotowce_dagster.designators.evidence import mark_mask, to_ycrcb
from gotowce_dagster.designators.measures import judge, measure
from gotowce_dagster.designators.profile import Designator, Profile
from gotowce_dagster.designators.proposals import corner_places, propose
from gotowce_dagster.detectors.base import Cost


@dataclass(frozen=True)
class Mark:
    """A designator found in a frame."""

    box: np.ndarray
    confidence: float
    corners: int
    designator: Designator


def find_marks(ycrcb: np.ndarray, designator: Designator, min_confidence: float) -> list[Mark]:
    """The marks of one designator in a frame, most confident first, none sharing a corner with another."""
    mask = mark_mask(ycrcb, designator)
    search = Search.of(designator, mask.shape)
    marks: list[Mark] = []
    for box in propose(find_corners(ycrcb, mask, search), designator, mask.shape):
        if any(_clash(box, mark.box) for mark in marks if mark.confidence > 0.9):
            continue
        measured = measure(ycrcb, mask, box, designator, search)
        confidence = judge(measured, designator)
        if confidence >= min_confidence:
            marks.append(Mark(measured.box, confidence, int(measured.visible.sum()), designator))
    return _distinct(marks)


def inset(box: np.ndarray, designator: Designator) -> np.ndarray:
    """A box on the lines' outer edge, drawn as the examples of the designator were."""
    return box + designator.inset_px * np.array([1, 1, -1, -1])


def _distinct(marks: Sequence[Mark]) -> list[Mark]:
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


class Bracket:
    """Finds the designators of a profile.

    ``data["visible_corners"]`` of its detections says how many corners are seen, 2 to 4.
    """

    version = "1"
    weights: tuple[str, ...] = ()

    def __init__(self, profile: Profile, min_confidence: float = 0.3, name: str = "bracket") -> None:
        self.name = name
        self.profile = profile
        self.min_confidence = min_confidence
        self.cost = Cost()

    def detect(self, images: Sequence[np.ndarray]) -> list[sv.Detections]:
        """Find designators in RGB uint8 images (H, W, 3); see detectors/base.py."""
        with self.cost.of(len(images)):
            return [self._detect(image) for image in images]

    def _detect(self, image: np.ndarray) -> sv.Detections:
        ycrcb = to_ycrcb(image)
        marks = _distinct(
            [m for d in self.profile.designators for m in find_marks(ycrcb, d, self.min_confidence)]
        )
        height, width = image.shape[:2]
        boxes = np.array([inset(mark.box, mark.designator) for mark in marks]).reshape(-1, 4)
        return sv.Detections(
            xyxy=np.clip(boxes, 0, [width, height, width, height]),
            confidence=np.array([mark.confidence for mark in marks], np.float32),
            data={
                "class_name": np.array([mark.designator.class_name for mark in marks], dtype=str),
                "prompt": np.array([mark.designator.name for mark in marks], dtype=str),
                "visible_corners": np.array([mark.corners for mark in marks], np.int8),
            },
        )
