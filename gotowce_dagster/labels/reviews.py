"""Human reviews of a video's frames: data/reviewed/VIDEO.json, a source rather than a stage's output."""

import hashlib
from collections.abc import Iterable
from datetime import datetime
from pathlib import Path
from typing import Annotated, Literal, TypeVar

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
"""Largest frame_index and detection_id that tables can store."""
FIRST_PROPOSAL = 1_000_000
"""The smallest detection_id of a model's proposal; labels have smaller ones."""
ROUNDING_PX = 1.0
"""Maximum distance of a box's side beyond the frame's edge, in pixels."""


def _ordered(box: tuple[float, float, float, float]) -> tuple[float, float, float, float]:
    if not (box[0] < box[2] and box[1] < box[3]):
        raise ValueError(f"a box needs x1 < x2 and y1 < y2, not {list(box)}")
    return box


Box = Annotated[tuple[float, float, float, float], AfterValidator(_ordered)]
"""x1, y1, x2, y2 in pixels of the frame, x2 and y2 exclusive; finite and non-empty."""
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
    """COCO RLE counts of the whole frame; None without a mask."""
    detection_id: DetectionId | None = None
    """The detection_id of the label it started from; None if a human drew it."""

    def check_within(self, width: int, height: int) -> None:
        """Check that the object fits a frame of this size.

        Raises:
            ValueError: The box leaves the frame, or the mask is empty or of another size.
        """
        x1, y1, x2, y2 = self.box
        if min(x1, y1) < -ROUNDING_PX or x2 > width + ROUNDING_PX or y2 > height + ROUNDING_PX:
            raise ValueError(f"the box {list(self.box)} leaves the frame of {width} x {height} pixels")
        if self.rle is not None and not rle.decode(self.rle, height, width).any():
            raise ValueError("the mask has no pixels; use null for no mask")


def is_proposal(thing: ReviewedObject) -> bool:
    """Whether an object was proposed by a model, rather than a label or drawn by a human."""
    return thing.detection_id is not None and thing.detection_id >= FIRST_PROPOSAL


class Change(Record):
    """A reviewer's change to one object of the prediction."""

    kind: Literal["none", "changed", "added", "deleted"]
    detection_id: DetectionId | None = None
    class_name: ClassName
    """The current class; of a deleted object, its last class."""
    class_before: ClassName | None = None
    """The previous class, if it was changed."""
    moved_px: float = Field(default=0.0, ge=0)
    """The largest movement of a side of the box."""
    mask_iou: float | None = Field(default=None, ge=0, le=1)
    """IoU of the mask before and after; 0 if it was drawn or deleted, None if there never was one."""
    box: Box | None = None
    """The box of a deleted proposal, which is not a target."""


class Review(Record):
    """One annotation of one frame by one human."""

    review_id: str
    """Id of the annotation, unique across servers."""
    task: str
    """Key of its task, unique across servers."""
    annotator: int | None = Field(ge=0, lt=2**63)
    at: datetime
    seconds: float | None = Field(default=None, ge=0)
    """Time spent, as measured by Label Studio."""
    state: Literal["done", "skipped", "withdrawn"]
    """skipped: no verdict given. withdrawn: deleted in Label Studio, while its task still exists."""
    verdict: Verdict | None = None
    """None if skipped, or if submitted without the page, which requires a verdict."""
    quality: tuple[str, ...] = ()
    objects: tuple[ReviewedObject, ...] = ()
    changes: tuple[Change, ...] = ()

    @property
    def edits(self) -> int:
        """Number of objects that were changed, added or deleted."""
        return sum(change.kind != "none" for change in self.changes)

    @property
    def rejected(self) -> list[Change]:
        """The proposals of a model that the reviewer deleted."""
        return [change for change in self.changes if change.kind == "deleted" and change.box is not None]


class ReviewedFrame(Record):
    """A frame and all its reviews."""

    frame_index: FrameIndex
    frame_hash: str
    """frame_hash of the image file; empty if the frame was reviewed with its whole video."""
    width: Side
    height: Side
    sample: Sample | Literal["video"]
    """Why it was shown: in the audit sample, doubtful, because all frames were, or within its video."""
    reviews: tuple[Review, ...]
    """Oldest first."""

    @model_validator(mode="after")
    def _fits_frame(self) -> "ReviewedFrame":
        for review in self.reviews:
            for number, thing in enumerate(review.objects):
                try:
                    thing.check_within(self.width, self.height)
                except ValueError as error:
                    raise ValueError(f"review {review.review_id}, object {number}: {error}") from None
        return self

    @property
    def decision(self) -> Review | None:
        """The newest review with a verdict; None if all were skipped or withdrawn."""
        judged = (review for review in reversed(self.reviews) if review.state == "done" and review.verdict)
        return next(judged, None)


class VideoRecord(Record):
    """The contents of a JSON file about one video."""

    video: SafeName


OfVideo = TypeVar("OfVideo", bound=VideoRecord)


class ReviewedVideo(VideoRecord):
    """The reviews of a video's frames; the contents of the file."""

    frames: tuple[ReviewedFrame, ...] = ()
    """Sorted by frame_index; a frame that was extracted again with another content occurs again."""


def frame_hash(file: Path) -> str:
    """Hash of a frame's image file, 16 hex digits."""
    return hashlib.sha256(file.read_bytes()).hexdigest()[:16]


def read_reviewed(path: Path) -> ReviewedVideo:
    """Read a video's reviews; empty if the file neither exists nor is tracked.

    Raises:
        InputError: The file is damaged or invalid, belongs to another video, or is tracked by DVC and not
            pulled.
    """
    if not path.exists():
        require_pulled([path])
        return ReviewedVideo(video=path.stem)
    restore = f"restore it with `dvc checkout --force {below_data(pointer(path))}`"
    return read_video_record(path, ReviewedVideo, "reviews", restore)


def read_video_record(path: Path, kind: type[OfVideo], contents: str, restore: str) -> OfVideo:
    """Read a record of a video from its JSON file, which is named after the video.

    Args:
        contents: what the file contains, for messages.
        restore: how to restore a damaged file, for messages.

    Raises:
        InputError: the file is damaged or invalid, or belongs to another video.
    """
    advice = f"{restore}, or move it away and pull again"
    try:
        record = kind.model_validate_json(read_text(path), strict=True)
    except (InputError, ValidationError) as error:
        reason = in_words(error) if isinstance(error, ValidationError) else one_sentence(error, path)
        raise InputError(f"{path}: not readable as {contents} ({reason}); {advice}") from None
    if record.video != path.stem:
        raise InputError(
            f"{path}: holds {contents} of the video {record.video!r}, not of {path.stem}; {advice}"
        )
    return record


def write_reviewed(path: Path, reviewed: ReviewedVideo) -> None:
    """Write a video's reviews atomically; equal reviews give an equal file."""
    with fresh_file(path) as new:
        new.write_text(reviewed.model_dump_json(indent=1, exclude_defaults=True) + "\n", encoding="utf-8")


def merged(pulled: ReviewedVideo, seen: Iterable[tuple[str, ReviewedFrame]]) -> ReviewedVideo:
    """Merge pulled reviews with those that Label Studio now shows; no review is dropped.

    A pulled review that its task no longer shows becomes withdrawn. Reviews of tasks that were not read stay
    as they are.

    Args:
        seen: Each frame with its task (Review.task).
    """
    frames = {(frame.frame_index, frame.frame_hash): frame for frame in pulled.frames}
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
    return pulled.model_copy(update={"frames": tuple(frames[key] for key in sorted(frames))})
