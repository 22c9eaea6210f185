"""Detectors of ``transformers`` that are prompted with phrases."""

from typing import ClassVar, TypeVar

from gotowce_dagster.config.detector_settings import (
    Florence2Settings,
    Kosmos2Settings,
    Sam3Settings,
    ZeroShotSettings,
)
from gotowce_dagster.core.hub_models import load
from gotowce_dagster.detectors.local.model import Model
from gotowce_dagster.detectors.phrases import Phrases

Settings = TypeVar("Settings", bound=Florence2Settings | Kosmos2Settings | Sam3Settings | ZeroShotSettings)


class Prompted(Model[Settings]):
    """A model of ``transformers`` that is prompted with phrases, loaded once.

    Raises:
        MissingWeightsError: its weights are missing and cannot be downloaded, or are damaged.
    """

    model: ClassVar[str]
    processor: ClassVar[str] = "AutoProcessor"
    """Names of the classes in ``transformers``."""

    def __init__(self, name: str, settings: Settings) -> None:
        super().__init__(name, settings)
        self._phrases = Phrases(settings.prompts)
        self._model, self._processor = load(self.model, self.processor, settings.weights, self._device)
