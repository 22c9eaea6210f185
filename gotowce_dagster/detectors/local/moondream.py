"""The ``moondream`` detector: a small vision language model prompted for boxes, one phrase at a time.

Its model class comes with its weights (``transformers`` has none), so code from that folder is run; the
settings must allow it. Coordinates are fractions of the image's sides; there are no confidences.
"""

from collections.abc import Mapping, Sequence
from typing import Annotated, Any

import numpy as np
import supervision as sv
from PIL import Image
from pydantic import BaseModel, Field, TypeAdapter, ValidationError

from gotowce_dagster.config.detector_settings import MoondreamSettings
from gotowce_dagster.core import hub_models
from gotowce_dagster.core.device import best_device, half_precision
from gotowce_dagster.core.errors import InputError
from gotowce_dagster.core.fetch import no_hub
from gotowce_dagster.core.trust import require_trusted
from gotowce_dagster.core.weights import require
from gotowce_dagster.detectors.local.model import Model
from gotowce_dagster.detectors.phrases import Phrases

Relative = Annotated[float, Field(ge=-0.05, le=1.05, allow_inf_nan=False)]
"""A fraction of the image's width or height; slightly outside is rounding, more is invalid."""


class _Box(BaseModel):
    x_min: Relative
    y_min: Relative
    x_max: Relative
    y_max: Relative


class _Boxes(BaseModel):
    objects: list[_Box]


class _Point(BaseModel):
    x: Relative
    y: Relative


class _Points(BaseModel):
    points: list[_Point]


def read_boxes(answer: object, shape: tuple[int, ...]) -> np.ndarray:
    """Read the boxes of a ``detect`` response: xyxy (n, 4) in pixels of an image (H, W, ...).

    Raises:
        ValueError: the response is malformed, or a box lies outside the image or has no area.
    """
    found_boxes = TypeAdapter(_Boxes).validate_python(answer).objects
    boxes = np.array([[b.x_min, b.y_min, b.x_max, b.y_max] for b in found_boxes]).reshape(-1, 4)
    if not (boxes[:, 2:] > boxes[:, :2]).all():
        raise ValueError(f"a box without area: {answer}")
    return np.clip(boxes, 0, 1) * [shape[1], shape[0], shape[1], shape[0]]


def read_points(answer: object, shape: tuple[int, ...]) -> np.ndarray:
    """Read the points of a ``point`` response: xy (n, 2) in pixels of an image (H, W, ...).

    Raises:
        ValueError: the response is malformed, or a point lies outside the image.
    """
    found_points = TypeAdapter(_Points).validate_python(answer).points
    return np.clip(np.array([[p.x, p.y] for p in found_points]).reshape(-1, 2), 0, 1) * [shape[1], shape[0]]


class Moondream(Model[MoondreamSettings]):
    """The model, loaded once.

    Raises:
        InputError: its code may not be run, or the folder is not trusted (trust.py).
        MissingWeightsError: its weights are missing and cannot be downloaded, or are damaged.
    """

    ways = ("describe", "query", "point")

    def __init__(self, name: str, settings: MoondreamSettings) -> None:
        if not settings.trust_remote_code:
            raise InputError(f"{name}: {settings.obstacle()}")
        super().__init__(name, settings)
        self._phrases = Phrases(settings.prompts)
        self._model = _load(settings)

    def detect(self, images: Sequence[np.ndarray]) -> list[sv.Detections]:
        """Find boxes in RGB uint8 images (H, W, 3); see detectors/base.py."""
        with self.cost.of(len(images)):
            return [self._detect(image) for image in images]

    def point(self, image: np.ndarray, phrase: str) -> np.ndarray:
        """Centres of the objects that the phrase names: xy (n, 2) in pixels.

        Raises:
            ValueError: the response is malformed.
        """
        return read_points(self._model.point(Image.fromarray(image), phrase), image.shape)

    def describe(self, image: np.ndarray) -> str:
        """Caption an image.

        Raises:
            ValueError: the response is malformed.
        """
        return _text(self._model.caption(Image.fromarray(image), length="normal"), "caption")

    def query(self, image: np.ndarray, question: str) -> str:
        """Answer a question in words.

        Raises:
            ValueError: the response is malformed.
        """
        return _text(self._model.query(Image.fromarray(image), question), "answer")

    def _detect(self, image: np.ndarray) -> sv.Detections:
        # Encoded once for all phrases, because encoding is most of the work.
        encoded = self._model.encode_image(Image.fromarray(image))
        parts, unread = [], []
        for phrase in self._phrases.asked:
            self.cost.answers += 1
            try:
                boxes = read_boxes(self._model.detect(encoded, phrase), image.shape)
            except ValueError as error:
                self.cost.invalid += 1
                unread.append(f"{phrase}: {str(error).splitlines()[0]}")
                continue
            owner = self._phrases.owner(phrase)
            assert owner is not None, "every phrase that is asked has an owner"
            parts.append((boxes, [owner] * len(boxes)))
        answer = self._found(
            np.concatenate([np.empty((0, 4)), *(boxes for boxes, _ in parts)]),
            None,
            [owner for _, group in parts for owner in group],
            image,
        )
        answer.metadata = {"unanswered": "; ".join(unread)} if unread else {}
        return answer


def _text(answer: Mapping[str, Any], key: str) -> str:
    try:
        return TypeAdapter(dict[str, Any]).validate_python(answer)[key].strip()
    except (ValidationError, KeyError, AttributeError):
        raise ValueError(f"expected {{{key!r}: text}}, got {answer!r}") from None


def _load(settings: MoondreamSettings) -> Any:
    hub_models.keep_offline()
    import torch
    from transformers import AutoModelForCausalLM

    folder, device = require(settings.weights), best_device()
    # Its code runs unmodified: the settings allow remote code, the list of trusted files allows this folder.
    require_trusted(folder)
    precision = torch.bfloat16 if half_precision(device) else torch.float32
    with hub_models.damage(folder), no_hub():
        model = AutoModelForCausalLM.from_pretrained(
            folder, local_files_only=True, trust_remote_code=True, dtype=precision
        )
    return model.to(device).eval()
