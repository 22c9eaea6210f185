"""Interfaces of segmenters. Each segmenter is one module; segmenters/registry.py lists them by name."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol, runtime_checkable

import numpy as np

from gotowce_dagster.segmenters.prompts import Prompt


@dataclass(frozen=True)
class Candidate:
    """One candidate mask of one object."""

    mask: np.ndarray
    """bool (H, W), of the whole frame."""
    prompt: str
    """The prompt it came from, for instance ``point@3``: a point on a crop of three designator sides."""
    predicted_iou: float
    """The model's own estimate of its quality; NaN if it gives none."""
    stability: float
    """IoU of the mask under a shift of its threshold; NaN if there is none."""


class Segmenter(Protocol):
    """Segments the target inside each designator of a frame."""

    name: str
    weights: str
    """Name of the weights file; empty if none are needed."""
    device: str

    def segment(self, image: np.ndarray, boxes: np.ndarray) -> list[list[Candidate]]:
        """Propose masks for the object inside each box.

        Args:
            image: RGB uint8 (H, W, 3).
            boxes: designators, xyxy float (n, 4) in pixels.

        Returns:
            The candidate masks of each box, possibly none.
        """
        ...


@dataclass(frozen=True)
class Prediction:
    """A model's output for one prompt on one image: several masks, of a part, the whole and more."""

    logits: np.ndarray
    """float32 (m, h, w) at the size of the image; a mask is where they are above 0."""
    scores: np.ndarray
    """float (m,): the model's own estimate of each mask's IoU with the object."""


class Promptable(Protocol):
    """A model that segments any object in any image, prompted with points and boxes."""

    name: str
    weights: str
    device: str

    def predict(
        self, crops: Sequence[np.ndarray], prompts: Sequence[Sequence[Prompt]]
    ) -> list[list[Prediction]]:
        """Encode each crop once and decode all its prompts.

        A prediction does not depend on the other crops and prompts of the call.

        Args:
            crops: RGB uint8 (h, w, 3), of any sizes.
            prompts: the prompts of each crop, in pixels of the crop: points, a box or both, no masks.

        Returns:
            For each crop, one prediction per prompt.
        """
        ...


@dataclass(frozen=True)
class ImageEmbedding:
    """A cached image embedding: encoding takes most of the time, decoding a prompt little."""

    features: Any
    """Features in the model's own form, some megabytes."""
    shape: tuple[int, int]
    """Height and width of the image."""


@runtime_checkable
class Interactive(Promptable, Protocol):
    """A promptable model that can decode further prompts from a cached image embedding."""

    @property
    def crop_scales(self) -> Sequence[float]:
        """Sides of the crops it is given, in sides of the object's box."""
        ...

    def encode(self, image: np.ndarray) -> ImageEmbedding:
        """Encode an image: RGB uint8 (h, w, 3), of any size."""
        ...

    def decode(self, embedding: ImageEmbedding, prompts: Sequence[Prompt]) -> list[Prediction]:
        """Decode prompts, as ``predict`` does: one prediction per prompt."""
        ...
