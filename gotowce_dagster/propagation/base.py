"""The common interface of propagators, which track the masks of objects through the frames of a shot.

Each propagator is one module; propagation/registry.py lists them by name. A propagator knows nothing about
detections, states and re-prompting: gates.py and shots.py handle those in the same way for all of them.
"""

from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import numpy as np

from gotowce_dagster.segmenters.prompts import Prompt


@dataclass(frozen=True)
class Observation:
    """A propagator's prediction for one object in one frame."""

    mask: np.ndarray
    """bool (H, W), of the whole frame; empty if the object was not found."""
    predicted_iou: float
    """The model's own estimate of the mask's quality; NaN if it gives none."""
    object_score: float
    """Logit of the object being visible, above 0 if it is; NaN if the model gives none."""
    stability: float
    """IoU of the mask under a shift of its threshold; NaN if there is none."""


class Propagator(Protocol):
    """Tracks the masks of several objects frame by frame, forward or backward, in bounded memory.

    Frames are identified by their index in the original video and may be visited with gaps. Between ``begin``
    and the next ``begin`` all frames belong to one shot and have one size.
    """

    name: str
    weights: str
    """Name of the weights file."""
    device: str

    def begin(self) -> None:
        """Forget every object and frame."""
        ...

    def prompt(
        self, frame_index: int, image: np.ndarray, prompts: dict[str, Prompt]
    ) -> dict[str, Observation]:
        """Prompt new or existing objects in a frame.

        Earlier predictions and prompts of these objects in this frame are replaced; other objects are
        unchanged.

        Args:
            image: RGB uint8 (H, W, 3).
            prompts: by object_id, in pixels of the frame.

        Returns:
            One observation per prompted object.
        """
        ...

    def step(
        self, frame_index: int, image: np.ndarray, objects: Collection[str], reverse: bool = False
    ) -> dict[str, Observation]:
        """Track prompted objects into the next frame of a pass, forward or in reverse.

        If an object was prompted in this frame, the observation is that of the prompt.
        """
        ...

    def forget(self, object_id: str) -> None:
        """Drop all memory of one object."""
        ...

    def save(self, path: Path) -> None:
        """Save all memory to a file, so that an interrupted run can resume in another process."""
        ...

    def load(self, path: Path) -> None:
        """Restore what ``save`` wrote; tracking then continues with identical results."""
        ...
