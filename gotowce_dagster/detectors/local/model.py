"""What the detectors that load a model have in common."""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Generic, TypeVar

import numpy as np
import supervision as sv

from gotowce_dagster.config.detector_settings import Model as ModelSettings
from gotowce_dagster.core.device import best_device
from gotowce_dagster.detectors.base import Cost, batched, owned, tidied

Settings = TypeVar("Settings", bound=ModelSettings)


class Model(Generic[Settings]):
    """The state of a detector with a model; a subclass loads the model."""

    version = "1"

    def __init__(self, name: str, settings: Settings) -> None:
        self.name = name
        self.weights = settings.needs
        self.cost = Cost()
        self._settings = settings
        self._device = best_device()

    def _found(
        self,
        xyxy: np.ndarray,
        confidence: np.ndarray | None,
        owners: Sequence[tuple[str, str]],
        image: np.ndarray,
        *,
        class_agnostic: bool = False,
    ) -> sv.Detections:
        """The boxes of an image in the form of Detector.detect, with the thresholds of the settings.

        Args:
            xyxy: (n, 4) in pixels.
            confidence: (n,); None: the model has no confidences.
            owners: the class and the phrase of each box.
            class_agnostic: apply non-maximum suppression across classes.
        """
        has_confidence = confidence is not None
        return tidied(
            owned(xyxy, confidence if has_confidence else np.ones(len(owners)), owners),
            image.shape,
            min_confidence=self._settings.min_confidence if has_confidence else 0,
            nms_iou=self._settings.nms_iou,
            class_agnostic=class_agnostic,
        )


class Batched(Model[Settings], ABC):
    """A detector that runs a model on batches of images of equal shape."""

    def detect(self, images: Sequence[np.ndarray]) -> list[sv.Detections]:
        """Find boxes in RGB uint8 images (H, W, 3); see detectors/base.py."""
        with self.cost.of(len(images)):
            return batched(images, self._settings.batch, self._ask)

    @abstractmethod
    def _ask(self, images: list[np.ndarray]) -> list[sv.Detections]:
        """Find boxes in one batch."""
