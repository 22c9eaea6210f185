"""MobileSAM (Zhang et al. 2023) through ultralytics: a small encoder, for machines without SAM 2's weights.

Its encoder only takes inputs of 1024 pixels, at several times the cost of SAM 2 at half that size, so only
the widest crop is encoded.
"""

from collections.abc import Sequence
from functools import cache
from pickle import UnpicklingError
from typing import Any

import numpy as np

from gotowce_dagster.config.params import MasksParams
from gotowce_dagster.core.device import best_device
from gotowce_dagster.core.errors import MissingWeightsError
from gotowce_dagster.core.offline import keep_offline
from gotowce_dagster.core.weights import require
from gotowce_dagster.segmenters.base import Candidate, ImageEmbedding, Prediction
from gotowce_dagster.segmenters.prompts import Batch, Prompt, batches
from gotowce_dagster.segmenters.proposals import propose

_INPUT_PX = 1024
_DECODED = 16


class MobileSam:
    """MobileSAM as an image segmenter, loaded once per process.

    Raises:
        MissingWeightsError: the weights are not on this machine and cannot be fetched, or are damaged.
    """

    name = "mobile_sam"

    def __init__(self, weights: str, params: MasksParams) -> None:
        self.weights = weights or "mobile_sam.pt"
        self.device = best_device()
        self._params = params
        self.crop_scales = [max(params.crop_scales)]
        self._predictor = predictor_of(self.weights, self.device)

    def segment(self, image: np.ndarray, boxes: np.ndarray) -> list[list[Candidate]]:
        """Propose three masks for every prompt on one crop of every box; see base.Segmenter."""
        return propose(self, image, boxes, self.crop_scales, self._params)

    def predict(
        self, crops: Sequence[np.ndarray], prompts: Sequence[Sequence[Prompt]]
    ) -> list[list[Prediction]]:
        """Predict three masks for every prompt; see base.Promptable.

        Encoder and decoder process one crop at a time.
        """
        pairs = zip(crops, prompts, strict=True)
        return [self.decode(self.encode(crop), of_crop) for crop, of_crop in pairs]

    def encode(self, image: np.ndarray) -> ImageEmbedding:
        """Encode an image; see base.Interactive."""
        import torch

        with torch.inference_mode():
            self._predictor.set_image(np.ascontiguousarray(image[..., ::-1]))
        return ImageEmbedding(self._predictor.features, image.shape[:2])

    def decode(self, embedding: ImageEmbedding, prompts: Sequence[Prompt]) -> list[Prediction]:
        """Decode three masks for every prompt; see base.Interactive."""
        import torch

        predictions: dict[tuple[int, int], Prediction] = {}
        with torch.inference_mode():
            for batch in batches([prompts], _DECODED):
                predictions |= self._decode(batch, embedding)
        return [predictions[0, number] for number in range(len(prompts))]

    def _decode(self, batch: Batch, embedding: ImageEmbedding) -> dict[tuple[int, int], Prediction]:
        import torch
        from torch.nn.functional import interpolate

        height, width = embedding.shape
        model, side = self._predictor.model, max(height, width)
        points = torch.as_tensor(batch.points / side * _INPUT_PX, dtype=torch.float32, device=self.device)
        labels = torch.as_tensor(batch.labels, dtype=torch.int32, device=self.device)
        # Unlike in SAM 2, the prompt encoder expects a box as a separate argument, not among the points.
        boxed = 2 if batch.labels[0, 0] == 2 else 0
        sparse, dense = model.prompt_encoder(
            points=(points[:, boxed:], labels[:, boxed:]) if points.shape[1] > boxed else None,
            boxes=points[:, :boxed] if boxed else None,
            masks=None,
        )
        low, scores = model.mask_decoder(
            image_embeddings=embedding.features,
            image_pe=model.prompt_encoder.get_dense_pe(),
            sparse_prompt_embeddings=sparse,
            dense_prompt_embeddings=dense,
            multimask_output=True,
        )
        # The model input is a square with the crop in its upper left corner, padded below or on the right.
        logits = interpolate(low, (side, side), mode="bilinear")[..., :height, :width].cpu().numpy()
        own = scores.cpu().numpy()
        return {place: Prediction(logits[row], own[row]) for row, place in enumerate(batch.places)}


@cache
def predictor_of(weights: str, device: str) -> Any:
    """Load the predictor of ultralytics."""
    path = require(weights)
    keep_offline()
    from ultralytics.models.sam import Predictor

    settings = {
        "model": str(path),
        "device": device,
        "imgsz": _INPUT_PX,
        "conf": 0.0,
        "save": False,
        "verbose": False,
    }
    predictor = Predictor(overrides=settings)
    try:
        predictor.setup_model(verbose=False)
    except (RuntimeError, UnpicklingError, EOFError, KeyError, TypeError, AttributeError) as error:
        raise MissingWeightsError(
            f"{path}: damaged, or not MobileSAM ({str(error).splitlines()[0]}); fetch it again"
        ) from None
    return predictor
