"""What humans said takes precedence: in frames they judged, their objects stand for the pipeline's."""

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pandas as pd
from PIL import Image
from scipy.optimize import linear_sum_assignment

from gotowce_dagster.core.errors import InputError
from gotowce_dagster.core.tables import LABELS
from gotowce_dagster.labels.followed import TrackedVideo, frame_rows
from gotowce_dagster.labels.reviews import (
    Change,
    Review,
    ReviewedFrame,
    ReviewedObject,
    ReviewedVideo,
    frame_hash,
)

NO_OBJECT = "no object"
"""The label of a truth row that has no box and says that the frame shows no target."""

Said = Mapping[int, ReviewedFrame]
"""Frames that a human judged, by frame_index; each has a decision."""

_SIDES = ("x1", "y1", "x2", "y2")
# What the way through Label Studio's percents may cost.
_ROUNDING_PX = 1e-6
_OF_LABEL = ("object_id", "confidence", *(f"designator_{side}" for side in _SIDES))


def said_of(reviewed: ReviewedVideo, frames: pd.DataFrame, folder: Path) -> Said:
    """The frames whose picture, as it is now, a human has judged.

    A review of another picture is passed over: its boxes may lie elsewhere on this one.

    Args:
        frames: rows of tables.FRAMES.
        folder: where their pictures lie.

    Raises:
        InputError: a frame was judged as one of another size than its picture has.
    """
    files = frames[frames["kept"]].set_index("frame_index")["file"].to_dict()

    def is_of_now(frame: ReviewedFrame) -> bool:
        file = folder / files.get(frame.frame_index, "")
        if not file.is_file() or frame_hash(file) != frame.frame_hash:
            return False
        _check_size(reviewed.video, frame, file)
        return True

    judged = (frame for frame in reviewed.frames if frame.decision)
    return {frame.frame_index: frame for frame in judged if is_of_now(frame)}


def _check_size(video: str, frame: ReviewedFrame, file: Path) -> None:
    with Image.open(file) as picture:
        size = picture.size
    if size != (frame.width, frame.height):
        raise InputError(
            f"{video}.json: frame {frame.frame_index}: judged as a picture of {frame.width} x {frame.height} "
            f"pixels, but it has {size[0]} x {size[1]}; restore the file of reviews, or pull again"
        )


def said_of_video(
    tracked: TrackedVideo, frames: pd.DataFrame, labels: pd.DataFrame, tolerance_px: float
) -> Said:
    """The sampled frames of a video whose objects a human followed, each with the objects that live in it.

    Who sends a video says so of all its frames, also of those in which no object lives: they show nothing.
    Frames are told by frame_index, so this holds however the video is sampled. Frames after the end that
    the video had in Label Studio were not seen.

    Args:
        frames: rows of tables.FRAMES.
        labels: rows of tables.LABELS; one whose box was left where it was keeps it, and an accepted mask.
        tolerance_px: how far a side of the box may then lie off, as that of an object as it was shown.
    """
    if (review := tracked.decision) is None:
        return {}
    seen = frames.loc[frames["kept"] & (frames["frame_index"] < tracked.frames), "frame_index"].tolist()
    rows = frame_rows(review.tracks, tracked.frames)
    rows = rows[rows["frame_index"].isin(seen)].reset_index(drop=True)
    rows[list(_SIDES)] = rows[list(_SIDES)].clip(0, [tracked.width, tracked.height] * 2, axis=1)
    rows = rows[(rows["x1"] < rows["x2"]) & (rows["y1"] < rows["y2"])]
    living, found = dict(list(rows.groupby("frame_index"))), dict(list(labels.groupby("frame_index")))
    said = {}
    for index in seen:
        there = living.get(index, rows.iloc[:0])
        objects, changes = _compared(there, found.get(index, labels.iloc[:0]), tolerance_px)
        judgement = Review(
            review_id=review.review_id,
            task=review.task,
            annotator=review.annotator,
            at=review.at,
            state="done",
            verdict="fix" if any(change.kind != "none" for change in changes) else "accept",
            objects=tuple(objects),
            changes=tuple(changes),
        )
        said[index] = ReviewedFrame(
            frame_index=index,
            frame_hash="",
            width=tracked.width,
            height=tracked.height,
            sample="video",
            reviews=(judgement,),
        )
    return said


def decision_of(frame: ReviewedFrame) -> Review:
    """The judgement of a frame that has one."""
    assert frame.decision is not None
    return frame.decision


def is_usable(review: Review) -> bool:
    """Whether its objects are all that the frame shows: accepted, or mended.

    One that was sent back as `fix` without a change says that something is wrong, and not what is right.
    """
    return review.verdict == "accept" or (review.verdict == "fix" and review.edits > 0)


def is_confirmed(frame: ReviewedFrame) -> bool:
    """Whether a human vouches for this very frame: looked at it alone, or mended it in its video."""
    review = decision_of(frame)
    return is_usable(review) and (frame.sample != "video" or review.edits > 0)


def precede(labels: pd.DataFrame, said: Said, video: str) -> pd.DataFrame:
    """Labels of one video in which judged frames have what their reviewers left, and nothing else.

    Args:
        labels: rows of tables.LABELS.

    Returns:
        Rows of tables.LABELS. A frame confirmed as empty has none, nor has one that was rejected.
    """
    known = labels.set_index(["frame_index", "detection_id"]).to_dict("index")
    last = labels.groupby("frame_index")["detection_id"].max().to_dict()
    rows = []
    for index, frame in said.items():
        review = decision_of(frame)
        drawn = int(last.get(index, -1))
        for thing in review.objects if is_usable(review) else ():
            drawn += thing.detection_id is None
            number = drawn if thing.detection_id is None else thing.detection_id
            before = known.get((index, number), {})
            rows.append(
                {
                    "frame_index": index,
                    "detection_id": number,
                    "class_name": thing.class_name,
                    **dict(zip(_SIDES, thing.box, strict=True)),
                    **{name: before.get(name) for name in _OF_LABEL},
                    "object_id": before.get("object_id", ""),
                    "rle": thing.rle,
                    "height": frame.height,
                    "width": frame.width,
                    "quality": 1.0,
                    "verdict": "accept",
                    "reasons": [],
                    "scores": {},
                }
            )
    others = labels[~labels["frame_index"].isin(list(said))]
    if not rows:
        return others.reset_index(drop=True)
    mine = pd.DataFrame(rows).assign(video=video)
    parts = [part for part in (others, mine[LABELS.names]) if len(part)]
    return pd.concat(parts, ignore_index=True).sort_values(["frame_index", "detection_id"], ignore_index=True)


def known_objects(said: Said, clip: str) -> pd.DataFrame:
    """What reviewers say there is, as truth: the columns of tables.read_truth, labels object or NO_OBJECT."""
    rows = []
    for index, frame in said.items():
        review = decision_of(frame)
        if is_usable(review):
            boxes = [(*thing.box, "object") for thing in review.objects]
            rows += [(clip, index, *box) for box in boxes or [(float("nan"),) * 4 + (NO_OBJECT,)]]
    return pd.DataFrame(rows, columns=["clip", "frame_index", *_SIDES, "label"])


def _compared(
    there: pd.DataFrame, labels: pd.DataFrame, tolerance_px: float
) -> tuple[list[ReviewedObject], list[Change]]:
    """The objects that a human left in one frame, and what that changes in its labels.

    The human saw boxes. So a mask stays where its box does, if the cleaning step had accepted it.

    Args:
        there: columns of followed.COLUMNS.
        labels: rows of tables.LABELS.
    """
    boxes = there[list(_SIDES)].to_numpy(float)
    off = np.abs(boxes[:, None] - labels[list(_SIDES)].to_numpy(float)[None]).max(axis=2)
    is_near = off <= tolerance_px + _ROUNDING_PX
    pairs = linear_sum_assignment(np.where(is_near, off, 1e6))
    rows = labels.to_dict("records")
    label_of = {mine: rows[theirs] for mine, theirs in zip(*pairs, strict=True) if is_near[mine, theirs]}
    objects, changes = [], []
    for place, (name, box) in enumerate(zip(there["class_name"], boxes.tolist(), strict=True)):
        if (label := label_of.get(place)) is None:
            objects.append(ReviewedObject(class_name=name, box=tuple(box)))
            changes.append(Change(kind="added", class_name=name))
            continue
        objects.append(
            ReviewedObject(
                class_name=name,
                box=tuple(label[side] for side in _SIDES),
                rle=label["rle"] if label["verdict"] == "accept" else None,
                detection_id=label["detection_id"],
            )
        )
        other = None if label["class_name"] == name else label["class_name"]
        changes.append(
            Change(
                kind="changed" if other else "none",
                class_name=name,
                class_before=other,
                detection_id=label["detection_id"],
            )
        )
    stay = {label["detection_id"] for label in label_of.values()}
    changes += [
        Change(kind="deleted", class_name=row["class_name"], detection_id=row["detection_id"])
        for row in rows
        # What the cleaning step had rejected was not there to be taken away.
        if row["detection_id"] not in stay and row["verdict"] != "reject"
    ]
    return objects, changes
