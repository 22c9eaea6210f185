"""The ``zero_shot`` detector: the zero-shot object detection models of ``transformers``.

Grounding DINO, MM Grounding DINO, OWLv2, OWL-ViT and OmDet-Turbo have a common interface.
"""

import inspect

import numpy as np
import supervision as sv
from PIL import Image

from gotowce_dagster.config.detector_settings import ZeroShotSettings
from gotowce_dagster.detectors.local import hub
from gotowce_dagster.detectors.local.model import Batched


class ZeroShot(hub.Prompted[ZeroShotSettings], Batched[ZeroShotSettings]):
    """A model prompted with phrases, loaded once.

    Raises:
        MissingWeightsError: its weights are missing and cannot be downloaded, or are damaged.
    """

    model = "AutoModelForZeroShotObjectDetection"

    def _ask(self, images: list[np.ndarray]) -> list[sv.Detections]:
        import torch

        settings = self._settings
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
            "threshold": settings.min_confidence,
            "text_threshold": settings.text_confidence,
            "nms_threshold": settings.nms_iou,
            "text_labels": texts,
            "target_sizes": [image.shape[:2] for image in images],
        }
        understood = {key: options[key] for key in options.keys() & inspect.signature(read).parameters.keys()}
        answers = read(outputs, **understood)
        return [self._read(answer, image) for answer, image in zip(answers, images, strict=True)]

    def _read(self, answer: dict, image: np.ndarray) -> sv.Detections:
        owners = [self._phrases.owner(phrase) for phrase in answer["text_labels"]]
        # Labels that match no phrase come from merged word pieces; their boxes are dropped.
        kept = [row for row, owner in enumerate(owners) if owner]
        return self._found(
            answer["boxes"].float().cpu().numpy()[kept],
            answer["scores"].float().cpu().numpy()[kept],
            [owner for owner in owners if owner],
            image,
        )
