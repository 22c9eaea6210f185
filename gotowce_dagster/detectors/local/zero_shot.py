"""The ``zero_shot`` detector: what ``transformers`` has for zero-shot object detection.

Grounding DINO, MM Grounding DINO, OWLv2, OWL-ViT and OmDet-Turbo answer to one interface.
"""

import inspect
from collections.abc import Sequence

import numpy as np
import supervision as sv
from PIL import Image

from gotowce_dagster.config.detector_settings import ZeroShotSettings
from gotowce_dagster.detectors.base import batched, found, tidied
from gotowce_dagster.detectors.local import hub


class ZeroShot(hub.Prompted):
    """A model asked by phrases, loaded once.

    Raises:
        MissingWeightsError: its weights are neither here nor reachable, or damaged.
    """

    def __init__(self, name: str, settings: ZeroShotSettings) -> None:
        super().__init__(name, settings, "AutoModelForZeroShotObjectDetection")
        self._settings = settings

    def detect(self, images: Sequence[np.ndarray]) -> list[sv.Detections]:
        """Find boxes in RGB uint8 images (H, W, 3); see detectors/base.py."""
        with self.cost.of(len(images)):
            return batched(images, self._settings.batch, self._ask)

    def _ask(self, images: list[np.ndarray]) -> list[sv.Detections]:
        import torch

        told = self._settings
        texts = [self._phrases.asked] * len(images)
        inputs = self._processor(
            images=[Image.fromarray(image) for image in images],
            text=texts,
            truncation=True,
            return_tensors="pt",
        ).to(self._device)
        # Not in bfloat16: it moves boxes by pixels, and scores by the size of the batch.
        with torch.inference_mode():
            outputs = self._model(**inputs)
        read = self._processor.post_process_grounded_object_detection
        options = {
            "threshold": told.min_confidence,
            "text_threshold": told.text_confidence,
            "nms_threshold": told.nms_iou,
            "text_labels": texts,
            "target_sizes": [image.shape[:2] for image in images],
        }
        understood = {key: options[key] for key in options.keys() & inspect.signature(read).parameters.keys()}
        answers = read(outputs, **understood)
        return [self._read(answer, image) for answer, image in zip(answers, images, strict=True)]

    def _read(self, answer: dict, image: np.ndarray) -> sv.Detections:
        owners = [self._phrases.owner(said) for said in answer["text_labels"]]
        # Words that no phrase has come of joined pieces of words; a box they name is nobody's.
        kept = [row for row, owner in enumerate(owners) if owner]
        pairs = [owner for owner in owners if owner]
        detections = found(
            answer["boxes"].float().cpu().numpy()[kept],
            answer["scores"].float().cpu().numpy()[kept],
            [name for name, _ in pairs],
            [prompt for _, prompt in pairs],
        )
        told = self._settings
        return tidied(detections, image.shape, min_confidence=told.min_confidence, nms_iou=told.nms_iou)
