"""EdgeTAM as an image segmenter: prompted like SAM 2 (sam2.py), with a third of its parameters."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from gotowce_dagster.config.params import MasksParams
from gotowce_dagster.core.device import best_device, inference
from gotowce_dagster.segmenters import edgetam_model
from gotowce_dagster.segmenters.base import Candidate, ImageEmbedding, Prediction
from gotowce_dagster.segmenters.prompts import Batch, Prompt, batches
from gotowce_dagster.segmenters.proposals import propose

# Batch sizes: crops encoded and prompts decoded at once.
_ENCODED = 8
_DECODED = 64


class EdgeTam:
    """The image model of EdgeTAM, loaded once per process.

    Raises:
        MissingWeightsError: the weights are not on this machine and cannot be fetched, or are damaged.
    """

    name = "edgetam"

    def __init__(self, weights: str, params: MasksParams) -> None:
        self.weights = weights or edgetam_model.DEFAULT
        self.device = best_device()
        self.crop_scales = params.crop_scales
        self._params = params
        self._model = edgetam_model.model("image", self.weights, params.input_px, self.device)

    def segment(self, image: np.ndarray, boxes: np.ndarray) -> list[list[Candidate]]:
        """Propose three masks for every prompt on every crop of every box; see base.Segmenter."""
        return propose(self, image, boxes, self.crop_scales, self._params)

    def predict(
        self, crops: Sequence[np.ndarray], prompts: Sequence[Sequence[Prompt]]
    ) -> list[list[Prediction]]:
        """Predict three masks for every prompt; see base.Promptable."""
        predictions: list[list[Prediction]] = []
        for start in range(0, len(crops), _ENCODED):
            part = slice(start, start + _ENCODED)
            predictions += self._predict(crops[part], prompts[part])
        return predictions

    def encode(self, image: np.ndarray) -> ImageEmbedding:
        """Encode an image; see base.Interactive."""
        with inference(self.device):
            return ImageEmbedding(self._encode(image), image.shape[:2])

    def decode(self, embedding: ImageEmbedding, prompts: Sequence[Prompt]) -> list[Prediction]:
        """Decode three masks for every prompt; see base.Interactive."""
        with inference(self.device):
            (predictions,) = self._predictions([embedding.features], [embedding.shape], [prompts])
        return predictions

    def _predict(
        self, crops: Sequence[np.ndarray], prompts: Sequence[Sequence[Prompt]]
    ) -> list[list[Prediction]]:
        with inference(self.device):
            # One by one, so that the result for a crop is bit-identical in any batch.
            features = [self._encode(crop) for crop in crops]
            return self._predictions(features, [crop.shape[:2] for crop in crops], prompts)

    def _predictions(
        self, features: list[list[Any]], shapes: list[tuple[int, int]], prompts: Sequence[Sequence[Prompt]]
    ) -> list[list[Prediction]]:
        predictions: dict[tuple[int, int], Prediction] = {}
        for batch in batches(prompts, _DECODED):
            predictions |= self._decode(features, batch, shapes)
        return [
            [predictions[crop, number] for number in range(len(of_crop))]
            for crop, of_crop in enumerate(prompts)
        ]

    def _encode(self, crop: np.ndarray) -> list[Any]:
        inputs = edgetam_model.pixels([crop], self._params.input_px, self.device)
        return self._model.get_image_embeddings(inputs)

    def _decode(
        self, features: list[list[Any]], batch: Batch, shapes: list[tuple[int, int]]
    ) -> dict[tuple[int, int], Prediction]:
        import torch
        from torch.nn.functional import interpolate

        crop_indices = [crop for crop, _ in batch.places]
        sizes = np.array([shapes[crop][::-1] for crop in crop_indices])[:, None]
        scaled = batch.points / sizes * self._params.input_px
        points = torch.as_tensor(scaled, dtype=torch.float32, device=self.device)
        labels = torch.as_tensor(batch.labels, dtype=torch.int32, device=self.device)
        found = self._model(
            image_embeddings=[
                torch.cat(level) for level in zip(*(features[crop] for crop in crop_indices), strict=True)
            ],
            input_points=points[:, None],
            input_labels=labels[:, None],
            multimask_output=True,
        )
        scores = found.iou_scores[:, 0].float().cpu().numpy()
        return {
            place: Prediction(
                interpolate(low.float(), shapes[place[0]], mode="bilinear")[0].cpu().numpy(), own
            )
            for place, low, own in zip(batch.places, found.pred_masks, scores, strict=True)
        }
