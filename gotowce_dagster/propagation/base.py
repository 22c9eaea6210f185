"""What a propagator is: it carries the masks of objects through the frames of a shot.

One file a propagator; the table that names them is in propagation/registry.py. It knows nothing of
detections, states and re-prompting: those are the work of gates.py and carry.py, the same for all.
"""

from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import numpy as np

from gotowce_dagster.segmenters.prompts import Prompt


@dataclass(frozen=True)
class Observation:
    """What a propagator sees of one object in one frame."""

    mask: np.ndarray
    """bool (H, W), of the whole frame; empty where it sees nothing."""
    predicted_iou: float
    """The model's own guess of the mask's quality; NaN where it makes none."""
    object_score: float
    """Logit of the object being in sight, above 0 if it is; NaN where the model makes no such guess."""
    stability: float
    """IoU of the mask under a shift of its threshold; NaN where there is none."""


class Propagator(Protocol):
    """Masks of several objects, from frame to frame, forward or backward, in bounded memory.

    Frames are named by their number in the original video, and may be visited with gaps. Between ``begin``
    and the next ``begin`` all frames belong to one shot and have one size.
    """

    name: str
    weights: str
    """Name of the weights' file."""
    device: str

    def begin(self) -> None:
        """Forget every object and frame."""
        ...

    def prompt(
        self, frame_index: int, image: np.ndarray, prompts: dict[str, Prompt]
    ) -> dict[str, Observation]:
        """Tell what objects are in a frame, old ones or new ones.

        What was found or told of these objects in this frame before is replaced; others are left alone.

        Args:
            image: RGB uint8 (H, W, 3).
            prompts: by object_id, in pixels of the frame.
        """
        ...

    def step(
        self, frame_index: int, image: np.ndarray, objects: Collection[str], reverse: bool = False
    ) -> dict[str, Observation]:
        """Find known objects in the next frame of a pass, forward or in reverse.

        A frame in which an object was prompted gives what the prompt gave.
        """
        ...

    def forget(self, object_id: str) -> None:
        """Drop all memory of one object."""
        ...

    def save(self, path: Path) -> None:
        """Write all memory to a file, for a run that is killed and goes on elsewhere."""
        ...

    def load(self, path: Path) -> None:
        """Take up what ``save`` wrote; what follows equals what would have followed there."""
        ...
