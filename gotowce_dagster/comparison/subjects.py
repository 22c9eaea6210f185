"""Adapters that give detectors and segmenters a common interface in the measuring process."""

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
from gotowce_dagster.core.boxes import xyxy
from gotowce_dagster.core.detections import from_boxes
from gotowce_dagster.core.device import best_device
from gotowce_dagster.designators.profile import read_profile
from gotowce_dagster.detectors.base import Cost
from gotowce_dagster.detectors.registry import build_detector


@dataclass(frozen=True, eq=False)
class Subject:
    """A detector or segmenter to measure, with its cost."""

    find: Callable[[Sequence[np.ndarray], Sequence[np.ndarray]], list[sv.Detections]]
    """Maps images, RGB uint8 (H, W, 3), and the designators of each, xyxy (n, 4), to the boxes of each."""
    cost: Cost
    weights: tuple[str, ...]
    device: str
    is_paid: bool = False
    """Paid detectors process each frame once: a repetition would cost again, or come from a cache."""


def detector(name: str, settings: dict[str, Any], profile: Path) -> Subject:
    """Build a detector from detectors/registry.py.

    Raises:
        GotowceError: It cannot run here; the message gives the reason.
    """
    detector_settings = TypeAdapter(DetectorSettings).validate_python(settings)
    built = build_detector(name, detector_settings, read_profile(profile))
    is_online = isinstance(detector_settings, Online)
    return Subject(
        lambda images, designators: built.detect(images),
        built.cost,
        built.weights,
        "a server" if is_online else _device(),
        is_online,
    )


def segmenter(name: str, settings: dict[str, Any], profile: Path) -> Subject:
    """Build a segmenter from segmenters/registry.py, prompted with designators; its boxes bound its masks.

    Args:
        name: NAME or NAME:WEIGHTS.
        settings: Settings of the stage masks.

    Raises:
        GotowceError: It cannot run here; the message gives the reason.
    """
    # Imported here, so that a detector's memory and load time do not include them.
    from gotowce_dagster.segmenters.registry import build_segmenter
    from gotowce_dagster.segmenters.targets import segment_targets

    params = MasksParams.model_validate(settings)
    built = build_segmenter(name, params)

    def find(images: Sequence[np.ndarray], designators: Sequence[np.ndarray]) -> list[sv.Detections]:
        tables = (
            segment_targets(image, from_boxes(boxes), built, params)
            for image, boxes in zip(images, designators, strict=True)
        )
        return [from_boxes(xyxy(table)) for table in tables]

    return Subject(find, Cost(), (built.weights,) if built.weights else (), built.device)


def size_mb(names: Sequence[str]) -> float:
    """Size of weights on disk in megabytes; weights that are not a local file or folder count as 0."""
    files = [weights.find(name) or Path(name) for name in names]
    return sum(_bytes(file) for file in files) / 1e6


def _bytes(path: Path) -> int:
    inside = path.rglob("*") if path.is_dir() else [path]
    return sum(file.stat().st_size for file in inside if file.is_file())


def _device() -> str:
    """The device of a detector: the best available, or the CPU if it does not use torch."""
    return best_device() if "torch" in sys.modules else "cpu"
