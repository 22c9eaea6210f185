"""Frames as Label Studio's tasks, and tasks as what was said of frames."""

import hashlib
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from html import escape
from pathlib import Path
from typing import Any, cast, get_args
from urllib.parse import quote

import pandas as pd
from pydantic import ValidationError

from gotowce_dagster.config.params import ReviewTasksParams
from gotowce_dagster.core import rle
from gotowce_dagster.core.safe_names import safe_name
from gotowce_dagster.core.validation import in_words
from gotowce_dagster.labels.reviews import Review, ReviewedFrame, ReviewedObject, Sample, Verdict
from gotowce_dagster.review.bitmask import Colour, mask_to_url
from gotowce_dagster.review.regions import Size, changes, objects, regions

MODEL_VERSION = "labels"
"""All our predictions carry one: Label Studio shows a project's reviewers those of a single version."""

_PAGE = 1
"""Of what stands beside the picture: a higher number makes all tasks anew that nobody has touched."""

# Close-ups beside the picture: of how many labels, their side, and how much of the frame they show, in sides
# of the label and at least in pixels.
_CLOSEUPS, _CLOSEUP_PX, _CLOSEUP_MARGIN, _CLOSEUP_LEAST_PX = 4, 150, 2.5, 32.0
_MASK_COLOUR = Colour(86, 180, 233, 130)

_BLIND = "Drawn at random. No hints here, so that the error rate is an honest one."


@dataclass(frozen=True)
class Neighbour:
    """A frame shown beside the one asked about."""

    file: Path
    """Below data."""
    seconds: float
    """From the frame asked about, negative before it."""


@dataclass(frozen=True)
class FrameToReview:
    """A frame that a human should see."""

    video: str
    frame_index: int
    time_s: float
    file: Path
    """Of its picture, below data."""
    frame_hash: str
    size: Size
    labels: Sequence[Mapping[str, Any]]
    """Those that are shown: rows of tables.LABELS, as values by column."""
    sample: Sample
    order: float
    """0 to 1; the least is seen first."""
    neighbours: Sequence[Neighbour] = ()
    hints: Sequence[str] = ()
    """What else to tell the reviewer, in sentences."""

    @property
    def uid(self) -> str:
        """What its task is looked up by."""
        return f"{self.video}/{self.frame_index}/{self.frame_hash}"


@dataclass(frozen=True)
class Seen:
    """One of our tasks as Label Studio shows it."""

    task: str
    """Unique in all servers: a task that was made anew is another one."""
    video: str
    frame: ReviewedFrame
    problems: list[str]


def content(frame: FrameToReview, params: ReviewTasksParams, why: Mapping[str, str]) -> str:
    """A digest of all that a task shows: equal means unchanged."""
    told = [
        *(_PAGE, frame.uid, frame.time_s, frame.sample, params.masks, params.polygon_px),
        [(neighbour.file.as_posix(), neighbour.seconds) for neighbour in frame.neighbours],
        [(thing.model_dump(), score) for thing, score in _objects(frame.labels)],
        [[why.get(reason, reason) for reason in label["reasons"]] for label in frame.labels],
        # Shown in frames of the audit sample neither; without any the digest is what it always was.
        *([frame.hints] if frame.hints and frame.sample != "audit" else []),
    ]
    text = json.dumps(told, sort_keys=True, ensure_ascii=False)
    return hashlib.sha256(text.encode("utf-8")).hexdigest()[:16]


def task_data(frame: FrameToReview, params: ReviewTasksParams, why: Mapping[str, str]) -> dict[str, Any]:
    """What a task knows of its frame, with the digest of its content.

    Args:
        why: a sentence for each rule that labels name as a reason.
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
        "content": content(frame, params, why),
    }


def prediction(frame: FrameToReview, params: ReviewTasksParams) -> dict[str, Any]:
    """A frame's labels as Label Studio's pre-annotation."""
    result = regions(_objects(frame.labels), frame.size, params.masks, params.polygon_px)
    return {"model_version": MODEL_VERSION, "score": frame.order, "result": result}


def file_url(file: Path) -> str:
    """Where a file below data is served by Label Studio, to those who are logged in."""
    return f"/data/local-files/?d={quote(file.as_posix())}"


def task_key(task: Mapping[str, Any]) -> str:
    """Review.task of a task with id, project and created_at: one that was made anew has another."""
    return f"{task['project']}/{task['id']}@{task['created_at']}"


def read_task(task: Mapping[str, Any]) -> Seen | None:
    """What a task says; None of one that is not ours.

    Args:
        task: with id, project, created_at, data, annotations and predictions; times as text.

    An annotation that cannot be read becomes a problem, and the rest is read all the same.

    Raises:
        ValueError: it is ours and says of its frame what cannot be.
    """
    data = task["data"]
    parts = str(data.get("uid", "")).rsplit("/", 2)
    if len(parts) != 3 or not parts[1].isdecimal() or data.get("sample") not in get_args(Sample):
        return None
    video, index, digest = parts
    key = task_key(task)
    try:
        blank = ReviewedFrame(
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
    size = Size(blank.width, blank.height)
    predictions = {prediction["id"]: prediction for prediction in task["predictions"] or []}
    reviews: list[Review] = []
    problems: list[str] = []
    for annotation in task["annotations"] or []:
        try:
            reviews.append(_review(annotation, key, predictions, size))
        except (LookupError, TypeError, ValueError, AttributeError, OSError) as error:
            problems.append(f"{video} frame {index}, annotation {annotation.get('id')}: {fault(error)}")
    ordered = tuple(sorted(reviews, key=lambda review: (review.at, review.review_id)))
    return Seen(key, video, blank.model_copy(update={"reviews": ordered}), problems)


def fault(error: Exception) -> str:
    """What is wrong with an annotation that could not be read."""
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
    # The one it was made from may have been replaced since; then the newest tells best.
    newest = predictions[max(predictions)] if predictions else None
    parent = predictions.get(annotation.get("parent_prediction"), newest)
    before = objects(parent["result"], size) if parent else []
    after = objects(result, size, before)
    verdicts = _choices(result, "verdict")
    if unknown := set(verdicts) - set(get_args(Verdict)):
        raise ValueError(f"its verdict is {', '.join(sorted(unknown))}, not accept, fix or reject")
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
    """Each label as an object, with its quality."""
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
    """What stands beside the picture, as HTML: whence it is, the doubts, close-ups, the frames around it."""
    blind = frame.sample == "audit"
    parts = [
        _paragraph(f"<b>{escape(frame.video)}</b> · frame {frame.frame_index} · {frame.time_s:.1f} s"),
        _paragraph(_BLIND) if blind else _doubts(frame.labels, why),
        *(_paragraph(escape(hint)) for hint in frame.hints if not blind),
        *(_closeups(frame, label) for label in frame.labels[:_CLOSEUPS]),
    ]
    for neighbour in frame.neighbours:
        when = f"{abs(neighbour.seconds):.1f} s {'before' if neighbour.seconds < 0 else 'after'}"
        url = escape(file_url(neighbour.file))
        parts.append(_paragraph(f'{when}<br><img src="{url}" style="width:100%" alt="{when}">'))
    return "".join(parts)


def _doubts(labels: Iterable[Mapping[str, Any]], why: Mapping[str, str]) -> str:
    lines = []
    for label in labels:
        reasons = "; ".join(why.get(reason, reason) for reason in label["reasons"]) or "no doubts"
        name = escape(label["class_name"])
        lines.append(_paragraph(f"<b>{name}</b>, quality {label['quality']:.2f}: {escape(reasons)}"))
    return "".join(lines) or _paragraph("No labels here.")


def _closeups(frame: FrameToReview, label: Mapping[str, Any]) -> str:
    """The pixels around a label, enlarged by the browser: as they are, and with its mask on them."""
    x1, y1, x2, y2 = (label[side] for side in ("x1", "y1", "x2", "y2"))
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
        # Only what is seen: the whole frame's mask would cost a page of text.
        x, y = max(0, int(left / scale)), max(0, int(top / scale))
        part = mask[y : y + int(shown_px) + 2, x : x + int(shown_px) + 2]
        place = (
            f"{scale * x - left:.1f}px {scale * y - top:.1f}px / {scale * part.shape[1]:.1f}px auto no-repeat"
        )
        stacks.append([f"url('{mask_to_url(part, _MASK_COLOUR)}') {place}", picture])
    return "".join(
        f'<div style="display:inline-block;width:{_CLOSEUP_PX}px;height:{_CLOSEUP_PX}px;margin:0 8px 8px 0;'
        f'image-rendering:pixelated;background:{", ".join(stack)}"></div>'
        for stack in stacks
    )


def _paragraph(html: str) -> str:
    return f'<div style="margin-bottom:8px;font-size:14px;line-height:1.35">{html}</div>'
