"""The ``rfdetr`` detector: RF-DETR and D-FINE, closed-set detectors of ``transformers``."""

from pathlib import Path

import numpy as np
import supervision as sv
from PIL import Image

from gotowce_dagster.config.detector_settings import RfDetrSettings
from gotowce_dagster.core.errors import InputError
from gotowce_dagster.core.files import read_json
from gotowce_dagster.core.hub_models import DETECTORS, load_folder
from gotowce_dagster.core.weights import require
from gotowce_dagster.detectors.local.model import Batched
from gotowce_dagster.detectors.local.yolo import owners_of


class RfDetr(Batched[RfDetrSettings]):
    """A closed-set model, loaded once.

    Raises:
        InputError: the settings name a class that the model does not have, or its ``model_type`` is another.
        MissingWeightsError: its weights are missing and cannot be downloaded, or are damaged.
    """

    def __init__(self, name: str, settings: RfDetrSettings) -> None:
        super().__init__(name, settings)
        folder = require(settings.weights)
        model, self._processor = load_folder(*_classes_of(folder), folder)
        self._model = model.to(self._device).eval()
        names = {int(number): str(label) for number, label in self._model.config.id2label.items()}
        self._owners = owners_of(names, settings)

    def _ask(self, images: list[np.ndarray]) -> list[sv.Detections]:
        import torch

        settings = self._settings
        size = (
            {"size": {"height": settings.input_px, "width": settings.input_px}} if settings.input_px else {}
        )
        inputs = self._processor(
            images=[Image.fromarray(image) for image in images], return_tensors="pt", **size
        ).to(self._device)
        # Not in bfloat16: it moves boxes by pixels.
        with torch.inference_mode():
            outputs = self._model(**inputs)
        answers = self._processor.post_process_object_detection(
            outputs, threshold=settings.min_confidence, target_sizes=[image.shape[:2] for image in images]
        )
        return [self._read(answer, image) for answer, image in zip(answers, images, strict=True)]

    def _read(self, answer: dict, image: np.ndarray) -> sv.Detections:
        numbers = answer["labels"].cpu().numpy()
        kept = np.flatnonzero(np.isin(numbers, list(self._owners)))
        return self._found(
            answer["boxes"].float().cpu().numpy()[kept],
            answer["scores"].float().cpu().numpy()[kept],
            [self._owners[number] for number in numbers[kept].tolist()],
            image,
        )


def _classes_of(folder: Path) -> tuple[str, str]:
    """The classes of a model and its processor in ``transformers``.

    Raises:
        InputError: the weights are of another kind.
    """
    config = read_json(folder / "config.json", "fetch it again")
    kind = str(config.get("model_type")) if isinstance(config, dict) else "unknown"
    if kind not in DETECTORS:
        raise InputError(f"{folder}: a model of the type {kind!r}; expected one of {', '.join(DETECTORS)}")
    return DETECTORS[kind]
