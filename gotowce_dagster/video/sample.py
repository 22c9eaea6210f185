"""Choose the frames worth keeping: evenly in time, without duplicates, stalls and torn pictures."""

import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import numpy as np

from gotowce_dagster.params import FramesParams
from gotowce_dagster.video import quality
from gotowce_dagster.video.decode import Frame
from gotowce_dagster.video.shots import ShotCutter

REASONS = NEAR_DUPLICATE, STALL, DAMAGED = "near-duplicate", "stall", "damaged"
"""Why a sampled frame is not kept."""

_ROUNDING_S = 1e-6

_GLANCE_ROWS = 4
"""Cuts and stalls show in one row of so many; to look at all of every frame costs a tenth of decoding."""


@dataclass(frozen=True, eq=False)
class Sampled:
    """A frame that was due, kept or not."""

    frame: Frame
    half: np.ndarray
    """Its luma at half the size, uint8 (H / 2, W / 2)."""
    reason: str
    """Why it is not kept; empty if it is."""


def sample(frames: Iterable[Frame], params: FramesParams, cutter: ShotCutter) -> Iterator[Sampled]:
    """Pick the first frame of every ``1 / fps`` seconds (all, if fps is 0) and say which of them to keep.

    Time counts, not the number of frames, so a variable frame rate is sampled evenly too.

    Args:
        frames: in order. All are looked at: cuts and stalls lie between sampled frames too.
        cutter: is given every frame.
    """
    due_s, still_since_s = 0.0, 0.0
    before: np.ndarray | None = None
    kept: np.ndarray | None = None
    for frame in frames:
        luma = frame.luma()
        glance = quality.shrink(luma[::_GLANCE_ROWS])
        cutter.add(frame.index, quality.squeeze(glance, 8, 2))
        if before is None or quality.change(before, glance) > params.duplicate_change:
            still_since_s = frame.time_s
        before = glance
        if frame.time_s + _ROUNDING_S < due_s:
            continue
        if params.fps:
            due_s = (math.floor((frame.time_s + _ROUNDING_S) * params.fps) + 1) / params.fps
        half = quality.shrink(luma)
        if frame.damaged:
            reason = DAMAGED
        elif kept is not None and _is_duplicate(kept, half, params):
            reason = STALL if frame.time_s - still_since_s >= params.stall_s else NEAR_DUPLICATE
        else:
            reason, kept = "", half
        yield Sampled(frame, half, reason)


def _is_duplicate(kept: np.ndarray, half: np.ndarray, params: FramesParams) -> bool:
    if quality.change(kept, half) > params.duplicate_change:
        return False
    return (quality.phash(kept) ^ quality.phash(half)).bit_count() <= params.duplicate_bits
