"""MobileSAM (Zhang et al. 2023) through ultralytics: a small encoder, for machines without SAM 2's weights.

Its encoder takes 1024 pixels and nothing else, several times the cost of SAM 2 at half that size, so
only the widest of the crops is encoded.
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
from gotowce_dagster.segmenters.base import Answer, Candidate, Encoded
from gotowce_dagster.segmenters.prompts import Batch, Prompt, batches
from gotowce_dagster.segmenters.proposals import propose

_INPUT_PX = 1024
_DECODED = 16


class MobileSam:
    """Loaded once a process.

    Raises:
        MissingWeightsError: the weights are neither here nor reachable, or damaged.
    """

    name = "mobile_sam"

    def __init__(self, weights: str, params: MasksParams) -> None:
        self.weights = weights or "mobile_sam.pt"
        self.device = best_device()
        self._params = params
        self.crop_scales = [max(params.crop_scales)]
        self._predictor = _predictor(self.weights, self.device)

    def segment(self, image: np.ndarray, boxes: np.ndarray) -> list[list[Candidate]]:
        """Three masks for every prompt on one crop of every box; see base.Segmenter."""
        return propose(self, image, boxes, self.crop_scales, self._params)

    def ask(self, crops: Sequence[np.ndarray], prompts: Sequence[Sequence[Prompt]]) -> list[list[Answer]]:
        """Three masks for every prompt; see base.Promptable.

        Encoder and decoder take one crop at a time.
        """
        pairs = zip(crops, prompts, strict=True)
        return [self.ask_again(self.encode(crop), asked) for crop, asked in pairs]

    def encode(self, picture: np.ndarray) -> Encoded:
        """See base.Interactive."""
        import torch

        with torch.inference_mode():
            self._predictor.set_image(np.ascontiguousarray(picture[..., ::-1]))
        return Encoded(self._predictor.features, picture.shape[:2])

    def ask_again(self, encoded: Encoded, prompts: Sequence[Prompt]) -> list[Answer]:
        """Three masks for every prompt; see base.Interactive."""
        import torch

        answers: dict[tuple[int, int], Answer] = {}
        with torch.inference_mode():
            for batch in batches([prompts], _DECODED):
                answers |= self._decode(batch, encoded)
        return [answers[0, number] for number in range(len(prompts))]

    def _decode(self, batch: Batch, encoded: Encoded) -> dict[tuple[int, int], Answer]:
        import torch
        from torch.nn.functional import interpolate

        height, width = encoded.shape
        model, side = self._predictor.model, max(height, width)
        points = torch.as_tensor(batch.points / side * _INPUT_PX, dtype=torch.float32, device=self.device)
        labels = torch.as_tensor(batch.labels, dtype=torch.int32, device=self.device)
        # Unlike SAM 2, the prompt encoder expects a box beside the points, not among them.
        boxed = 2 if batch.labels[0, 0] == 2 else 0
        sparse, dense = model.prompt_encoder(
            points=(points[:, boxed:], labels[:, boxed:]) if points.shape[1] > boxed else None,
            boxes=points[:, :boxed] if boxed else None,
            masks=None,
        )
        low, scores = model.mask_decoder(
            image_embeddings=encoded.features,
            image_pe=model.prompt_encoder.get_dense_pe(),
            sparse_prompt_embeddings=sparse,
            dense_prompt_embeddings=dense,
            multimask_output=True,
        )
        # The model sees a square: the crop in its upper left corner, nothing below or beside it.
        logits = interpolate(low, (side, side), mode="bilinear")[..., :height, :width].cpu().numpy()
        own = scores.cpu().numpy()
        return {place: Answer(logits[row], own[row]) for row, place in enumerate(batch.places)}


@cache
def _predictor(weights: str, device: str) -> Any:
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
