"""EdgeTAM (Zhou et al. 2025) for videos: the architecture of SAM 2 with a smaller backbone and memory."""

from typing import Any

import numpy as np

from gotowce_dagster.config.params import MasksParams
from gotowce_dagster.core.device import best_device
from gotowce_dagster.propagation.hub_tracker import HubTracker
from gotowce_dagster.segmenters import edgetam_model


class EdgeTamPropagator(HubTracker):
    """Propagator with the video model of EdgeTAM; the model is loaded once per process.

    Raises:
        InputError: the model does not support this input size.
        MissingWeightsError: the weights are not on this machine and cannot be fetched, or are damaged.
    """

    name = "edgetam"

    def __init__(self, weights: str, params: MasksParams) -> None:
        weights, device = weights or edgetam_model.DEFAULT, best_device()
        side = params.propagation.input_px
        super().__init__(edgetam_model.model("video", weights, side, device), side, weights, device, params)

    def _pixels(self, image: np.ndarray) -> Any:
        return edgetam_model.pixels([image], self._side, self.device)
