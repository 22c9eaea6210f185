"""What a segmenter is. One file a segmenter; the table that names them is in segmenters/registry.py."""

from dataclasses import dataclass
from typing import Protocol

import numpy as np


@dataclass(frozen=True)
class Candidate:
    """One proposed mask of one object."""

    mask: np.ndarray
    """bool (H, W), of the whole frame."""
    prompt: str
    """Which prompt gave it, for instance ``point@3``: a point on a crop of three designator sides."""
    predicted_iou: float
    """The model's own guess of its quality; NaN where it makes none."""
    stability: float
    """IoU of the mask under a shift of its threshold; NaN where there is none."""


class Segmenter(Protocol):
    """Cuts out the target inside each designator of a frame."""

    name: str
    weights: str
    """Name of the weights' file; empty where none are needed."""
    device: str

    def segment(self, image: np.ndarray, boxes: np.ndarray) -> list[list[Candidate]]:
        """Propose masks for the object inside each box.

        Args:
            image: RGB uint8 (H, W, 3).
            boxes: xyxy float (n, 4) in pixels: the designators.

        Returns:
            For each box the candidate masks, possibly none.
        """
        ...
