"""data/reviewed/VIDEO.json: what humans said about the frames of a video. A source, no stage's output."""

import hashlib
from collections.abc import Iterable
from datetime import datetime
from pathlib import Path
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from gotowce_dagster.errors import InputError
from gotowce_dagster.files import fresh_file, read_text
from gotowce_dagster.sources import below_data, pointer, require_pulled
from gotowce_dagster.validation import in_words

Verdict = Literal["accept", "fix", "reject"]
Sample = Literal["audit", "doubtful", "all"]
Box = tuple[float, float, float, float]
"""x1, y1, x2, y2 in pixels of the frame, x2 and y2 exclusive."""


class Record(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class ReviewedObject(Record):
    """One object of a frame as its reviewer left it."""

    class_name: str
    box: Box
    rle: str | None = None
    """COCO RLE counts of the whole frame; None where there is no mask."""
    detection_id: int | None = None
    """Of the label it was made from; None where a human drew it."""


class Change(Record):
    """What a reviewer did to one object of the prediction."""

    kind: Literal["none", "changed", "added", "deleted"]
    detection_id: int | None = None
    class_name: str
    """As it is now; of a deleted object, as it was."""
    class_before: str | None = None
    """Where it was changed."""
    moved_px: float = 0.0
    """The farthest that a side of the box moved."""
    mask_iou: float | None = None
    """Of the mask before and now; 0 where it was drawn or deleted, None where there never was one."""


class Review(Record):
    """One annotation: what one human said of one frame, once."""

    review_id: str
    """Of the annotation, unique in all servers."""
    task: str
    """Which task of which server it belongs to."""
    annotator: int | None
    at: datetime
    seconds: float | None = None
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

    frame_index: Annotated[int, Field(ge=0)]
    frame_hash: str
    """Of the picture's file, as in frame_hash; empty where it was seen as a part of its video."""
    width: int
    height: int
    sample: Sample | Literal["video"]
    """Why it was shown: drawn at random, doubtful, because all were, or as a part of its video."""
    reviews: tuple[Review, ...]
    """Oldest first."""

    @property
    def decision(self) -> Review | None:
        """The newest review with a verdict; None where all were skipped or withdrawn."""
        judged = (review for review in reversed(self.reviews) if review.state == "done" and review.verdict)
        return next(judged, None)


class ReviewedVideo(Record):
    """The whole file."""

    video: str
    frames: tuple[ReviewedFrame, ...] = ()
    """By frame_index; one whose picture was extracted anew, with another content, stands there again."""


def frame_hash(file: Path) -> str:
    """The content of a frame's file in 16 hex digits."""
    return hashlib.sha256(file.read_bytes()).hexdigest()[:16]


def read_reviewed(path: Path) -> ReviewedVideo:
    """Read a video's reviews; of a file that is neither here nor tracked, none.

    Raises:
        InputError: the file is damaged, or tracked by DVC and not pulled.
    """
    if not path.exists():
        require_pulled([path])
        return ReviewedVideo(video=path.stem)
    text = read_text(path)
    try:
        return ReviewedVideo.model_validate_json(text)
    except ValidationError as error:
        raise InputError(
            f"{path}: not readable as reviews ({in_words(error)[:300]}); restore it with "
            f"`dvc checkout --force {below_data(pointer(path))}`"
        ) from None


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
