"""Conversion of frames to Label Studio tasks, and of annotated tasks to reviews."""

import hashlib
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from html import escape
from pathlib import Path
from typing import Any, NamedTuple, cast, get_args
from urllib.parse import quote

import pandas as pd
from pydantic import ValidationError

from gotowce_dagster.config.params import ReviewTasksParams
from gotowce_dagster.core import rle
from gotowce_dagster.core.boxes import BOX
from gotowce_dagster.core.safe_names import safe_name
from gotowce_dagster.core.validation import in_words
from gotowce_dagster.labels.reviews import Review, ReviewedFrame, ReviewedObject, Sample, Verdict
from gotowce_dagster.review.bitmask import Colour, mask_to_url
from gotowce_dagster.review.regions import Size, changes, objects, regions

MODEL_VERSION = "labels"
"""Version of all our predictions: Label Studio shows reviewers the predictions of one version only."""

_PAGE = 2
"""Version of the text beside the image. A higher number renews all tasks that no human has edited."""

# Close-ups beside the image: maximum number of labels, side in pixels, and the part of the frame they show,
# in sides of the label and its minimum in pixels.
_CLOSEUPS, _CLOSEUP_PX, _CLOSEUP_MARGIN, _CLOSEUP_LEAST_PX = 12, 150, 2.5, 32.0
_MASK_COLOUR = Colour(86, 180, 233, 130)

_BLIND = "Drawn at random. No hints here, so that the error rate is an honest one."


class Neighbour(NamedTuple):
    """A neighbouring frame, shown beside the one to review."""

    file: Path
    """Path below data."""
    seconds: float
    """Time relative to the frame to review; negative if earlier."""


@dataclass(frozen=True)
class FrameToReview:
    """A frame for review."""

    video: str
    frame_index: int
    time_s: float
    file: Path
    """Path of its image, below data."""
    frame_hash: str
    size: Size
    labels: Sequence[Mapping[str, Any]]
    """The labels to show: rows of tables.LABELS, as values by column."""
    sample: Sample
    order: float
    """Position in the queue, 0 to 1, lowest first."""
    neighbours: Sequence[Neighbour] = ()
    hints: Sequence[str] = ()
    """Further sentences for the reviewer."""

    @property
    def uid(self) -> str:
        """Identifier of the frame's task."""
        return f"{self.video}/{self.frame_index}/{self.frame_hash}"


@dataclass(frozen=True)
class ReviewedTask:
    """One of our tasks with its reviews, as read from Label Studio."""

    task: str
    """Unique across servers; a task that was created again is another one."""
    video: str
    frame: ReviewedFrame
    problems: list[str]


def content_digest(frame: FrameToReview, params: ReviewTasksParams, why: Mapping[str, str]) -> str:
    """Digest of everything that a task shows; an equal digest means an unchanged task."""
    shown = [
        *(_PAGE, frame.uid, frame.time_s, frame.sample, params.masks, params.polygon_px),
        [(neighbour.file.as_posix(), neighbour.seconds) for neighbour in frame.neighbours],
        [(thing.model_dump(), score) for thing, score in _objects(frame.labels)],
        [[why.get(reason, reason) for reason in label["reasons"]] for label in frame.labels],
        # Audit frames show no hints. Without hints the digest is the same as before hints existed.
        *([frame.hints] if frame.hints and frame.sample != "audit" else []),
    ]
    text = json.dumps(shown, sort_keys=True, ensure_ascii=False)
    return hashlib.sha256(text.encode("utf-8")).hexdigest()[:16]


def task_data(frame: FrameToReview, params: ReviewTasksParams, why: Mapping[str, str]) -> dict[str, Any]:
    """The data of a frame's task, with the digest of its content.

    Args:
        why: Message of each rule that labels name as a reason.
    """
    return {
        "uid": frame.uid,
        "video": frame.video,
        "frame_index": frame.frame_index,
        "time_s": round(frame.time_s, 3),
        "width": frame.size.width,
        "height": frame.size.height,
        "sample": frame.sample,
        "image": file_url(frame.file),
        "context": _context(frame, why),
        "content": content_digest(frame, params, why),
    }


def prediction(frame: FrameToReview, params: ReviewTasksParams) -> dict[str, Any]:
    """Convert a frame's labels to a Label Studio prediction (pre-annotation)."""
    result = regions(_objects(frame.labels), frame.size, params.masks, params.polygon_px)
    return {"model_version": MODEL_VERSION, "score": frame.order, "result": result}


def file_url(file: Path) -> str:
    """URL at which Label Studio serves a file below data to logged-in users."""
    return f"/data/local-files/?d={quote(file.as_posix())}"


def task_key(task: Mapping[str, Any]) -> str:
    """Key of a task (Review.task), from its id, project and created_at; a recreated task gets a new key."""
    return f"{task['project']}/{task['id']}@{task['created_at']}"


def read_task(task: Mapping[str, Any]) -> ReviewedTask | None:
    """Read the reviews of a task; None if the task is not ours.

    An unreadable annotation is reported as a problem; the others are read.

    Args:
        task: Has id, project, created_at, data, annotations and predictions; times as text.

    Raises:
        ValueError: The task is ours, but the data of its frame is invalid.
    """
    data = task["data"]
    parts = str(data.get("uid", "")).rsplit("/", 2)
    if len(parts) != 3 or not parts[1].isdecimal() or data.get("sample") not in get_args(Sample):
        return None
    video, index, digest = parts
    key = task_key(task)
    try:
        empty = ReviewedFrame(
            frame_index=int(index),
            frame_hash=digest,
            width=data.get("width"),
            height=data.get("height"),
            sample=data["sample"],
            reviews=(),
        )
        safe_name(video)
    except ValidationError as error:
        raise ValueError(f"task {task['id']} of {data['uid']}: {in_words(error)}") from None
    except ValueError as error:
        raise ValueError(f"task {task['id']}: {error}") from None
    size = Size(empty.width, empty.height)
    predictions = {prediction["id"]: prediction for prediction in task["predictions"] or []}
    reviews: list[Review] = []
    problems: list[str] = []
    for annotation in task["annotations"] or []:
        try:
            reviews.append(_review(annotation, key, predictions, size))
        except (LookupError, TypeError, ValueError, AttributeError, OSError) as error:
            problems.append(
                f"{video} frame {index}, annotation {annotation.get('id')}: {describe_error(error)}"
            )
    ordered = tuple(sorted(reviews, key=lambda review: (review.at, review.review_id)))
    return ReviewedTask(key, video, empty.model_copy(update={"reviews": ordered}), problems)


def describe_error(error: Exception) -> str:
    """Describe why an annotation cannot be read."""
    if isinstance(error, ValidationError):
        return in_words(error)
    return f"it lacks {error}" if isinstance(error, KeyError) else str(error)


def _review(
    annotation: Mapping[str, Any], task: str, predictions: Mapping[int, Mapping[str, Any]], size: Size
) -> Review:
    review: dict[str, Any] = {
        "review_id": f"{annotation['id']}@{annotation['created_at']}",
        "task": task,
        "annotator": _person(annotation.get("completed_by")),
        "at": datetime.fromisoformat(annotation["updated_at"]),
        "seconds": annotation.get("lead_time"),
    }
    if annotation["was_cancelled"]:
        return Review(**review, state="skipped")
    result = annotation["result"]
    # The prediction it started from may have been replaced since; then compare with the newest.
    newest = predictions[max(predictions)] if predictions else None
    parent = predictions.get(annotation.get("parent_prediction"), newest)
    before = objects(parent["result"], size) if parent else []
    after = objects(result, size, before)
    verdicts = _choices(result, "verdict")
    if unknown := set(verdicts) - set(get_args(Verdict)):
        raise ValueError(f"the verdict is {', '.join(sorted(unknown))}; expected accept, fix or reject")
    for thing in after:
        thing.check_within(size.width, size.height)
    return Review(
        **review,
        state="done",
        verdict=cast(Verdict, verdicts[0]) if verdicts else None,
        quality=tuple(_choices(result, "quality")),
        objects=tuple(after),
        changes=tuple(changes(before, after, size)),
    )


def _choices(result: Iterable[Mapping[str, Any]], name: str) -> list[str]:
    return [
        word
        for region in result
        if region.get("from_name") == name
        for word in region["value"].get("choices", [])
    ]


def _person(completed_by: Any) -> int | None:
    return completed_by.get("id") if isinstance(completed_by, Mapping) else completed_by


def _objects(labels: Iterable[Mapping[str, Any]]) -> list[tuple[ReviewedObject, float]]:
    """Convert labels to objects, each with its quality."""
    return [
        (
            ReviewedObject(
                class_name=label["class_name"],
                box=(label["x1"], label["y1"], label["x2"], label["y2"]),
                rle=label["rle"] if pd.notna(label["rle"]) else None,
                detection_id=label["detection_id"],
            ),
            label["quality"],
        )
        for label in labels
    ]


def _context(frame: FrameToReview, why: Mapping[str, str]) -> str:
    """The HTML beside the image: its source, the reasons for doubt, close-ups and the neighbouring frames."""
    blind = frame.sample == "audit"
    parts = [
        _paragraph(f"<b>{escape(frame.video)}</b> · frame {frame.frame_index} · {frame.time_s:.1f} s"),
        *([_paragraph(_BLIND)] if blind else [_paragraph(escape(hint)) for hint in frame.hints]),
        *([] if blind or frame.labels else [_paragraph("No labels here.")]),
    ]
    for number, label in enumerate(frame.labels):
        parts += [] if blind else [_doubt(label, why)]
        parts += [_closeups(frame, label)] if number < _CLOSEUPS else []
    for neighbour in frame.neighbours:
        when = f"{abs(neighbour.seconds):.1f} s {'before' if neighbour.seconds < 0 else 'after'}"
        url = escape(file_url(neighbour.file))
        parts.append(_paragraph(f'{when}<br><img src="{url}" style="width:100%" alt="{when}">'))
    return "".join(parts)


def _doubt(label: Mapping[str, Any], why: Mapping[str, str]) -> str:
    """The reasons for doubt of a label, or the origin of a proposal."""
    name = escape(label["class_name"])
    if (origin := label.get("proposed_by")) is not None:
        return _paragraph(f"<b>{name}</b>, {escape(origin)}")
    reasons = "; ".join(why.get(reason, reason) for reason in label["reasons"]) or "no doubts"
    return _paragraph(f"<b>{name}</b>, quality {label['quality']:.2f}: {escape(reasons)}")


def _closeups(frame: FrameToReview, label: Mapping[str, Any]) -> str:
    """The pixels around a label, enlarged by the browser, without and with its mask."""
    x1, y1, x2, y2 = (label[side] for side in BOX)
    shown_px = max(_CLOSEUP_LEAST_PX, _CLOSEUP_MARGIN * max(x2 - x1, y2 - y1))
    scale = _CLOSEUP_PX / shown_px
    left, top = (scale * ((low + high - shown_px) / 2) for low, high in ((x1, x2), (y1, y2)))
    picture = (
        f"url('{escape(file_url(frame.file))}') {-left:.1f}px {-top:.1f}px / "
        f"{scale * frame.size.width:.1f}px auto no-repeat"
    )
    stacks = [[picture]]
    if pd.notna(label["rle"]):
        mask = rle.decode(label["rle"], frame.size.height, frame.size.width)
        # Only the visible part: the mask of the whole frame would be a long data URL.
        x, y = max(0, int(left / scale)), max(0, int(top / scale))
        part = mask[y : y + int(shown_px) + 2, x : x + int(shown_px) + 2]
        position = (
            f"{scale * x - left:.1f}px {scale * y - top:.1f}px / {scale * part.shape[1]:.1f}px auto no-repeat"
        )
        stacks.append([f"url('{mask_to_url(part, _MASK_COLOUR)}') {position}", picture])
    return "".join(
        f'<div style="display:inline-block;width:{_CLOSEUP_PX}px;height:{_CLOSEUP_PX}px;margin:0 8px 8px 0;'
        f'image-rendering:pixelated;background:{", ".join(stack)}"></div>'
        for stack in stacks
    )


def _paragraph(html: str) -> str:
    return f'<div style="margin-bottom:8px;font-size:14px;line-height:1.35">{html}</div>'
