"""Questions to detectors about whole images: captions, text answers, points, counts and boxes."""

from collections.abc import Sequence
from typing import Any, Literal

import numpy as np
import supervision as sv

from gotowce_dagster.core.detections import confidences
from gotowce_dagster.core.errors import InputError
from gotowce_dagster.detectors.base import Detector
from gotowce_dagster.detectors.local.kosmos2 import Description, Kosmos2
from gotowce_dagster.detectors.local.moondream import Moondream

Way = Literal["describe", "query", "point", "count", "boxes"]
"""The kinds of question. Every detector finds boxes of its phrases; it lists the other
ways that it supports in ``ways`` and has a method for each."""

Answer = str | int | np.ndarray | Description | sv.Detections | None
"""A text (``describe``, ``query``), a number (``count``), xy (n, 2) in pixels (``point``), Kosmos-2's
description with what it names, or boxes (``boxes``). None: no usable answer."""


def ask(detector: Detector, images: Sequence[np.ndarray], way: Way, words: str | None = None) -> list[Answer]:
    """Ask about whole images.

    Args:
        images: RGB uint8 (H, W, 3).
        words: the question, or the objects to point at or count; not needed to describe or for boxes.

    Returns:
        One answer per image.

    Raises:
        InputError: the detector does not support the question, or sending is not allowed.
    """
    if way == "boxes":
        return list(detector.detect(images))
    supported: tuple[str, ...] = getattr(detector, "ways", ())
    if way not in supported:
        able = f"it can {' and '.join(supported)}" if supported else "it only finds boxes"
        raise InputError(f"{detector.name} cannot {way}; {able}")
    method = getattr(detector, way)
    arguments = [] if words is None else [words]
    if isinstance(detector, Moondream):
        return [_or_none(method, image, *arguments) for image in images]
    return list(method(images, *arguments))


def has_places(detector: Detector, way: Way) -> bool:
    """Whether answers of this kind say where things are: by boxes or points."""
    return way in ("point", "boxes") or (way == "describe" and isinstance(detector, Kosmos2))


def _or_none(method: Any, *arguments: Any) -> Any:
    try:
        return method(*arguments)
    except ValueError:  # the response cannot be parsed
        return None


def plain(answer: Answer) -> Any:
    """An answer as JSON: Kosmos-2's with the spans and boxes, xyxy in pixels, of what its caption names."""
    if isinstance(answer, Description):
        named = [
            {"phrase": thing.phrase, "span": list(thing.span), "boxes": thing.boxes.tolist()}
            for thing in answer.entities
        ]
        return {"caption": answer.caption, "named": named}
    if isinstance(answer, sv.Detections):
        columns = (answer.data["class_name"], answer.data["prompt"], confidences(answer), answer.xyxy)
        return [
            {"class": str(name), "prompt": str(prompt), "confidence": float(score), "box": box.tolist()}
            for name, prompt, score, box in zip(*columns, strict=True)
        ]
    return answer.tolist() if isinstance(answer, np.ndarray) else answer
