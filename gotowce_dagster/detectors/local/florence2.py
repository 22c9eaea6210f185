"""The ``florence2`` detector: Florence-2 (Xiao et al. 2024), prompted with a task token and a phrase.

It writes boxes as text, in cells of a 1000 by 1000 grid, without confidences.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
import supervision as sv
from PIL import Image

from gotowce_dagster.config.detector_settings import Florence2Settings
from gotowce_dagster.detectors.base import batched
from gotowce_dagster.detectors.local import hub

_CAPTION = "<MORE_DETAILED_CAPTION>"
_ALL = "<OD>"
"""The task without a phrase."""
_PLACES = 1000
"""Side of the grid that boxes are written in; the processor would truncate to whole pixels."""


class Florence2(hub.Prompted[Florence2Settings]):
    """The model, loaded once.

    Raises:
        MissingWeightsError: its weights are missing and cannot be downloaded, or are damaged.
    """

    ways = ("describe",)
    model = "Florence2ForConditionalGeneration"

    def detect(self, images: Sequence[np.ndarray]) -> list[sv.Detections]:
        """Find boxes in RGB uint8 images (H, W, 3); see detectors/base.py."""
        asked = [""] if self._settings.task == _ALL else self._phrases.asked
        with self.cost.of(len(images)):
            answers = [
                batched(
                    images,
                    self._settings.batch,
                    lambda part, phrase=phrase: self._answers(part, self._settings.task, phrase),
                )
                for phrase in asked
            ]
            return [
                self._read(list(zip(asked, responses, strict=True)), image)
                for *responses, image in zip(*answers, images, strict=True)
            ]

    def describe(self, images: Sequence[np.ndarray], task: str = _CAPTION) -> list[str]:
        """Caption each image, RGB uint8 (H, W, 3).

        Args:
            task: a task token whose response is a text.
        """
        return batched(images, self._settings.batch, lambda part: self._answers(part, task))

    def _answers(self, images: list[np.ndarray], task: str, phrase: str = "") -> list[Any]:
        """The parsed response to a task for each image."""
        import torch

        inputs = self._processor(
            images=[Image.fromarray(image) for image in images],
            text=[task + phrase] * len(images),
            padding=True,
            return_tensors="pt",
        ).to(self._device)
        # Not in bfloat16: coordinates are tokens, and the second-best token may be far off.
        with torch.inference_mode():
            written = self._model.generate(
                **inputs,
                max_new_tokens=self._settings.max_tokens,
                num_beams=self._settings.beams,
                do_sample=False,
            )
        self.cost.tokens_in += int(inputs["attention_mask"].sum())
        self.cost.tokens_out += int((written != self._processor.tokenizer.pad_token_id).sum())
        texts = self._processor.batch_decode(written, skip_special_tokens=False)
        padding = self._processor.tokenizer.pad_token
        return [
            self._processor.post_process_generation(
                text.replace(padding, ""), task=task, image_size=(_PLACES, _PLACES)
            )[task]
            for text in texts
        ]

    def _read(self, answers: list[tuple[str, dict[str, Any]]], image: np.ndarray) -> sv.Detections:
        size = np.array([image.shape[1], image.shape[0]] * 2) / _PLACES
        rows = []
        for phrase, response in answers:
            labels = response.get("bboxes_labels") or response.get("labels", [])
            self.cost.answers += 1
            self.cost.invalid += not response["bboxes"]
            for box, label in zip(response["bboxes"], labels, strict=True):
                # Prompted with one phrase, so every box is an answer to it.
                owner = self._phrases.owner(phrase or str(label), self._settings.least_shared)
                if owner:
                    rows.append(((np.array(box) + 0.5) * size, owner))
        return self._found(np.array([box for box, _ in rows]), None, [owner for _, owner in rows], image)
