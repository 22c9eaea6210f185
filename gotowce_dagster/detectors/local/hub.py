"""Detectors of ``transformers`` that are prompted with phrases."""

from gotowce_dagster.config.detector_settings import (
    Florence2Settings,
    Kosmos2Settings,
    Sam3Settings,
    ZeroShotSettings,
)
from gotowce_dagster.core.device import best_device
from gotowce_dagster.core.hub_models import load
from gotowce_dagster.detectors.base import Cost
from gotowce_dagster.detectors.phrases import Phrases


class Prompted:
    """A model of ``transformers`` that is prompted with phrases, loaded once.

    Args:
        model, processor: names of its classes in ``transformers``.

    Raises:
        MissingWeightsError: its weights are missing and cannot be downloaded, or are damaged.
    """

    version = "1"

    def __init__(
        self,
        name: str,
        settings: Florence2Settings | Kosmos2Settings | Sam3Settings | ZeroShotSettings,
        model: str,
        processor: str = "AutoProcessor",
    ) -> None:
        self.name = name
        self.weights = settings.needs
        self.cost = Cost()
        self._phrases = Phrases(settings.prompts)
        self._device = best_device()
        self._model, self._processor = load(model, processor, settings.weights, self._device)
