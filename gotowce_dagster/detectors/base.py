"""What a detector is. One file a detector; the table that names them is in detectors/registry.py."""

import time
from collections.abc import Generator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import supervision as sv


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

    Args:
        xyxy: (n, 4) in pixels.
        confidence: (n,).
        class_name, prompt: one a box.
    """
    detections = sv.Detections(
        xyxy=np.asarray(xyxy, np.float32).reshape(-1, 4),
        confidence=np.asarray(confidence, np.float32).reshape(-1),
        data={"class_name": np.array(class_name, dtype=str), "prompt": np.array(prompt, dtype=str)},
    )
    order = np.argsort(-np.asarray(confidence, float).reshape(-1), kind="stable")
    ordered = detections[order]
    assert isinstance(ordered, sv.Detections)
    return ordered
