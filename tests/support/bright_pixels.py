"""A stand-in for promptable models that segments bright pixels."""

from collections.abc import Sequence

import numpy as np

from gotowce_dagster.segmenters.base import Prediction
from gotowce_dagster.segmenters.prompts import Prompt


class BrightPixels:
    """Predicts a mask of the bright pixels of the crop for every prompt; ``calls`` counts crops per call.

    Args:
        above: the brightness, of 255, above which a pixel is in the mask of the first prompt.
        step: how much brighter pixels must be with each further prompt of a crop.
    """

    name, weights, device = "bright_pixels", "none", "cpu"

    def __init__(self, above: int, step: int = 0) -> None:
        self.calls: list[int] = []
        self._above, self._step = above, step

    def predict(
        self, crops: Sequence[np.ndarray], prompts: Sequence[Sequence[Prompt]]
    ) -> list[list[Prediction]]:
        self.calls.append(len(crops))
        return [
            [self._prediction(crop, self._above + self._step * number) for number, _ in enumerate(asked)]
            for crop, asked in zip(crops, prompts, strict=True)
        ]

    def _prediction(self, crop: np.ndarray, above: int) -> Prediction:
        logits = np.where(crop.max(axis=2) > above, 5.0, -5.0)[None].astype(np.float32)
        return Prediction(logits, np.array([0.9]))
