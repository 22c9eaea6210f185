"""EdgeTAM as an image segmenter: asked like SAM 2 (sam2.py), with a third of its parameters."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from gotowce_dagster.config.params import MasksParams
from gotowce_dagster.core.device import best_device, inference
from gotowce_dagster.segmenters import edgetam_model
from gotowce_dagster.segmenters.base import Answer, Candidate, Encoded
from gotowce_dagster.segmenters.prompts import Batch, Prompt, batches
from gotowce_dagster.segmenters.proposals import propose

# Bounds of memory: crops encoded and prompts decoded at once.
_ENCODED = 8
_DECODED = 64


class EdgeTam:
    """The image half of EdgeTAM, loaded once a process.

    Raises:
        MissingWeightsError: the weights are neither here nor reachable, or damaged.
    """

    name = "edgetam"

    def __init__(self, weights: str, params: MasksParams) -> None:
        self.weights = weights or edgetam_model.DEFAULT
        self.device = best_device()
        self.crop_scales = params.crop_scales
        self._params = params
        self._model = edgetam_model.model("image", self.weights, params.input_px, self.device)

    def segment(self, image: np.ndarray, boxes: np.ndarray) -> list[list[Candidate]]:
        """Three masks for every prompt on every crop of every box; see base.Segmenter."""
        return propose(self, image, boxes, self.crop_scales, self._params)

    def ask(self, crops: Sequence[np.ndarray], prompts: Sequence[Sequence[Prompt]]) -> list[list[Answer]]:
        """Three masks for every prompt; see base.Promptable."""
        answers: list[list[Answer]] = []
        for start in range(0, len(crops), _ENCODED):
            part = slice(start, start + _ENCODED)
            answers += self._ask(crops[part], prompts[part])
        return answers

    def encode(self, picture: np.ndarray) -> Encoded:
        """See base.Interactive."""
        with inference(self.device):
            return Encoded(self._encode(picture), picture.shape[:2])

    def ask_again(self, encoded: Encoded, prompts: Sequence[Prompt]) -> list[Answer]:
        """Three masks for every prompt; see base.Interactive."""
        with inference(self.device):
            (answers,) = self._answers([encoded.features], [encoded.shape], [prompts])
        return answers

    def _ask(self, crops: Sequence[np.ndarray], prompts: Sequence[Sequence[Prompt]]) -> list[list[Answer]]:
        with inference(self.device):
            # One by one, so that a crop gives the same bits in any company.
            features = [self._encode(crop) for crop in crops]
            return self._answers(features, [crop.shape[:2] for crop in crops], prompts)

    def _answers(
        self, features: list[list[Any]], shapes: list[tuple[int, int]], prompts: Sequence[Sequence[Prompt]]
    ) -> list[list[Answer]]:
        answers: dict[tuple[int, int], Answer] = {}
        for batch in batches(prompts, _DECODED):
            answers |= self._decode(features, batch, shapes)
        return [[answers[crop, number] for number in range(len(asked))] for crop, asked in enumerate(prompts)]

    def _encode(self, crop: np.ndarray) -> list[Any]:
        seen = edgetam_model.pixels([crop], self._params.input_px, self.device)
        return self._model.get_image_embeddings(seen)

    def _decode(
        self, features: list[list[Any]], batch: Batch, shapes: list[tuple[int, int]]
    ) -> dict[tuple[int, int], Answer]:
        import torch
        from torch.nn.functional import interpolate

        asked = [crop for crop, _ in batch.places]
        sizes = np.array([shapes[crop][::-1] for crop in asked])[:, None]
        scaled = batch.points / sizes * self._params.input_px
        points = torch.as_tensor(scaled, dtype=torch.float32, device=self.device)
        labels = torch.as_tensor(batch.labels, dtype=torch.int32, device=self.device)
        found = self._model(
            image_embeddings=[
                torch.cat(level) for level in zip(*(features[crop] for crop in asked), strict=True)
            ],
            input_points=points[:, None],
            input_labels=labels[:, None],
            multimask_output=True,
        )
        scores = found.iou_scores[:, 0].float().cpu().numpy()
        return {
            place: Answer(interpolate(low.float(), shapes[place[0]], mode="bilinear")[0].cpu().numpy(), own)
            for place, low, own in zip(batch.places, found.pred_masks, scores, strict=True)
        }
