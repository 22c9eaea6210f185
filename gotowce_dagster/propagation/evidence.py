"""Inputs of propagation: the masks of detections and a human's points."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import pandas as pd

from gotowce_dagster.core import rle
from gotowce_dagster.core.tables import records
from gotowce_dagster.propagation.points import POSITIVE
from gotowce_dagster.segmenters.prompts import Prompt

BY_POINTS = "points"
"""The value of ``prompt`` for an object prompted by a human's points, and the prefix of its object_id."""


@dataclass(frozen=True)
class DetectedMask:
    """The mask of one detection in one frame."""

    detection_id: int
    track: str
    class_name: str
    mask: np.ndarray
    """bool (H, W)"""
    trusted: bool
    prompt: str


@dataclass(frozen=True)
class Evidence:
    """The detected masks and human points of one video."""

    detected_masks: pd.DataFrame
    """One row per detection with a mask: frame_index, detection_id, object_id (of the track), class_name,
    rle, height, width, prompt, and trust from 0 to 1."""
    points: Mapping[int, Mapping[str, Prompt]]
    """A human's point prompts by frame_index and object_id."""
    min_trust: float
    """Minimum trust of a detection that may prompt."""

    @cached_property
    def by_frame(self) -> dict[int, list[dict[str, Any]]]:
        """The rows of detected_masks by frame_index."""
        groups = self.detected_masks.groupby("frame_index")
        return {rows["frame_index"].iloc[0].item(): records(rows) for _, rows in groups}

    def starts(self, frames: pd.Series) -> dict[int, dict[str, str]]:
        """Map each frame to the objects that start in it, and each object to its track.

        An object starts at its most trusted detection, or at a human's first positive point on it. The
        track of an object prompted by points is empty.
        """
        in_frames = self.detected_masks["frame_index"].isin(frames)
        trusted = self.detected_masks[in_frames & self.detected_masks["trust"].ge(self.min_trust)]
        best = trusted.sort_values("trust", ascending=False, kind="stable").drop_duplicates("object_id")
        starts: dict[int, dict[str, str]] = {}
        for track, frame in zip(best["object_id"], best["frame_index"].tolist(), strict=True):
            starts.setdefault(frame, {})[track] = track
        named: set[str] = set()
        for frame in sorted(set(self.points) & set(frames.tolist())):
            for name, prompt in self.point_prompts(frame).items():
                if name not in named and POSITIVE in np.asarray(prompt.labels):
                    starts.setdefault(frame, {})[name] = ""
                    named.add(name)
        return starts

    def detections(self, index: int) -> Iterator[DetectedMask]:
        """Decode the detected masks of a frame."""
        for row in self.by_frame.get(index, ()):
            mask = rle.mask_of(row)
            trusted = row["trust"] >= self.min_trust
            yield DetectedMask(
                row["detection_id"], row["object_id"], row["class_name"], mask, trusted, row["prompt"]
            )

    def point_prompts(self, index: int) -> dict[str, Prompt]:
        """A human's point prompts in a frame, by object."""
        return {f"{BY_POINTS}/{name}": prompt for name, prompt in self.points.get(index, {}).items()}
