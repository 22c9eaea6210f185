"""The ``sam3`` detector: SAM 3 (Meta 2025) finds every instance of what a short phrase names."""

import numpy as np
import supervision as sv
from PIL import Image

from gotowce_dagster.config.detector_settings import Sam3Settings
from gotowce_dagster.core.errors import MissingWeightsError
from gotowce_dagster.detectors.local import hub
from gotowce_dagster.detectors.local.model import Batched


class Sam3(hub.Prompted[Sam3Settings], Batched[Sam3Settings]):
    """A model prompted with phrases, loaded once; an image is encoded once for all phrases.

    Raises:
        MissingWeightsError: its weights are gated and not on this machine, or damaged.
    """

    model, processor = "Sam3Model", "Sam3Processor"

    def __init__(self, name: str, settings: Sam3Settings) -> None:
        if reason := settings.obstacle():
            raise MissingWeightsError(reason)
        super().__init__(name, settings)

    def _ask(self, images: list[np.ndarray]) -> list[sv.Detections]:
        import torch

        pictures = [Image.fromarray(image) for image in images]
        sizes = [image.shape[:2] for image in images]
        rows: list[list[tuple[np.ndarray, float, tuple[str, str]]]] = [[] for _ in images]
        # Not in bfloat16: it moves boxes by pixels.
        with torch.inference_mode():
            seen = self._processor(images=pictures, return_tensors="pt").to(self._device)
            encoded = self._model.get_vision_features(pixel_values=seen["pixel_values"])
            for phrase in self._phrases.asked:
                words = self._processor(text=[phrase] * len(images), return_tensors="pt").to(self._device)
                outputs = self._model(
                    vision_embeds=encoded,
                    input_ids=words["input_ids"],
                    attention_mask=words["attention_mask"],
                )
                answers = self._processor.post_process_object_detection(
                    outputs, threshold=self._settings.min_confidence, target_sizes=sizes
                )
                owner = self._phrases.owner(phrase)
                assert owner, "every phrase asked has a class"
                for place, answer in enumerate(answers):
                    boxes = answer["boxes"].float().cpu().numpy()
                    scores = answer["scores"].float().cpu().numpy()
                    rows[place] += [(box, float(one), owner) for box, one in zip(boxes, scores, strict=True)]
        return [
            self._found(
                np.array([box for box, _, _ in some]),
                np.array([score for _, score, _ in some]),
                [owner for _, _, owner in some],
                image,
            )
            for some, image in zip(rows, images, strict=True)
        ]
