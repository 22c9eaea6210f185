"""The marks that a designator of any family has in a frame, and how they compare with drawn boxes."""

from collections.abc import Sequence

import numpy as np
import supervision as sv

from gotowce_dagster.designators.base import Sighting
from gotowce_dagster.designators.bracket import inset, marks_of
from gotowce_dagster.designators.profile import AnyDesignator

SURE = 0.5
"""Confidence from which a sighting counts."""


def marks(ycrcb: np.ndarray, designator: AnyDesignator, min_confidence: float) -> list[Sighting]:
    """Marks of a designator of any family in a frame, as the examples were drawn, most confident first."""
    found = marks_of(ycrcb, designator, min_confidence)
    return [Sighting(inset(mark.box, designator), mark.confidence) for mark in found]


def overlaps(drawn: np.ndarray, found: Sequence[Sighting]) -> np.ndarray:
    """IoU of boxes xyxy (n, 4) with sightings, float (n, m)."""
    if not found:
        return np.zeros((len(drawn), 0))
    return np.asarray(sv.box_iou_batch(drawn, np.stack([s.box for s in found])))


def is_same_frame(one: np.ndarray, other: np.ndarray) -> bool:
    """Whether two frames are equal to the pixel."""
    if one is other or one.shape != other.shape:
        return one is other
    return np.array_equal(one[::16, ::16], other[::16, ::16]) and np.array_equal(one, other)


def different_frames(frames: Sequence[np.ndarray]) -> list[int]:
    """The places in a sequence of frames at which one appears for the first time."""
    return [k for k, frame in enumerate(frames) if not any(is_same_frame(frame, f) for f in frames[:k])]
