"""The ``captioner`` describer: any image-to-text model of ``transformers``, such as BLIP or GIT."""

from collections.abc import Sequence

import numpy as np
from PIL import Image

from gotowce_dagster.config.detector_settings import CaptionerSettings
from gotowce_dagster.core.device import best_device, inference
from gotowce_dagster.detectors.base import Cost, batched
from gotowce_dagster.detectors.local import hub


class Captioner:
    """The model, loaded once.

    Raises:
        MissingWeightsError: its weights are missing and cannot be downloaded, or are damaged.
    """

    version = "1"
    ways = ("describe",)

    def __init__(self, name: str, settings: CaptionerSettings) -> None:
        self.name, self.weights, self.cost = name, settings.needs, Cost()
        self._settings = settings
        self._device = best_device()
        self._model, self._processor = hub.load(
            "AutoModelForImageTextToText", "AutoProcessor", settings.weights, self._device
        )

    def describe(self, images: Sequence[np.ndarray]) -> list[str]:
        """One caption per image, RGB uint8 (H, W, 3)."""
        with self.cost.of(len(images)):
            return batched(images, self._settings.batch, self._describe)

    def _describe(self, images: list[np.ndarray]) -> list[str]:
        asked = {"text": [self._settings.ask] * len(images)} if self._settings.ask else {}
        inputs = self._processor(
            images=[Image.fromarray(image) for image in images], return_tensors="pt", **asked
        ).to(self._device)
        with inference(self._device):
            written = self._model.generate(
                **inputs, max_new_tokens=self._settings.max_tokens, do_sample=False, num_beams=1
            )
        self.cost.answers += len(images)
        texts = self._processor.batch_decode(written, skip_special_tokens=True)
        return [" ".join(text.split()) for text in texts]
