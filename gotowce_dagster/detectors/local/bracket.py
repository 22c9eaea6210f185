"""The detector ``bracket``: finds the designators that a profile describes."""

from collections.abc import Sequence

import numpy as np
import supervision as sv

from gotowce_dagster.core.detections import from_boxes
from gotowce_dagster.designators.bracket import inset, marks_in
from gotowce_dagster.designators.evidence import to_ycrcb
from gotowce_dagster.designators.profile import Profile
from gotowce_dagster.detectors.base import Cost


class Bracket:
    """Finds the designators of a profile.

    ``data["visible_corners"]`` of its detections is the number of visible corners, 2 to 4; None in
    families without corners.
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
        marks = marks_in(to_ycrcb(image), self.profile.designators, self.min_confidence)
        height, width = image.shape[:2]
        boxes = np.array([inset(mark.box, mark.designator) for mark in marks]).reshape(-1, 4)
        return from_boxes(
            np.clip(boxes, 0, [width, height, width, height]),
            np.array([mark.confidence for mark in marks], np.float32),
            class_name=[mark.designator.class_name for mark in marks],
            prompt=[mark.designator.name for mark in marks],
            visible_corners=np.array([mark.corners for mark in marks], object),
        )
