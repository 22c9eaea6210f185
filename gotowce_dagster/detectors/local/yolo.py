"""The ``yolo`` detector: any detection model of ultralytics, also a fine-tuned one of an earlier round."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import supervision as sv

from gotowce_dagster.config.detector_settings import (
    RfDetrSettings,
    YoloeSettings,
    YoloSettings,
    YoloWorldSettings,
)
from gotowce_dagster.core.errors import InputError, MissingWeightsError
from gotowce_dagster.core.offline import keep_offline
from gotowce_dagster.core.trust import require_trusted
from gotowce_dagster.core.weights import require
from gotowce_dagster.detectors.local.model import Batched
from gotowce_dagster.detectors.phrases import Phrases

Owners = dict[int, tuple[str, str]]
"""Class number of the model -> our class, and the phrase or name that stands for it; others are ignored."""


class Yolo(Batched[YoloSettings | YoloWorldSettings | YoloeSettings]):
    """A closed-set model, loaded once.

    Raises:
        InputError: the settings name a class that the model does not have, or it is not a detection model.
        MissingWeightsError: its weights are missing and cannot be downloaded, or are damaged.
    """

    across_classes = False
    """Whether non-maximum suppression is applied across classes."""

    def __init__(self, name: str, settings: YoloSettings | YoloWorldSettings | YoloeSettings) -> None:
        super().__init__(name, settings)
        self._model, self._owners = self._load(settings)

    def _load(self, settings: Any) -> tuple[Any, Owners]:
        model = load("YOLO", settings.weights)
        return model, owners_of(model.names, settings)

    def _ask(self, images: list[np.ndarray]) -> list[sv.Detections]:
        settings = self._settings
        results = predict(
            self._model,
            images,
            imgsz=settings.imgsz,
            conf=settings.min_confidence,
            iou=settings.nms_iou,
            classes=list(self._owners),
            device=self._device,
        )
        return [
            self._found(
                xyxy,
                confidence,
                [self._owners[number] for number in classes.tolist()],
                image,
                class_agnostic=self.across_classes,
            )
            for image, (xyxy, confidence, classes) in zip(images, results, strict=True)
        ]


def load(kind: str, weights: str, *, by_example: bool = False) -> Any:
    """Load a model of ultralytics.

    Args:
        kind: name of its class.
        by_example: its classes are set later, from example boxes.

    Raises:
        InputError: it is not a detection model, or the file is not trusted (trust.py).
        MissingWeightsError: the weights are missing and cannot be downloaded, or are damaged.
    """
    path = require(weights)
    require_trusted(path)
    keep_offline()
    import ultralytics

    try:
        model = getattr(ultralytics, kind)(path)
    except Exception as error:
        # A damaged pickle can raise anything.
        raise MissingWeightsError(
            f"{path}: damaged, or no {kind} weights ({error}); fetch it again"
        ) from None
    if model.task not in ("detect", "segment"):
        raise InputError(f"{path}: a model for the task {model.task!r}; expected one that detects")
    if not by_example and _lacks_classes(model.model):
        raise InputError(
            f"{path}: YOLOE without classes; use the kind yoloe with example boxes, or call set_classes of "
            f"ultralytics.YOLOE, save it, and name that file"
        )
    return model


def _lacks_classes(inner: Any) -> bool:
    """Whether it is YOLOE as published, which finds nothing before set_classes is called."""
    head = inner.model[-1]
    has_classes = hasattr(inner, "pe") or hasattr(head, "lrpc") or getattr(head, "is_fused", False)
    return type(inner).__name__.startswith("YOLOE") and not has_classes


def predict(
    model: Any,
    images: Sequence[np.ndarray],
    *,
    imgsz: int,
    conf: float,
    iou: float,
    classes: list[int] | None,
    device: str,
) -> list[tuple[np.ndarray, np.ndarray, np.ndarray]]:
    """Predict a batch: xyxy (n, 4), confidence (n,) and class numbers (n,) for each image.

    Not in bfloat16 (device.py): coordinates with eight bits of precision are off by pixels.
    """
    bgr = [np.ascontiguousarray(image[:, :, ::-1]) for image in images]
    results = model.predict(
        bgr,
        imgsz=imgsz,
        conf=conf,
        iou=iou,
        classes=classes,
        device=device,
        quantize=16 if device == "cuda" else 32,
        verbose=False,
    )
    boxes = [result.boxes.cpu().numpy() for result in results]
    return [(b.xyxy, b.conf, b.cls.astype(int)) for b in boxes]


def owners_of(names: Mapping[int, str], settings: YoloSettings | RfDetrSettings) -> Owners:
    """Map the class numbers in use to our class and the model's name for it."""
    if not settings.prompts:
        return {number: (name, name) for number, name in names.items()}
    phrases = Phrases(settings.prompts)
    known = {name.lower() for name in names.values()}
    if unknown := [phrase for phrase in phrases.asked if phrase not in known]:
        raise InputError(
            f"prompts: {settings.weights} has no class named {', '.join(unknown)}; it knows "
            f"{', '.join(names.values())}"
        )
    owned = {number: phrases.owner(name) for number, name in names.items() if name.lower() in phrases.asked}
    return {number: owner for number, owner in owned.items() if owner}
