"""MobileSAM (Zhang et al. 2023) through ultralytics: a small encoder, for machines without SAM 2's weights.

Its encoder takes 1024 pixels and nothing else, several times the cost of SAM 2 at half that size, so
only the widest of the crops is encoded.
"""

from functools import cache
from typing import Any

import numpy as np

from gotowce_dagster.offline import keep_offline
from gotowce_dagster.params import MasksParams
from gotowce_dagster.segmenters.base import Candidate
from gotowce_dagster.segmenters.crops import around
from gotowce_dagster.segmenters.device import best_device
from gotowce_dagster.segmenters.prompts import PROMPTS, Prompt
from gotowce_dagster.weights import require


class MobileSam:
    """Loaded once a process.

    Raises:
        MissingWeightsError: the weights are neither here nor reachable.
    """

    name = "mobile_sam"

    def __init__(self, weights: str, params: MasksParams) -> None:
        self.weights = weights or "mobile_sam.pt"
        self.device = best_device()
        self._scale = max(params.crop_scales)
        self._predictor = _predictor(self.weights, self.device)

    def segment(self, image: np.ndarray, boxes: np.ndarray) -> list[list[Candidate]]:
        """Three masks for every prompt on one crop of every box; see base.Segmenter."""
        return [self._segment(image, box) for box in boxes]

    def _segment(self, image: np.ndarray, box: np.ndarray) -> list[Candidate]:
        crop = around(box, self._scale, *image.shape[:2])
        self._predictor.set_image(np.ascontiguousarray(crop.cut(image)[..., ::-1]))
        return [
            Candidate(crop.paste(mask, *image.shape[:2]), f"{name}@{self._scale:g}", score, np.nan)
            for name, prompt in PROMPTS.items()
            for mask, score in self._ask(prompt(crop.to_crop(box)))
        ]

    def _ask(self, prompt: Prompt) -> list[tuple[np.ndarray, float]]:
        found = self._predictor(
            # One object with several points, not several objects with one each.
            points=None if prompt.points is None else prompt.points[None],
            labels=None if prompt.labels is None else prompt.labels[None],
            bboxes=prompt.box,
            multimask_output=True,
        )[0]
        if found.masks is None:
            return []
        masks = found.masks.data.cpu().numpy().astype(bool)
        return list(zip(masks, found.boxes.conf.tolist(), strict=True))


@cache
def _predictor(weights: str, device: str) -> Any:
    path = require(weights)
    keep_offline()
    from ultralytics.models.sam import Predictor

    settings = {
        "model": str(path),
        "device": device,
        "imgsz": 1024,
        "conf": 0.0,
        "save": False,
        "verbose": False,
    }
    predictor = Predictor(overrides=settings)
    predictor.setup_model(verbose=False)
    return predictor
