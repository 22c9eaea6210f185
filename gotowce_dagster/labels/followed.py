"""Reviewed tracks of a video: data/reviewed/tracks/VIDEO.json, a source rather than a stage's output.

Tracks are stored as key frames, as in Label Studio. Between two key frames a box is interpolated linearly.
After a key frame without `goes_on` the object is absent until the next one. After the last one the box stays
to the end of the video, if that key frame goes on.
"""

from collections.abc import Iterable
from datetime import datetime
from itertools import pairwise
from pathlib import Path
from typing import Annotated, Literal

import numpy as np
import pandas as pd
from pydantic import Field, model_validator

from gotowce_dagster.core.boxes import BOX
from gotowce_dagster.core.files import fresh_file
from gotowce_dagster.core.safe_names import ClassName
from gotowce_dagster.core.sources import require_pulled
from gotowce_dagster.labels.reviews import (
    LARGEST_ID,
    Box,
    FrameIndex,
    Record,
    Side,
    VideoRecord,
    read_video_record,
)

COLUMNS = ["frame_index", "object_id", "class_name", *BOX]


class KeyFrame(Record):
    """The box of an object in one frame, and whether the object stays afterwards."""

    frame_index: FrameIndex
    box: Box
    goes_on: bool = True
    """The box is interpolated to the next key frame, or stays to the end. False: absent afterwards."""


class Track(Record):
    """One object through a video."""

    object_id: str
    """The object_id in tables.MASKS that it started from, else Label Studio's id of the region."""
    class_name: ClassName
    key_frames: tuple[KeyFrame, ...]
    """Sorted by frame_index, no frame twice."""

    @model_validator(mode="after")
    def _in_order(self) -> "Track":
        numbers = [key.frame_index for key in self.key_frames]
        if any(after <= before for before, after in pairwise(numbers)):
            raise ValueError(f"key_frames: frame_index must increase, got {numbers[:10]}")
        return self


class TrackReview(Record):
    """One annotation of a video: all its tracks as one reviewer left them."""

    review_id: str
    task: str
    annotator: int | None = Field(ge=0, lt=2**63)
    at: datetime
    state: Literal["done", "skipped", "withdrawn"]
    """As in reviews.Review."""
    tracks: tuple[Track, ...] = ()


class TrackedVideo(VideoRecord):
    """The reviews of a video's tracks; the contents of the file."""

    frames: Annotated[int, Field(ge=1, le=LARGEST_ID)]
    """Number of frames in the video."""
    width: Side
    height: Side
    fps: float = Field(gt=0)
    reviews: tuple[TrackReview, ...] = ()
    """Oldest first."""

    @model_validator(mode="after")
    def _fits_video(self) -> "TrackedVideo":
        for review in self.reviews:
            self.check_review(review)
        return self

    def check_review(self, review: TrackReview) -> None:
        """Check that key frames lie in the video.

        Raises:
            ValueError: A key frame lies beyond the end of the video, or far outside its frames.
        """
        for track in review.tracks:
            for key in track.key_frames:
                self._check(key, f"review {review.review_id}, object {track.object_id}")

    def _check(self, key: KeyFrame, owner: str) -> None:
        """Check a key frame; a box may lie beyond the frame's edge, by one frame size at most."""
        if key.frame_index >= self.frames:
            raise ValueError(f"{owner}: frame {key.frame_index} of a video of {self.frames} frames")
        x1, y1, x2, y2 = key.box
        beyond_x, beyond_y = (
            x1 < -self.width or x2 > 2 * self.width,
            y1 < -self.height or y2 > 2 * self.height,
        )
        if beyond_x or beyond_y:
            raise ValueError(
                f"{owner}, frame {key.frame_index}: the box {list(key.box)} is far outside a frame of "
                f"{self.width} x {self.height} pixels"
            )

    @property
    def decision(self) -> TrackReview | None:
        """The newest review that is neither skipped nor withdrawn."""
        return next((review for review in reversed(self.reviews) if review.state == "done"), None)


def frame_rows(tracks: Iterable[Track], frames: int) -> pd.DataFrame:
    """Expand tracks to one row per object and frame: COLUMNS, frame_index from 0, boxes in pixels.

    Args:
        frames: Number of frames in the video.
    """
    parts = []
    for track in tracks:
        for key, upcoming in pairwise([*track.key_frames, None]):
            assert key is not None
            end = key.frame_index + 1
            if key.goes_on:
                end = frames if upcoming is None else upcoming.frame_index
            indices = np.arange(key.frame_index, end)
            boxes = np.tile(key.box, (len(indices), 1))
            if key.goes_on and upcoming is not None:
                share = (indices - key.frame_index)[:, None] / (upcoming.frame_index - key.frame_index)
                boxes = boxes + share * np.subtract(upcoming.box, key.box)
            part = pd.DataFrame(boxes, columns=BOX)
            parts.append(
                part.assign(frame_index=indices, object_id=track.object_id, class_name=track.class_name)
            )
    if not parts:
        return pd.DataFrame({name: [] for name in COLUMNS}).astype({"frame_index": "int64"})
    rows = pd.concat(parts, ignore_index=True)[COLUMNS]
    return rows.sort_values(["frame_index", "object_id"], kind="stable", ignore_index=True)


def read_tracked(path: Path) -> TrackedVideo | None:
    """Read the reviewed tracks of a video; None if there is no file.

    Raises:
        InputError: The file is damaged or invalid, belongs to another video, or is tracked by DVC and not
            pulled.
    """
    if not path.exists():
        require_pulled([path])
        return None
    return read_video_record(path, TrackedVideo, "tracks", "restore it")


def reviewed_until(path: Path) -> int:
    """Number of frames, from the first, that were reviewed with the whole video; 0 without such a review.

    Raises:
        InputError: The file is damaged.
    """
    tracked = read_tracked(path)
    return tracked.frames if tracked and tracked.decision else 0


def write_tracked(path: Path, tracked: TrackedVideo) -> None:
    """Write the reviewed tracks of a video atomically; equal tracks give an equal file."""
    with fresh_file(path) as new:
        new.write_text(tracked.model_dump_json(indent=1) + "\n", encoding="utf-8")


def merged(existing: TrackedVideo | None, seen: TrackedVideo, task: str) -> TrackedVideo:
    """Merge pulled tracks with the current reviews of a task; reviews deleted there become withdrawn."""
    shown = {review.review_id: review for review in seen.reviews}
    before = {
        review.review_id: review.model_copy(update={"state": "withdrawn"}) if review.task == task else review
        for review in (existing.reviews if existing else ())
    }
    ordered = sorted((before | shown).values(), key=lambda review: (review.at, review.review_id))
    return seen.model_copy(update={"reviews": tuple(ordered)})
