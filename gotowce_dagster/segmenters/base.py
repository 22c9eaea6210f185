"""What a segmenter is. One file a segmenter; the table that names them is in segmenters/registry.py."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol, runtime_checkable

import numpy as np

from gotowce_dagster.segmenters.prompts import Prompt


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


@dataclass(frozen=True)
class Answer:
    """What a model says to one prompt on one picture: several masks, of a part, the whole and more."""

    logits: np.ndarray
    """float32 (m, h, w), as large as the picture; a mask is where they are above 0."""
    scores: np.ndarray
    """float (m,): the model's own guess of each mask's IoU with the object."""


class Promptable(Protocol):
    """A model that is asked by points and boxes, of any pictures and for any objects."""

    name: str
    weights: str
    device: str

    def ask(self, crops: Sequence[np.ndarray], prompts: Sequence[Sequence[Prompt]]) -> list[list[Answer]]:
        """Encode every picture once and ask it everything.

        An answer does not depend on what else is asked in the same call.

        Args:
            crops: RGB uint8 (h, w, 3), of any sizes.
            prompts: for each crop what it is asked, in its own pixels; points, a box or both, no masks.

        Returns:
            For each crop, for each of its prompts, the answer.
        """
        ...


@dataclass(frozen=True)
class Encoded:
    """A picture as a model has seen it: what costs time is done, to be asked about it is cheap."""

    features: Any
    """The model's own, some megabytes."""
    shape: tuple[int, int]
    """Height and width of the picture."""


@runtime_checkable
class Interactive(Promptable, Protocol):
    """A promptable model that can be asked again, later, of a picture it has encoded once."""

    @property
    def crop_scales(self) -> Sequence[float]:
        """Sides of the crops that it looks at, in sides of what is looked for."""
        ...

    def encode(self, picture: np.ndarray) -> Encoded:
        """Look at a picture: RGB uint8 (h, w, 3), of any size."""
        ...

    def ask_again(self, encoded: Encoded, prompts: Sequence[Prompt]) -> list[Answer]:
        """For each prompt the answer, as ask gives it; prompts as there."""
        ...
