"""The ``kosmos2`` detector: Kosmos-2 (Peng et al. 2023) captions an image and boxes the objects it names.

Boxes are pairs of cells of a 32 by 32 grid, so they are coarse; there are no confidences.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import supervision as sv
from PIL import Image

from gotowce_dagster.config.detector_settings import Kosmos2Settings
from gotowce_dagster.core.device import inference
from gotowce_dagster.detectors.base import batched
from gotowce_dagster.detectors.local import hub


@dataclass(frozen=True)
class Entity:
    """An object in a caption."""

    phrase: str
    span: tuple[int, int]
    """Position of the phrase in the caption, first character and end, exclusive."""
    boxes: np.ndarray
    """float (n, 4): xyxy in pixels of the image."""


@dataclass(frozen=True)
class Description:
    """A caption with its objects."""

    caption: str
    entities: tuple[Entity, ...]


class Kosmos2(hub.Prompted[Kosmos2Settings]):
    """The model, loaded once.

    Raises:
        MissingWeightsError: its weights are missing and cannot be downloaded, or are damaged.
    """

    ways = ("describe",)
    model = "Kosmos2ForConditionalGeneration"

    def detect(self, images: Sequence[np.ndarray]) -> list[sv.Detections]:
        """Find boxes in RGB uint8 images (H, W, 3); see detectors/base.py."""
        with self.cost.of(len(images)):
            descriptions = [self.describe(images, question) for question in self._questions()]
            return [self._read(each, image) for *each, image in zip(*descriptions, images, strict=True)]

    def describe(self, images: Sequence[np.ndarray], question: str = "<grounding>") -> list[Description]:
        """Let the model complete a text about each image.

        Args:
            images: RGB uint8 (H, W, 3).
            question: the beginning of the text.
        """
        return batched(images, self._settings.batch, lambda part: self._describe(part, question))

    def _questions(self) -> list[str]:
        ask = self._settings.ask
        return (
            [ask.replace("{phrase}", phrase) for phrase in self._phrases.asked]
            if "{phrase}" in ask
            else [ask]
        )

    def _describe(self, images: list[np.ndarray], question: str) -> list[Description]:
        pictures = [Image.fromarray(image) for image in images]
        inputs = self._processor(
            images=pictures, text=[question] * len(images), padding=True, return_tensors="pt"
        ).to(self._device)
        with inference(self._device):
            # The text model generates, and does not inherit the generation settings of the whole model.
            written = self._model.generate(
                **inputs,
                generation_config=self._model.generation_config,
                max_new_tokens=self._settings.max_tokens,
                do_sample=False,
                num_beams=1,
            )
        self._count(inputs, written)
        texts = self._processor.batch_decode(written, skip_special_tokens=True)
        return [self._parse(text, image.shape) for text, image in zip(texts, images, strict=True)]

    def _parse(self, text: str, shape: tuple[int, ...]) -> Description:
        caption, entities = self._processor.post_process_generation(text)
        size = np.array([shape[1], shape[0], shape[1], shape[0]])
        return Description(
            caption,
            tuple(
                Entity(phrase, span, np.array(boxes, float).reshape(-1, 4) * size)
                for phrase, span, boxes in entities
            ),
        )

    def _count(self, inputs: Any, written: Any) -> None:
        new = written[:, inputs["input_ids"].shape[1] :]
        self.cost.tokens_in += int(inputs["attention_mask"].sum())
        self.cost.tokens_out += int((new != self._processor.tokenizer.pad_token_id).sum())

    def _read(self, descriptions: Sequence[Description], image: np.ndarray) -> sv.Detections:
        self.cost.answers += len(descriptions)
        self.cost.invalid += sum(not description.entities for description in descriptions)
        rows = [
            (box, owner)
            for description in descriptions
            for entity in description.entities
            if (owner := self._phrases.owner(entity.phrase, self._settings.least_shared))
            for box in entity.boxes
        ]
        return self._found(np.array([box for box, _ in rows]), None, [owner for _, owner in rows], image)
