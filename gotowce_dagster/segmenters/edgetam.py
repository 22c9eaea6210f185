"""EdgeTAM as an image segmenter: prompted like SAM 2 (sam2.py), with a third of its parameters."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from gotowce_dagster.config.params import MasksParams
from gotowce_dagster.segmenters import edgetam_model
from gotowce_dagster.segmenters.base import Prediction
from gotowce_dagster.segmenters.embedding_model import EmbeddingModel
from gotowce_dagster.segmenters.prompts import Batch


class EdgeTam(EmbeddingModel):
    """The image model of EdgeTAM, loaded once per process.

    Raises:
        MissingWeightsError: the weights are not on this machine and cannot be fetched, or are damaged.
    """

    name = "edgetam"
    _crops_at_once = 8

    def __init__(self, weights: str, params: MasksParams) -> None:
        super().__init__(weights or edgetam_model.DEFAULT, params, prompts_at_once=64)
        self._model = edgetam_model.model("image", self.weights, params.input_px, self.device)

    def _encode(self, crops: Sequence[np.ndarray]) -> list[list[Any]]:
        # One by one, so that the result for a crop is bit-identical in any batch.
        pixels = [edgetam_model.pixels([crop], self._params.input_px, self.device) for crop in crops]
        return [self._model.get_image_embeddings(inputs) for inputs in pixels]

    def _decode(
        self, features: list[list[Any]], batch: Batch, shapes: Sequence[tuple[int, int]]
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
