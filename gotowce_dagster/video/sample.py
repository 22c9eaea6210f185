"""Frame sampling: frames evenly spaced in time, without duplicates, stalls and torn images.

A video is sampled in independent spans, so that several can be decoded in parallel. What depends on the
previous span is corrected when they are joined.
"""

import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import numpy as np
import pandas as pd

from gotowce_dagster.config.params import FramesParams
from gotowce_dagster.video import quality
from gotowce_dagster.video.decode import Frame
from gotowce_dagster.video.shots import ShotCutter

REASONS = NEAR_DUPLICATE, STALL, DAMAGED = "near-duplicate", "stall", "damaged"
"""Reasons why a sampled frame is dropped."""

_ROUNDING_S = 1e-6

_GLANCE_ROWS = 4
"""Cuts and stalls are detected in every n-th row; using all rows would cost a tenth of decoding."""


@dataclass(frozen=True, eq=False)
class Sampled:
    """A sampled frame, kept or dropped."""

    frame: Frame
    half: np.ndarray
    """Luma at half the size, uint8 (H / 2, W / 2)."""
    is_duplicate: bool
    """Whether it duplicates the last frame kept."""
    still_since_s: float
    """Time of the last change of the image within the span, in seconds."""

    @property
    def is_kept(self) -> bool:
        return not (self.is_duplicate or self.frame.damaged)


class Sampler:
    """Samples the first frame of every ``1 / fps`` seconds of a span (all frames if fps is 0).

    Sampling is by time, not by frame count, so a variable frame rate is sampled evenly too.
    """

    def __init__(self, params: FramesParams, before_s: float | None = None) -> None:
        """
        Args:
            before_s: time of the last frame before the span; None at the start of the video.

        ``begins_s`` is the time of the first frame seen, ``seen`` the number of frames seen.
        """
        self.cutter = ShotCutter(params.cut_change, params.cut_ratio, params.cut_similarity)
        self._first_kept: np.ndarray | None = None
        self._last_kept: np.ndarray | None = None
        self.begins_s = 0.0
        self.seen = 0
        self._still_since_s = 0.0
        self._params = params
        self._due_s = 0.0 if before_s is None else self._due_after(before_s)
        self._first_glance: np.ndarray | None = None
        self._last_glance: np.ndarray | None = None

    def sample(self, frames: Iterable[Frame]) -> Iterator[Sampled]:
        """Yield the frames that are due.

        Args:
            frames: all frames in order: cuts and stalls also occur between sampled frames.
        """
        for frame in frames:
            self.seen += 1
            luma = frame.luma()
            self._look(frame, quality.shrink(luma[::_GLANCE_ROWS]))
            if frame.time_s + _ROUNDING_S < self._due_s:
                continue
            self._due_s = self._due_after(frame.time_s)
            half = quality.shrink(luma)
            is_duplicate = self._last_kept is not None and _is_duplicate(self._last_kept, half, self._params)
            if not (frame.damaged or is_duplicate):
                self._last_kept = half
                if self._first_kept is None:
                    self._first_kept = half
            yield Sampled(frame, half, is_duplicate, self._still_since_s)

    def follow(self, before: "Sampler") -> tuple[float, bool]:
        """Update with the previous span, after both were sampled.

        A frame that was compared with a first frame which turns out to be a duplicate is not compared again.

        Returns:
            Since when the first image of this span has been still, in seconds, and whether the first frame
            it kept duplicates the last frame kept before.
        """
        still_since_s = before._still_since_s if self._is_still_from(before) else self.begins_s
        if self._still_since_s == self.begins_s:
            self._still_since_s = still_since_s
        first, last = self._first_kept, before._last_kept
        repeats = first is not None and last is not None and _is_duplicate(last, first, self._params)
        if first is None or (repeats and self._last_kept is first):
            self._last_kept = last
        return still_since_s, repeats

    def _is_still_from(self, before: "Sampler") -> bool:
        last, first = before._last_glance, self._first_glance
        if last is None or first is None:
            return False
        return quality.change(last, first) <= self._params.duplicate_change

    def _look(self, frame: Frame, glance: np.ndarray) -> None:
        self.cutter.add(frame.index, quality.squeeze(glance, 8, 2))
        if self._first_glance is None or self._last_glance is None:
            self._first_glance = glance
            self.begins_s = self._still_since_s = frame.time_s
        elif quality.change(self._last_glance, glance) > self._params.duplicate_change:
            self._still_since_s = frame.time_s
        self._last_glance = glance

    def _due_after(self, time_s: float) -> float:
        fps = self._params.fps
        return (math.floor((time_s + _ROUNDING_S) * fps) + 1) / fps if fps else 0.0


def reasons(sampled: pd.DataFrame, params: FramesParams) -> np.ndarray:
    """Give the reason why each sampled frame is dropped; empty if it is kept.

    Args:
        sampled: has time_s, is_damaged, is_duplicate and still_since_s, as in Sampled.
    """
    is_still = sampled["time_s"] - sampled["still_since_s"] >= params.stall_s
    return np.select(
        [sampled["is_damaged"], ~sampled["is_duplicate"], is_still], [DAMAGED, "", STALL], NEAR_DUPLICATE
    )


def _is_duplicate(kept: np.ndarray, half: np.ndarray, params: FramesParams) -> bool:
    """Whether an image shows nothing new after another; both are luma at half the size."""
    if quality.change(kept, half) > params.duplicate_change:
        return False
    return (quality.phash(kept) ^ quality.phash(half)).bit_count() <= params.duplicate_bits
