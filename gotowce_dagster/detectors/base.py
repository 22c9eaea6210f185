"""What a detector is. One file a detector; the table that names them is in detectors/registry.py."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import supervision as sv


@dataclass
class Cost:
    """What a detector has used so far."""

    frames: int = 0
    seconds: float = 0.0


class Detector(Protocol):
    """Finds boxes in frames."""

    name: str
    version: str
    cost: Cost

    def detect(self, images: Sequence[np.ndarray]) -> list[sv.Detections]:
        """Find boxes in each image.

        Args:
            images: RGB uint8 arrays (H, W, 3).

        Returns:
            One sv.Detections an image, most confident first: xyxy float (n, 4) in pixels, exclusive
            end; confidence (n,); ``data["class_name"]`` (the target's class) and ``data["prompt"]``.
        """
        ...
