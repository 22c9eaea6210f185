"""data/reviewed/VIDEO.json: what humans said about the frames of a video. A source, no stage's output."""

import hashlib
from collections.abc import Iterable
from datetime import datetime
from pathlib import Path
from typing import Annotated, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError, model_validator

from gotowce_dagster.core import rle
from gotowce_dagster.core.errors import InputError, one_sentence
from gotowce_dagster.core.files import fresh_file, read_text
from gotowce_dagster.core.safe_names import ClassName, SafeName
from gotowce_dagster.core.sources import below_data, pointer, require_pulled
from gotowce_dagster.core.validation import in_words

Verdict = Literal["accept", "fix", "reject"]
Sample = Literal["audit", "doubtful", "all"]

LARGEST_ID = 2**31 - 1
"""Of frames and detections: tables hold no more."""
ROUNDING_PX = 1.0
"""How far a side of a box may lie beyond the frame's edge."""


def _ordered(box: tuple[float, float, float, float]) -> tuple[float, float, float, float]:
    if not (box[0] < box[2] and box[1] < box[3]):
        raise ValueError(f"a box needs x1 < x2 and y1 < y2, not {list(box)}")
    return box


Box = Annotated[tuple[float, float, float, float], AfterValidator(_ordered)]
"""x1, y1, x2, y2 in pixels of the frame, x2 and y2 exclusive; finite, and not empty."""
Side = Annotated[int, Field(ge=1, le=65_536)]
"""Width or height of a frame in pixels."""
FrameIndex = Annotated[int, Field(ge=0, le=LARGEST_ID)]
DetectionId = Annotated[int, Field(ge=0, le=LARGEST_ID)]


class Record(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


class ReviewedObject(Record):
    """One object of a frame as its reviewer left it."""

    class_name: ClassName
    box: Box
    rle: str | None = None
    """COCO RLE counts of the whole frame; None where there is no mask."""
    detection_id: DetectionId | None = None
    """Of the label it was made from; None where a human drew it."""

    def check_within(self, width: int, height: int) -> None:
        """Raises: ValueError: it does not lie in a frame of this size, or its mask is of another one."""
        x1, y1, x2, y2 = self.box
        if min(x1, y1) < -ROUNDING_PX or x2 > width + ROUNDING_PX or y2 > height + ROUNDING_PX:
            raise ValueError(f"the box {list(self.box)} leaves the frame of {width} x {height} pixels")
        if self.rle is not None and not rle.area(self.rle, height, width):
            raise ValueError("a mask without any pixel; null says that there is none")


class Change(Record):
    """What a reviewer did to one object of the prediction."""

    kind: Literal["none", "changed", "added", "deleted"]
    detection_id: DetectionId | None = None
    class_name: ClassName
    """As it is now; of a deleted object, as it was."""
    class_before: ClassName | None = None
    """Where it was changed."""
    moved_px: float = Field(default=0.0, ge=0)
    """The farthest that a side of the box moved."""
    mask_iou: float | None = Field(default=None, ge=0, le=1)
    """Of the mask before and now; 0 where it was drawn or deleted, None where there never was one."""


class Review(Record):
    """One annotation: what one human said of one frame, once."""

    review_id: str
    """Of the annotation, unique in all servers."""
    task: str
    """Which task of which server it belongs to."""
    annotator: int | None = Field(ge=0, lt=2**63)
    at: datetime
    seconds: float | None = Field(default=None, ge=0)
    """Time spent, as Label Studio counts it."""
    state: Literal["done", "skipped", "withdrawn"]
    """skipped: passed over without a judgement. withdrawn: deleted in Label Studio while its task stayed."""
    verdict: Verdict | None = None
    """None of one that was skipped, or sent past the page, which asks for it."""
    quality: tuple[str, ...] = ()
    objects: tuple[ReviewedObject, ...] = ()
    changes: tuple[Change, ...] = ()

    @property
    def edits(self) -> int:
        """Objects that were changed, added or deleted."""
        return sum(change.kind != "none" for change in self.changes)


class ReviewedFrame(Record):
    """A frame and every review of it."""

    frame_index: FrameIndex
    frame_hash: str
    """Of the picture's file, as in frame_hash; empty where it was seen as a part of its video."""
    width: Side
    height: Side
    sample: Sample | Literal["video"]
    """Why it was shown: drawn at random, doubtful, because all were, or as a part of its video."""
    reviews: tuple[Review, ...]
    """Oldest first."""

    @model_validator(mode="after")
    def _lies_in_it(self) -> "ReviewedFrame":
        for review in self.reviews:
            for number, thing in enumerate(review.objects):
                try:
                    thing.check_within(self.width, self.height)
                except ValueError as error:
                    raise ValueError(f"review {review.review_id}, object {number}: {error}") from None
        return self

    @property
    def decision(self) -> Review | None:
        """The newest review with a verdict; None where all were skipped or withdrawn."""
        judged = (review for review in reversed(self.reviews) if review.state == "done" and review.verdict)
        return next(judged, None)


class ReviewedVideo(Record):
    """The whole file."""

    video: SafeName
    frames: tuple[ReviewedFrame, ...] = ()
    """By frame_index; one whose picture was extracted anew, with another content, stands there again."""


def frame_hash(file: Path) -> str:
    """The content of a frame's file in 16 hex digits."""
    return hashlib.sha256(file.read_bytes()).hexdigest()[:16]


def read_reviewed(path: Path) -> ReviewedVideo:
    """Read a video's reviews; of a file that is neither here nor tracked, none.

    Raises:
        InputError: the file is damaged, holds what cannot be, is of another video, or is tracked by DVC and
            not pulled.
    """
    if not path.exists():
        require_pulled([path])
        return ReviewedVideo(video=path.stem)
    restore = f"restore it with `dvc checkout --force {below_data(pointer(path))}`"
    advice = f"{restore}, or move it away and pull again"
    try:
        text = read_text(path)
    except InputError as error:
        raise InputError(f"{path}: not readable as reviews ({one_sentence(error, path)}); {advice}") from None
    try:
        reviewed = ReviewedVideo.model_validate_json(text, strict=True)
    except ValidationError as error:
        raise InputError(f"{path}: not readable as reviews ({in_words(error)}); {advice}") from None
    if reviewed.video != path.stem:
        raise InputError(
            f"{path}: holds reviews of the video {reviewed.video!r}, not of {path.stem}; {advice}"
        )
    return reviewed


def write_reviewed(path: Path, reviewed: ReviewedVideo) -> None:
    """Write a video's reviews, whole or not at all; equal reviews give an equal file."""
    with fresh_file(path) as new:
        new.write_text(reviewed.model_dump_json(indent=1, exclude_defaults=True) + "\n", encoding="utf-8")


def merged(known: ReviewedVideo, seen: Iterable[tuple[str, ReviewedFrame]]) -> ReviewedVideo:
    """What is known, with what Label Studio now shows; nothing that a human said is dropped.

    A review whose task is seen without it is withdrawn; one whose task is not seen stays as it is.

    Args:
        seen: each frame with its task (Review.task).
    """
    frames = {(frame.frame_index, frame.frame_hash): frame for frame in known.frames}
    for task, new in seen:
        key = (new.frame_index, new.frame_hash)
        shown = {review.review_id: review for review in new.reviews}
        before = frames[key].reviews if key in frames else ()
        if not before and not shown:
            continue
        reviews = {
            review.review_id: review.model_copy(update={"state": "withdrawn"})
            if review.task == task
            else review
            for review in before
        } | shown
        ordered = sorted(reviews.values(), key=lambda review: (review.at, review.review_id))
        frames[key] = new.model_copy(update={"reviews": tuple(ordered)})
    return known.model_copy(update={"frames": tuple(frames[key] for key in sorted(frames))})
