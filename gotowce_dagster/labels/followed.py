"""data/reviewed/tracks/VIDEO.json: objects that humans followed through a video. A source, no stage's output.

They are told by key frames, as in Label Studio. Between two of them a box moves evenly; after one that does
not go on there is none until the next; after the last one it stays to the video's end, if that goes on.
"""

from collections.abc import Iterable
from datetime import datetime
from itertools import pairwise
from pathlib import Path
from typing import Annotated, Literal

import numpy as np
import pandas as pd
from pydantic import Field, ValidationError, model_validator

from gotowce_dagster.core.errors import InputError, one_sentence
from gotowce_dagster.core.files import fresh_file, read_text
from gotowce_dagster.core.safe_names import ClassName, SafeName
from gotowce_dagster.core.sources import require_pulled
from gotowce_dagster.core.validation import in_words
from gotowce_dagster.labels.reviews import LARGEST_ID, Box, FrameIndex, Record, Side

COLUMNS = ["frame_index", "object_id", "class_name", "x1", "y1", "x2", "y2"]
_SIDES = ["x1", "y1", "x2", "y2"]


class KeyFrame(Record):
    """Where an object is in one frame, and whether it is there from then on."""

    frame_index: FrameIndex
    box: Box
    goes_on: bool = True
    """It moves evenly to the next key frame, or stays to the end. False: in the next frame it is gone."""


class Track(Record):
    """One object through a video."""

    object_id: str
    """Of the object that it was made from, as in tables.MASKS; else Label Studio's own name of the region."""
    class_name: ClassName
    key_frames: tuple[KeyFrame, ...]
    """By frame_index, no frame twice."""

    @model_validator(mode="after")
    def _in_order(self) -> "Track":
        numbers = [key.frame_index for key in self.key_frames]
        if any(after <= before for before, after in pairwise(numbers)):
            raise ValueError(f"key_frames: frames must rise, not {numbers[:10]}")
        return self


class TrackReview(Record):
    """One annotation of a video: all the tracks that one human left in it."""

    review_id: str
    task: str
    annotator: int | None = Field(ge=0, lt=2**63)
    at: datetime
    state: Literal["done", "skipped", "withdrawn"]
    """As in reviews.Review."""
    tracks: tuple[Track, ...] = ()


class TrackedVideo(Record):
    """The whole file."""

    video: SafeName
    frames: Annotated[int, Field(ge=1, le=LARGEST_ID)]
    """How many the video has."""
    width: Side
    height: Side
    fps: float = Field(gt=0)
    reviews: tuple[TrackReview, ...] = ()
    """Oldest first."""

    @model_validator(mode="after")
    def _lies_in_it(self) -> "TrackedVideo":
        for review in self.reviews:
            self.check_review(review)
        return self

    def check_review(self, review: TrackReview) -> None:
        """Raises: ValueError: a key frame lies beyond the video's end, or far outside its pictures."""
        for track in review.tracks:
            for key in track.key_frames:
                self._check(key, f"review {review.review_id}, object {track.object_id}")

    def _check(self, key: KeyFrame, whose: str) -> None:
        """An object that leaves the picture may be followed beyond its edge, by one picture at most."""
        if key.frame_index >= self.frames:
            raise ValueError(f"{whose}: frame {key.frame_index} of a video of {self.frames} frames")
        x1, y1, x2, y2 = key.box
        beyond_x, beyond_y = (
            x1 < -self.width or x2 > 2 * self.width,
            y1 < -self.height or y2 > 2 * self.height,
        )
        if beyond_x or beyond_y:
            raise ValueError(
                f"{whose}, frame {key.frame_index}: the box {list(key.box)} is far outside a picture of "
                f"{self.width} x {self.height} pixels"
            )

    @property
    def decision(self) -> TrackReview | None:
        """The newest review that is neither skipped nor withdrawn."""
        return next((review for review in reversed(self.reviews) if review.state == "done"), None)


def frame_rows(tracks: Iterable[Track], frames: int) -> pd.DataFrame:
    """A row for every frame an object is in: COLUMNS, frame_index from 0, boxes in pixels.

    Args:
        frames: how many the video has.
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
            part = pd.DataFrame(boxes, columns=_SIDES)
            parts.append(
                part.assign(frame_index=indices, object_id=track.object_id, class_name=track.class_name)
            )
    if not parts:
        return pd.DataFrame({name: [] for name in COLUMNS}).astype({"frame_index": "int64"})
    rows = pd.concat(parts, ignore_index=True)[COLUMNS]
    return rows.sort_values(["frame_index", "object_id"], kind="stable", ignore_index=True)


def read_tracked(path: Path) -> TrackedVideo | None:
    """What humans said of a video's objects, or None where nobody did.

    Raises:
        InputError: the file is damaged, holds what cannot be, is of another video, or is tracked by DVC and
            not pulled.
    """
    if not path.exists():
        require_pulled([path])
        return None
    advice = "restore it, or move it away and pull again"
    try:
        text = read_text(path)
    except InputError as error:
        raise InputError(f"{path}: not readable as tracks ({one_sentence(error, path)}); {advice}") from None
    try:
        tracked = TrackedVideo.model_validate_json(text, strict=True)
    except ValidationError as error:
        raise InputError(f"{path}: not readable as tracks ({in_words(error)}); {advice}") from None
    if tracked.video != path.stem:
        raise InputError(f"{path}: holds tracks of the video {tracked.video!r}, not of {path.stem}; {advice}")
    return tracked


def followed_to(path: Path) -> int:
    """How many frames, from the first, a human vouches for with the whole video; 0 where nobody does.

    Raises:
        InputError: the file is damaged.
    """
    tracked = read_tracked(path)
    return tracked.frames if tracked and tracked.decision else 0


def write_tracked(path: Path, tracked: TrackedVideo) -> None:
    """Write the tracks of a video, whole or not at all; equal ones give an equal file."""
    with fresh_file(path) as new:
        new.write_text(tracked.model_dump_json(indent=1) + "\n", encoding="utf-8")


def merged(known: TrackedVideo | None, seen: TrackedVideo, task: str) -> TrackedVideo:
    """What is known, with what Label Studio now shows of a task; a review that is gone there is withdrawn."""
    shown = {review.review_id: review for review in seen.reviews}
    before = {
        review.review_id: review.model_copy(update={"state": "withdrawn"}) if review.task == task else review
        for review in (known.reviews if known else ())
    }
    ordered = sorted((before | shown).values(), key=lambda review: (review.at, review.review_id))
    return seen.model_copy(update={"reviews": tuple(ordered)})
