"""What a detector is. One file a detector; the table that names them is in detectors/registry.py."""

import time
from collections.abc import Callable, Generator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Protocol, TypeVar

import numpy as np
import supervision as sv

from gotowce_dagster.core.detections import confidences, from_boxes

Answer = TypeVar("Answer")


@dataclass
class Cost:
    """What a detector has used so far, loading apart."""

    frames: int = 0
    seconds: float = 0.0
    answers: int = 0
    """Answers in words or tokens that had to be read; boxes straight from a model are none."""
    invalid: int = 0
    """Answers that said no boxes where boxes were asked for; each counts as nothing found."""
    retries: int = 0
    tokens_in: int = 0
    tokens_out: int = 0
    money: float = 0.0
    """US dollars."""

    @contextmanager
    def of(self, frames: int) -> Generator[None]:
        """Count so many frames and the seconds of what is done inside."""
        start = time.perf_counter()
        yield
        self.frames += frames
        self.seconds += time.perf_counter() - start


class Detector(Protocol):
    """Finds boxes in frames."""

    name: str
    """As params.yaml calls it."""
    version: str
    weights: tuple[str, ...]
    """Names of the weights it runs with; empty if it needs none."""
    cost: Cost

    def detect(self, images: Sequence[np.ndarray]) -> list[sv.Detections]:
        """Find boxes in each image.

        Args:
            images: RGB uint8 arrays (H, W, 3).

        Returns:
            One sv.Detections an image, most confident first: xyxy float (n, 4) in pixels, exclusive
            end; confidence (n,), 1 where a model gives none; ``data["class_name"]`` (the target's class)
            and ``data["prompt"]`` (what it was found by), even where nothing is found.
        """
        ...


def found(
    xyxy: np.ndarray, confidence: np.ndarray, class_name: Sequence[str], prompt: Sequence[str]
) -> sv.Detections:
    """Detections as Detector.detect gives them, most confident first.

    Rows that are no numbers, as of a model whose arithmetic overflowed, are left out, and
    ``metadata["unanswered"]`` says so.

    Args:
        xyxy: (n, 4) in pixels.
        confidence: (n,).
        class_name, prompt: one a box.
    """
    with np.errstate(over="ignore"):
        boxes = np.asarray(xyxy, np.float32).reshape(-1, 4)
    sure = np.asarray(confidence, np.float32).reshape(-1)
    is_finite = np.isfinite(boxes).all(axis=1) & np.isfinite(sure)
    rows = np.flatnonzero(is_finite)
    rows = rows[np.argsort(-sure[rows].astype(float), kind="stable")]
    detections = from_boxes(
        boxes[rows],
        sure[rows],
        class_name=np.array(class_name, dtype=str)[rows],
        prompt=np.array(prompt, dtype=str)[rows],
    )
    if len(rows) < len(boxes):
        detections.metadata["unanswered"] = f"{len(boxes) - len(rows)} of {len(boxes)} boxes were no numbers"
    return detections


def tidied(
    detections: sv.Detections,
    shape: tuple[int, ...],
    *,
    min_confidence: float,
    nms_iou: float,
    class_agnostic: bool = False,
) -> sv.Detections:
    """What is left of a model's boxes: inside the image, sure enough, and none twice.

    Args:
        shape: (H, W, ...) of the image.
        nms_iou: of boxes of one class that overlap more than this only the surest stays.
        class_agnostic: of any classes.
    """
    height, width = shape[:2]
    xyxy = np.clip(detections.xyxy, 0, [width, height, width, height])
    _, classes = np.unique(np.asarray(detections.data["class_name"], str), return_inverse=True)
    inside = replace(detections, xyxy=xyxy, class_id=classes)
    has_area = (xyxy[:, 2:] > xyxy[:, :2]).all(axis=1)
    kept = inside[has_area & (np.asarray(inside.confidence) >= min_confidence)]
    assert isinstance(kept, sv.Detections)
    kept = kept.with_nms(nms_iou, class_agnostic)
    classes, prompts = (np.asarray(kept.data[key]).tolist() for key in ("class_name", "prompt"))
    tidy = found(kept.xyxy, np.asarray(kept.confidence), classes, prompts)
    tidy.metadata = dict(detections.metadata)
    return tidy


def impossible(detections: sv.Detections, shape: tuple[int, ...]) -> np.ndarray:
    """Which rows of an answer cannot be: bool (n,).

    A box has its corners in order and a part inside the image, a confidence from 0 to 1, and a class.

    Args:
        shape: (H, W, ...) of the image.
    """
    xyxy = np.asarray(detections.xyxy, float).reshape(-1, 4)
    confidence = confidences(detections)
    names = np.asarray(detections.data.get("class_name", np.full(len(xyxy), "?")), object)
    height, width = shape[:2]
    is_box = (xyxy[:, 2:] > xyxy[:, :2]).all(axis=1) & (np.abs(xyxy) < np.inf).all(axis=1)
    is_inside = (xyxy[:, 2:] > 0).all(axis=1) & (xyxy[:, :2] < [width, height]).all(axis=1)
    is_named = np.array([bool(str(name).strip()) for name in names], bool)
    # NaN compares as False.
    is_sure = (np.asarray(confidence, float) >= 0) & (np.asarray(confidence, float) <= 1)
    return ~(is_box & is_inside & is_named & is_sure)


def batched(
    images: Sequence[np.ndarray], size: int, ask: Callable[[list[np.ndarray]], list[Answer]]
) -> list[Answer]:
    """Ask about images in batches of one shape, so that no answer depends on an image's company.

    Args:
        size: images a batch at most.
        ask: gives one answer an image.
    """
    places: dict[tuple[int, ...], list[int]] = {}
    for place, image in enumerate(images):
        places.setdefault(image.shape, []).append(place)
    answers: dict[int, Answer] = {}
    for group in places.values():
        for start in range(0, len(group), size):
            part = group[start : start + size]
            answers |= zip(part, ask([images[place] for place in part]), strict=True)
    return [answers[place] for place in range(len(images))]
