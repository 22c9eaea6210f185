"""What is known of a video's objects before any mask is carried: detections' masks and a human's points."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import pandas as pd

from gotowce_dagster.core import rle
from gotowce_dagster.propagation.points import POSITIVE
from gotowce_dagster.segmenters.prompts import Prompt

BY_POINTS = "points"
"""What stands for the prompt of an object that a human's points name, and begins that object's name."""


@dataclass(frozen=True)
class Sighting:
    """A detection's own mask of one object in one frame."""

    detection_id: int
    track: str
    class_name: str
    mask: np.ndarray
    """bool (H, W)"""
    trusted: bool
    prompt: str


@dataclass(frozen=True)
class Evidence:
    """The detections and points of one video."""

    sightings: pd.DataFrame
    """Masks of detections: frame_index, detection_id, object_id (of the track), class_name, rle, height,
    width, prompt, and trust, from 0 to 1."""
    points: Mapping[int, Mapping[str, Prompt]]
    """Of a human, by frame and object_id."""
    least_trust: float
    """From which a detection may prompt."""

    @cached_property
    def by_frame(self) -> dict[int, list[dict[str, Any]]]:
        groups = self.sightings.groupby("frame_index")
        return {rows["frame_index"].iloc[0].item(): rows.to_dict("records") for _, rows in groups}

    def starts(self, frames: pd.Series) -> dict[int, dict[str, str]]:
        """By frame the objects that begin in it, each with its track of detections, empty for a human's.

        An object begins at its most trusted detection, or at a human's first positive point on it.
        """
        is_here = self.sightings["frame_index"].isin(frames)
        trusted = self.sightings[is_here & self.sightings["trust"].ge(self.least_trust)]
        best = trusted.sort_values("trust", ascending=False, kind="stable").drop_duplicates("object_id")
        starts: dict[int, dict[str, str]] = {}
        for track, frame in zip(best["object_id"], best["frame_index"].tolist(), strict=True):
            starts.setdefault(frame, {})[track] = track
        named: set[str] = set()
        for frame in sorted(set(self.points) & set(frames.tolist())):
            for name, prompt in self.told(frame).items():
                if name not in named and POSITIVE in np.asarray(prompt.labels):
                    starts.setdefault(frame, {})[name] = ""
                    named.add(name)
        return starts

    def seen(self, index: int) -> Iterator[Sighting]:
        """The detections of a frame that have a mask."""
        for row in self.by_frame.get(index, ()):
            mask = rle.decode(row["rle"], row["height"], row["width"])
            trusted = row["trust"] >= self.least_trust
            yield Sighting(
                row["detection_id"], row["object_id"], row["class_name"], mask, trusted, row["prompt"]
            )

    def told(self, index: int) -> dict[str, Prompt]:
        """What a human says of a frame, by object."""
        return {f"{BY_POINTS}/{name}": prompt for name, prompt in self.points.get(index, {}).items()}
