"""SAM 3's tracker (Meta 2025) for videos: the memory of SAM 2 on the image encoder of SAM 3."""

from functools import cache
from typing import Any

import numpy as np

from gotowce_dagster.config.params import MasksParams
from gotowce_dagster.core.device import best_device
from gotowce_dagster.core.hub_models import load_model
from gotowce_dagster.core.weights import require
from gotowce_dagster.propagation.hub_tracker import HubTracker

DEFAULT = "facebook/sam3"


class Sam3Propagator(HubTracker):
    """Propagator with the tracker of SAM 3; the model is loaded once per process.

    Its input has the size that the weights were trained with; ``input_px`` does not change it.

    Raises:
        MissingWeightsError: the weights are gated and not on this machine, or damaged.
    """

    name = "sam3"

    def __init__(self, weights: str, params: MasksParams) -> None:
        weights, device = weights or DEFAULT, best_device()
        model = _loaded(weights, device)
        super().__init__(model, model.config.image_size, weights, device, params)

    def _pixels(self, image: np.ndarray) -> Any:
        import torch
        from torch.nn.functional import interpolate

        tensor = torch.from_numpy(image).to(self.device).permute(2, 0, 1)[None].float()
        sides = (self._side, self._side)
        return interpolate(tensor, sides, mode="bilinear", antialias=True) / 127.5 - 1


@cache
def _loaded(weights: str, device: str) -> Any:
    return load_model("Sam3TrackerVideoModel", require(weights)).to(device).eval()
