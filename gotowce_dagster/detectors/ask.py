"""What detectors can tell of a frame beside boxes: captions, answers in words, points and counts."""

from collections.abc import Sequence
from typing import Any, Literal

import numpy as np

from gotowce_dagster.core.errors import InputError
from gotowce_dagster.detectors.base import Detector
from gotowce_dagster.detectors.local.kosmos2 import Description
from gotowce_dagster.detectors.local.moondream import Moondream

Way = Literal["describe", "query", "point", "count"]
"""How a detector can be asked; those of one are its attribute ``ways``, and its methods of these names."""


def ask(detector: Detector, images: Sequence[np.ndarray], way: Way, words: str | None = None) -> list[Any]:
    """Ask about whole images.

    Args:
        images: RGB uint8 (H, W, 3).
        words: the question, or what is pointed at or counted; describing needs none.

    Returns:
        For each image, as JSON holds it, a text (``describe``, ``query``), xy pairs in pixels (``point``), a
        number (``count``), or of Kosmos-2 a caption with boxes, xyxy in pixels, of what it names. None: no
        usable answer.

    Raises:
        InputError: the detector cannot be asked that, or sending is not allowed.
    """
    can: tuple[str, ...] = getattr(detector, "ways", ())
    if way not in can:
        able = f"it can {' and '.join(can)}" if can else "it only finds boxes"
        raise InputError(f"{detector.name} cannot {way}; {able}")
    method = getattr(detector, way)
    told = [] if words is None else [words]
    if isinstance(detector, Moondream):
        return [_plain(_or_none(method, image, *told)) for image in images]
    return [_plain(answer) for answer in method(images, *told)]


def _or_none(method: Any, *told: Any) -> Any:
    try:
        return method(*told)
    except ValueError:  # the answer is not of the form
        return None


def _plain(answer: Any) -> Any:
    if isinstance(answer, Description):
        named = [{"phrase": thing.phrase, "boxes": thing.boxes.tolist()} for thing in answer.entities]
        return {"caption": answer.caption, "named": named}
    return answer.tolist() if isinstance(answer, np.ndarray) else answer
