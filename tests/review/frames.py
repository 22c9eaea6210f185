"""Synthetic frames for review."""

from pathlib import Path
from typing import Any

import numpy as np

from gotowce_dagster.config.params import ReviewTasksParams
from gotowce_dagster.core import rle
from gotowce_dagster.labels.reviews import Change, Review, ReviewedFrame, ReviewedObject
from gotowce_dagster.review.regions import Size
from gotowce_dagster.review.tasks import FrameToReview, Neighbour
from tests.shipped import params

SIZE = Size(160, 96)
AT = "2026-01-02T03:04:05.678901Z"


def tasks_params(**changes: object) -> ReviewTasksParams:
    return ReviewTasksParams.model_validate(params().review.tasks.model_dump() | changes)


def square(x1: int, y1: int, x2: int, y2: int, size: Size = SIZE) -> np.ndarray:
    mask = np.zeros((size.height, size.width), bool)
    mask[y1:y2, x1:x2] = True
    return mask


def thing(
    x1: float,
    y1: float,
    x2: float,
    y2: float,
    *,
    name: str = "ship",
    label: int | None = None,
    mask: bool = True,
) -> ReviewedObject:
    """An object whose mask fills its box."""
    filled = rle.encode(square(int(x1), int(y1), int(x2), int(y2))) if mask else None
    return ReviewedObject(class_name=name, box=(x1, y1, x2, y2), rle=filled, detection_id=label)


def label_row(number: int = 0, frame_index: int = 0, **changes: object) -> dict[str, object]:
    """A row of tables.LABELS."""
    return {
        "video": "duel",
        "frame_index": frame_index,
        "detection_id": number,
        "object_id": "0/0",
        "class_name": "ship",
        **{"x1": 10.25, "y1": 20.5, "x2": 50.75, "y2": 60.125},
        "rle": rle.encode(square(10, 20, 51, 61)),
        "height": SIZE.height,
        "width": SIZE.width,
        "confidence": None,
        "quality": 0.8,
        "verdict": "accept",
        "reasons": [],
        "scores": {"agreement": 0.9},
    } | changes


def frame(*labels: dict[str, object], **changes: object) -> FrameToReview:
    values: dict[str, Any] = {
        "video": "duel",
        "frame_index": 30,
        "time_s": 1.5,
        "file": Path("frames/duel/000030.jpg"),
        "frame_hash": "0123456789abcdef",
        "size": SIZE,
        "labels": list(labels or [label_row()]),
        "sample": "doubtful",
        "order": 0.25,
        "neighbours": [Neighbour(Path("frames/duel/000020.jpg"), -0.5)],
    } | changes
    return FrameToReview(**values)


def review(
    name: str = "1", *, task: str = "1/1@t", at: str = AT, verdict: str | None = "accept", **changes: object
) -> Review:
    values = {"review_id": name, "task": task, "annotator": 1, "at": at, "state": "done", "verdict": verdict}
    return Review.model_validate(values | changes)


def reviewed(*reviews: Review, index: int = 30, sample: str = "audit") -> ReviewedFrame:
    return ReviewedFrame.model_validate(
        {
            "frame_index": index,
            "frame_hash": "h",
            "width": SIZE.width,
            "height": SIZE.height,
            "sample": sample,
            "reviews": reviews,
        }
    )


def change(kind: str = "changed", **values: object) -> Change:
    return Change.model_validate({"kind": kind, "class_name": "ship"} | values)
