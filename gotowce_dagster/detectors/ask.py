"""Questions to detectors about whole images: captions, text answers, points and counts."""

from collections.abc import Sequence
from typing import Any, Literal

import numpy as np

from gotowce_dagster.core.errors import InputError
from gotowce_dagster.detectors.base import Detector
from gotowce_dagster.detectors.local.kosmos2 import Description
from gotowce_dagster.detectors.local.moondream import Moondream

Way = Literal["describe", "query", "point", "count"]
"""The kinds of question. A detector lists those it supports in ``ways`` and has a method for each."""


def ask(detector: Detector, images: Sequence[np.ndarray], way: Way, words: str | None = None) -> list[Any]:
    """Ask about whole images.

    Args:
        images: RGB uint8 (H, W, 3).
        words: the question, or the objects to point at or count; not needed to describe.

    Returns:
        One JSON-serializable value per image: a text (``describe``, ``query``), xy pairs in pixels
        (``point``), a number (``count``), or for Kosmos-2 a caption with the boxes, xyxy in pixels, of the
        objects it names. None: no usable answer.

    Raises:
        InputError: the detector does not support the question, or sending is not allowed.
    """
    supported: tuple[str, ...] = getattr(detector, "ways", ())
    if way not in supported:
        able = f"it can {' and '.join(supported)}" if supported else "it only finds boxes"
        raise InputError(f"{detector.name} cannot {way}; {able}")
    method = getattr(detector, way)
    arguments = [] if words is None else [words]
    if isinstance(detector, Moondream):
        return [_plain(_or_none(method, image, *arguments)) for image in images]
    return [_plain(answer) for answer in method(images, *arguments)]


def _or_none(method: Any, *arguments: Any) -> Any:
    try:
        return method(*arguments)
    except ValueError:  # the response cannot be parsed
        return None


def _plain(answer: Any) -> Any:
    if isinstance(answer, Description):
        named = [{"phrase": thing.phrase, "boxes": thing.boxes.tolist()} for thing in answer.entities]
        return {"caption": answer.caption, "named": named}
    return answer.tolist() if isinstance(answer, np.ndarray) else answer
