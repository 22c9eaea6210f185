"""The common part of SAM 2 and EdgeTAM as image segmenters: encoding and decoding in batches."""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Any

import numpy as np

from gotowce_dagster.config.params import MasksParams
from gotowce_dagster.core.device import best_device, inference
from gotowce_dagster.segmenters.base import Candidate, ImageEmbedding, Prediction
from gotowce_dagster.segmenters.prompts import Batch, Prompt, batches
from gotowce_dagster.segmenters.proposals import propose


class EmbeddingModel(ABC):
    """A promptable model that encodes each crop once and decodes all prompts from its embedding.

    Implements base.Segmenter and base.Interactive. A subclass loads the model and says how to encode crops
    and how to decode one batch of prompts.

    Args:
        prompts_at_once: prompts of a batch to decode.
    """

    name: str
    _crops_at_once: int
    """Crops whose embeddings are in memory at a time."""

    def __init__(self, weights: str, params: MasksParams, prompts_at_once: int) -> None:
        self.weights = weights
        self.device = best_device()
        self.crop_scales = params.crop_scales
        self._params = params
        self._prompts_at_once = prompts_at_once

    @abstractmethod
    def _encode(self, crops: Sequence[np.ndarray]) -> list[Any]:
        """The embeddings of crops, in the model's own form."""

    @abstractmethod
    def _decode(
        self, features: list[Any], batch: Batch, shapes: Sequence[tuple[int, int]]
    ) -> dict[tuple[int, int], Prediction]:
        """The predictions of a batch, by its places.

        Args:
            features: from ``_encode``.
            shapes: height and width of each encoded crop.
        """

    def segment(self, image: np.ndarray, boxes: np.ndarray) -> list[list[Candidate]]:
        """Propose three masks for every prompt on every crop of every box; see base.Segmenter."""
        return propose(self, image, boxes, self.crop_scales, self._params)

    def predict(
        self, crops: Sequence[np.ndarray], prompts: Sequence[Sequence[Prompt]]
    ) -> list[list[Prediction]]:
        """Predict three masks for every prompt; see base.Promptable."""
        predictions: list[list[Prediction]] = []
        for start in range(0, len(crops), self._crops_at_once):
            part = slice(start, start + self._crops_at_once)
            shapes = [crop.shape[:2] for crop in crops[part]]
            with inference(self.device):
                predictions += self._predictions(self._encode(crops[part]), shapes, prompts[part])
        return predictions

    def encode(self, image: np.ndarray) -> ImageEmbedding:
        """Encode an image; see base.Interactive."""
        with inference(self.device):
            return ImageEmbedding(self._encode([image]), image.shape[:2])

    def decode(self, embedding: ImageEmbedding, prompts: Sequence[Prompt]) -> list[Prediction]:
        """Decode three masks for every prompt; see base.Interactive."""
        with inference(self.device):
            (predictions,) = self._predictions(embedding.features, [embedding.shape], [prompts])
        return predictions

    def _predictions(
        self, features: list[Any], shapes: Sequence[tuple[int, int]], prompts: Sequence[Sequence[Prompt]]
    ) -> list[list[Prediction]]:
        predictions: dict[tuple[int, int], Prediction] = {}
        for batch in batches(prompts, self._prompts_at_once):
            predictions |= self._decode(features, batch, shapes)
        return [
            [predictions[crop, number] for number in range(len(of_crop))]
            for crop, of_crop in enumerate(prompts)
        ]
