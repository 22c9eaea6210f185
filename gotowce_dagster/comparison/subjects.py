"""Detectors and segmenters behind one face, made by name inside the process that measures them."""

import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import supervision as sv
from pydantic import TypeAdapter

from gotowce_dagster.config.detector_settings import DetectorSettings, Online
from gotowce_dagster.config.params import MasksParams
from gotowce_dagster.core import weights
from gotowce_dagster.core.device import best_device
from gotowce_dagster.designators.profile import read_profile
from gotowce_dagster.detectors.base import Cost
from gotowce_dagster.detectors.registry import build_detector

_BOX = ["x1", "y1", "x2", "y2"]


@dataclass(frozen=True, eq=False)
class Subject:
    """Something that finds boxes, and what it costs."""

    find: Callable[[Sequence[np.ndarray], Sequence[np.ndarray]], list[sv.Detections]]
    """From RGB uint8 (H, W, 3) and known designators xyxy (n, 4) of each to the boxes in each."""
    cost: Cost
    weights: tuple[str, ...]
    device: str
    is_paid: bool = False
    """Asked twice it costs twice, or answers from memory: it is asked about each frame once."""


def detector(name: str, settings: dict[str, Any], profile: Path) -> Subject:
    """A detector of detectors/registry.py.

    Raises:
        GotowceError: it cannot run here; the message says why.
    """
    told = TypeAdapter(DetectorSettings).validate_python(settings)
    made = build_detector(name, told, read_profile(profile))
    is_online = isinstance(told, Online)
    return Subject(
        lambda images, designators: made.detect(images),
        made.cost,
        made.weights,
        "a server" if is_online else _device(),
        is_online,
    )


def segmenter(name: str, settings: dict[str, Any], profile: Path) -> Subject:
    """A segmenter of segmenters/registry.py, told the designators; its boxes are those around its masks.

    Args:
        name: NAME or NAME:WEIGHTS.
        settings: those of the stage masks.

    Raises:
        GotowceError: it cannot run here; the message says why.
    """
    # Not above: a detector's memory and time are not to hold what only segmenters need.
    from gotowce_dagster.segmenters.registry import build_segmenter
    from gotowce_dagster.segmenters.targets import segment_targets

    params = MasksParams.model_validate(settings)
    made = build_segmenter(name, params)

    def find(images: Sequence[np.ndarray], designators: Sequence[np.ndarray]) -> list[sv.Detections]:
        tables = (
            segment_targets(image, sv.Detections(boxes), made, params)
            for image, boxes in zip(images, designators, strict=True)
        )
        return [sv.Detections(table[_BOX].to_numpy(float).reshape(-1, 4)) for table in tables]

    return Subject(find, Cost(), (made.weights,) if made.weights else (), made.device)


def size_mb(names: Sequence[str]) -> float:
    """Megabytes of weights on disk; of those that are a file or a folder here."""
    files = [weights.find(name) or Path(name) for name in names]
    return sum(_bytes(file) for file in files) / 1e6


def _bytes(path: Path) -> int:
    inside = path.rglob("*") if path.is_dir() else [path]
    return sum(file.stat().st_size for file in inside if file.is_file())


def _device() -> str:
    """Where a detector runs: a model on the best there is, one that never loaded torch on the processor."""
    return best_device() if "torch" in sys.modules else "cpu"
