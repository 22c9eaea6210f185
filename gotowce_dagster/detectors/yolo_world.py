"""The ``yolo_world`` detector: YOLO-World (Cheng et al. 2024), asked by phrases.

Its scores for phrases it has hardly seen are low but well ordered, so it is asked with a very low least
confidence, and of overlapping boxes of any phrases the surest stays. ultralytics would install a package
and fetch CLIP to encode phrases; here ``transformers`` encodes them, with the same weights.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
import supervision as sv

from gotowce_dagster.detectors import hub
from gotowce_dagster.detectors.base import Cost, batched, found, tidied
from gotowce_dagster.detectors.phrases import Phrases
from gotowce_dagster.detectors.settings import YoloWorldSettings
from gotowce_dagster.detectors.yolo import load, predict
from gotowce_dagster.device import best_device
from gotowce_dagster.errors import InputError

_BACKGROUND = ""


class YoloWorld:
    """A model asked by phrases; they are encoded once, when it is loaded.

    Raises:
        InputError: the weights are not YOLO-World, or the text encoder is not the one they were made with.
        MissingWeightsError: its weights are neither here nor reachable, or damaged.
    """

    version = "1"

    def __init__(self, name: str, settings: YoloWorldSettings) -> None:
        self.name = name
        self.weights = settings.needs
        self.cost = Cost()
        self._settings = settings
        self._device = best_device()
        phrases = Phrases(settings.prompts)
        self._owners = [owner for phrase in phrases.asked if (owner := phrases.owner(phrase))]
        asked = [*phrases.asked, _BACKGROUND] if settings.background else phrases.asked
        self._model = load("YOLOWorld", settings.weights)
        _teach(self._model, settings.weights, asked, _embed(asked, settings.text_encoder))

    def detect(self, images: Sequence[np.ndarray]) -> list[sv.Detections]:
        """Find boxes in RGB uint8 images (H, W, 3); see detectors/base.py."""
        with self.cost.of(len(images)):
            return batched(images, self._settings.batch, self._ask)

    def _ask(self, images: list[np.ndarray]) -> list[sv.Detections]:
        told = self._settings
        results = predict(
            self._model,
            images,
            imgsz=told.imgsz,
            conf=told.min_confidence,
            iou=told.nms_iou,
            classes=list(range(len(self._owners))) if told.background else None,
            device=self._device,
        )
        return [
            tidied(
                found(xyxy, confidence, *self._named(classes)),
                image.shape,
                min_confidence=told.min_confidence,
                nms_iou=told.nms_iou,
                class_agnostic=True,
            )
            for image, (xyxy, confidence, classes) in zip(images, results, strict=True)
        ]

    def _named(self, classes: np.ndarray) -> tuple[list[str], list[str]]:
        pairs = [self._owners[number] for number in classes.tolist()]
        return [name for name, _ in pairs], [prompt for _, prompt in pairs]


def _teach(model: Any, weights: str, asked: list[str], embeddings: Any) -> None:
    """Give the model its classes, as WorldModel.set_classes does once it has its embeddings."""
    inner = model.model
    if not hasattr(inner, "txt_feats"):
        raise InputError(f"{weights}: not YOLO-World; use the kind yolo for other weights of ultralytics")
    if (trained := inner.txt_feats.shape[-1]) != embeddings.shape[-1]:
        raise InputError(
            f"text_encoder: gives {embeddings.shape[-1]} numbers a phrase, {weights} was trained with "
            f"{trained}"
        )
    inner.txt_feats = embeddings[None]
    inner.model[-1].nc = len(asked)
    inner.names = dict(enumerate(asked))


def _embed(phrases: list[str], encoder: str) -> Any:
    """A tensor (n, d) of unit length, one row a phrase."""
    import torch

    model, tokenizer = hub.load("CLIPTextModelWithProjection", "CLIPTokenizer", encoder, "cpu")
    tokens = tokenizer(phrases, padding=True, truncation=True, return_tensors="pt")
    with torch.inference_mode():
        embedded = model(**tokens).text_embeds
    # Ordinary tensors: the model moves and expands them outside of inference mode.
    return torch.nn.functional.normalize(embedded, dim=-1).clone()
