"""The detector protocol. Each detector has a file of its own; detectors/registry.py lists them."""

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
    """Resources a detector has used so far, without loading."""

    frames: int = 0
    seconds: float = 0.0
    answers: int = 0
    """Text responses that were parsed; 0 for models that return boxes."""
    invalid: int = 0
    """Unparseable responses; each counts as an image without detections."""
    retries: int = 0
    tokens_in: int = 0
    tokens_out: int = 0
    money: float = 0.0
    """US dollars."""

    @contextmanager
    def of(self, frames: int) -> Generator[None]:
        """Add frames and the seconds spent inside the context."""
        start = time.perf_counter()
        yield
        self.frames += frames
        self.seconds += time.perf_counter() - start


class Detector(Protocol):
    """Finds boxes in frames."""

    name: str
    """Name in params.yaml."""
    version: str
    weights: tuple[str, ...]
    """Names of its weights; empty if it needs none."""
    cost: Cost

    def detect(self, images: Sequence[np.ndarray]) -> list[sv.Detections]:
        """Find boxes in each image.

        Args:
            images: RGB uint8 arrays (H, W, 3).

        Returns:
            One sv.Detections per image, highest confidence first: xyxy float (n, 4) in pixels, exclusive
            end; confidence (n,), 1 for models without confidences; ``data["class_name"]`` (the target's
            class) and ``data["prompt"]`` (the phrase or mark that found it), also without detections.
        """
        ...


def found(
    xyxy: np.ndarray, confidence: np.ndarray, class_name: Sequence[str], prompt: Sequence[str]
) -> sv.Detections:
    """Detections in the form of Detector.detect, highest confidence first.

    Rows with NaN or infinity, for example after an overflow, are dropped and reported in
    ``metadata["unanswered"]``.

    Args:
        xyxy: (n, 4) in pixels.
        confidence: (n,).
        class_name, prompt: one per box.
    """
    with np.errstate(over="ignore"):
        boxes = np.asarray(xyxy, np.float32).reshape(-1, 4)
    scores = np.asarray(confidence, np.float32).reshape(-1)
    is_finite = np.isfinite(boxes).all(axis=1) & np.isfinite(scores)
    rows = np.flatnonzero(is_finite)
    rows = rows[np.argsort(-scores[rows].astype(float), kind="stable")]
    detections = from_boxes(
        boxes[rows],
        scores[rows],
        class_name=np.array(class_name, dtype=str)[rows],
        prompt=np.array(prompt, dtype=str)[rows],
    )
    if len(rows) < len(boxes):
        detections.metadata["unanswered"] = f"{len(boxes) - len(rows)} of {len(boxes)} boxes were not finite"
    return detections


def owned(xyxy: np.ndarray, confidence: np.ndarray, owners: Sequence[tuple[str, str]]) -> sv.Detections:
    """Detections as from ``found``; ``owners`` has the class and the phrase of each box."""
    return found(xyxy, confidence, [name for name, _ in owners], [phrase for _, phrase in owners])


def tidied(
    detections: sv.Detections,
    shape: tuple[int, ...],
    *,
    min_confidence: float,
    nms_iou: float,
    class_agnostic: bool = False,
) -> sv.Detections:
    """Clip boxes to the image, drop low confidences, and apply non-maximum suppression.

    Args:
        shape: (H, W, ...) of the image.
        nms_iou: IoU above which only the most confident of two boxes of a class is kept.
        class_agnostic: apply it across classes.
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


def invalid_boxes(detections: sv.Detections, shape: tuple[int, ...]) -> np.ndarray:
    """Which detections are invalid: bool (n,).

    A valid box has an area, overlaps the image, and has a confidence from 0 to 1 and a class.

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
    is_confidence = (np.asarray(confidence, float) >= 0) & (np.asarray(confidence, float) <= 1)
    return ~(is_box & is_inside & is_named & is_confidence)


def batched(
    images: Sequence[np.ndarray], size: int, ask: Callable[[list[np.ndarray]], list[Answer]]
) -> list[Answer]:
    """Run a model on batches of images of equal shape, so that no result depends on the other images.

    Args:
        size: the largest batch.
        ask: returns one result per image of a batch.
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
