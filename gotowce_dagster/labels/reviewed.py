"""Reviews take precedence: in reviewed frames, the reviewers' objects replace the pipeline's labels."""

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pandas as pd
from PIL import Image
from scipy.optimize import linear_sum_assignment

from gotowce_dagster.core.boxes import BOX, DESIGNATOR, xyxy
from gotowce_dagster.core.errors import InputError
from gotowce_dagster.core.tables import LABELS, records
from gotowce_dagster.core.truth import COMPLETE_IGNORED
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
"""Label of a ground-truth row without a box: the frame shows no target."""

ReviewedFrames = Mapping[int, ReviewedFrame]
"""Reviewed frames by frame_index; each has a decision."""

# Rounding error of the round trip through Label Studio's percents.
_ROUNDING_PX = 1e-6
_OF_LABEL = ("object_id", "confidence", *DESIGNATOR)


def current_reviews(reviewed: ReviewedVideo, frames: pd.DataFrame, folder: Path) -> ReviewedFrames:
    """Select the reviewed frames whose image has not changed since the review.

    A review of another image is ignored: its boxes may not fit the current one.

    Args:
        frames: Rows of tables.FRAMES.
        folder: Folder of the frames' images.

    Raises:
        InputError: The size of a frame in its review differs from the size of its image.
    """
    files = frames[frames["kept"]].set_index("frame_index")["file"].to_dict()

    def is_current(frame: ReviewedFrame) -> bool:
        file = folder / files.get(frame.frame_index, "")
        if not file.is_file() or frame_hash(file) != frame.frame_hash:
            return False
        _check_size(reviewed.video, frame, file)
        return True

    judged = (frame for frame in reviewed.frames if frame.decision)
    return {frame.frame_index: frame for frame in judged if is_current(frame)}


def _check_size(video: str, frame: ReviewedFrame, file: Path) -> None:
    with Image.open(file) as picture:
        size = picture.size
    if size != (frame.width, frame.height):
        raise InputError(
            f"{video}.json: frame {frame.frame_index}: reviewed at {frame.width} x {frame.height} pixels, "
            f"but the image has {size[0]} x {size[1]}; restore the review file, or pull again"
        )


def current_video_reviews(
    tracked: TrackedVideo, frames: pd.DataFrame, labels: pd.DataFrame, tolerance_px: float
) -> ReviewedFrames:
    """Convert the review of a whole video to reviews of its sampled frames.

    A submitted video vouches for all its frames; those without an object show no target. Frames are
    identified by frame_index, so this holds however the video is sampled. Frames beyond the end that the
    video had in Label Studio are not reviewed.

    Args:
        frames: Rows of tables.FRAMES.
        labels: Rows of tables.LABELS. A label whose box was not moved keeps its box, and its mask if
            accepted.
        tolerance_px: Maximum difference of a side between a label's box and its track, in pixels.
    """
    if (review := tracked.decision) is None:
        return {}
    seen = frames.loc[frames["kept"] & (frames["frame_index"] < tracked.frames), "frame_index"].tolist()
    rows = frame_rows(review.tracks, tracked.frames)
    rows = rows[rows["frame_index"].isin(seen)].reset_index(drop=True)
    rows[BOX] = rows[BOX].clip(0, [tracked.width, tracked.height] * 2, axis=1)
    rows = rows[(rows["x1"] < rows["x2"]) & (rows["y1"] < rows["y2"])]
    by_frame, found = dict(list(rows.groupby("frame_index"))), dict(list(labels.groupby("frame_index")))
    reviews = {}
    for index in seen:
        tracked_rows = by_frame.get(index, rows.iloc[:0])
        objects, changes = _compared(tracked_rows, found.get(index, labels.iloc[:0]), tolerance_px)
        frame_review = Review(
            review_id=review.review_id,
            task=review.task,
            annotator=review.annotator,
            at=review.at,
            state="done",
            verdict="fix" if any(change.kind != "none" for change in changes) else "accept",
            objects=tuple(objects),
            changes=tuple(changes),
        )
        reviews[index] = ReviewedFrame(
            frame_index=index,
            frame_hash="",
            width=tracked.width,
            height=tracked.height,
            sample="video",
            reviews=(frame_review,),
        )
    return reviews


def decision_of(frame: ReviewedFrame) -> Review:
    """The decision of a reviewed frame."""
    assert frame.decision is not None
    return frame.decision


def is_usable(review: Review) -> bool:
    """Whether a review's objects are complete and correct: accepted, or corrected.

    A review with the verdict `fix` and no change is not usable: it reports an error without correcting it.
    """
    return review.verdict == "accept" or (review.verdict == "fix" and review.edits > 0)


def targets(review: Review) -> list[ReviewedObject]:
    """The objects of a review that are targets: not those called ``other`` or ``unsure``."""
    return [thing for thing in review.objects if thing.class_name not in COMPLETE_IGNORED]


def is_confirmed(frame: ReviewedFrame) -> bool:
    """Whether a human confirmed this frame itself: reviewed it alone, or corrected it within its video."""
    review = decision_of(frame)
    return is_usable(review) and (frame.sample != "video" or review.edits > 0)


def apply_reviews(labels: pd.DataFrame, reviews: ReviewedFrames, video: str) -> pd.DataFrame:
    """Replace the labels of reviewed frames with the reviewers' objects.

    Args:
        labels: Rows of tables.LABELS of one video.

    Returns:
        Rows of tables.LABELS. Frames confirmed as empty and rejected frames have none.
    """
    labels_before = labels.set_index(["frame_index", "detection_id"]).to_dict("index")
    last = labels.groupby("frame_index")["detection_id"].max().to_dict()
    rows = []
    for index, frame in reviews.items():
        review = decision_of(frame)
        last_id = int(last.get(index, -1))
        for thing in targets(review) if is_usable(review) else ():
            last_id += thing.detection_id is None
            number = last_id if thing.detection_id is None else thing.detection_id
            before = labels_before.get((index, number), {})
            rows.append(
                {
                    "frame_index": index,
                    "detection_id": number,
                    "class_name": thing.class_name,
                    **dict(zip(BOX, thing.box, strict=True)),
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
    others = labels[~labels["frame_index"].isin(list(reviews))]
    if not rows:
        return others.reset_index(drop=True)
    reviewed_rows = pd.DataFrame(rows).assign(video=video)
    parts = [part for part in (others, reviewed_rows[LABELS.names]) if len(part)]
    return pd.concat(parts, ignore_index=True).sort_values(["frame_index", "detection_id"], ignore_index=True)


def truth_from_reviews(reviews: ReviewedFrames, clip: str) -> pd.DataFrame:
    """Convert reviews to ground truth: the columns of truth.read_truth, with label object or NO_OBJECT."""
    rows = []
    for index, frame in reviews.items():
        review = decision_of(frame)
        if is_usable(review):
            boxes = [(*thing.box, "object") for thing in targets(review)]
            rows += [(clip, index, *box) for box in boxes or [(float("nan"),) * 4 + (NO_OBJECT,)]]
    return pd.DataFrame(rows, columns=["clip", "frame_index", *BOX, "label"])


def complete_truth_from_reviews(reviews: ReviewedFrames, labels: pd.DataFrame, clip: str) -> pd.DataFrame:
    """Convert reviews to complete truth: the columns of truth.read_complete_truth.

    It holds where reviewers boxed every target, also those that the game never marks.

    Args:
        labels: Rows of tables.LABELS of the video; an object is marked if its centre lies in a designator.
    """
    designators = labels.dropna(subset=["designator_x1"]).groupby("frame_index")
    by_frame = {index: rows[list(_OF_LABEL[2:])].to_numpy(float) for index, rows in designators}
    rows = []
    for index, frame in reviews.items():
        review = decision_of(frame)
        if not is_usable(review):
            continue
        marks = by_frame.get(index, np.zeros((0, 4)))
        for thing in review.objects:
            centre = (np.array(thing.box[:2]) + thing.box[2:]) / 2
            is_marked = bool(((marks[:, :2] <= centre) & (centre < marks[:, 2:])).all(axis=1).any())
            rows.append((clip, index, *thing.box, thing.class_name, "yes" if is_marked else "no"))
        if not review.objects:
            rows.append((clip, index, *(float("nan"),) * 4, "none", "no"))
    return pd.DataFrame(rows, columns=["clip", "frame_index", *BOX, "label", "marked"])


def _compared(
    tracked_rows: pd.DataFrame, labels: pd.DataFrame, tolerance_px: float
) -> tuple[list[ReviewedObject], list[Change]]:
    """The reviewed objects of one frame, and their changes relative to its labels.

    Reviewers of a video see boxes only. So an object keeps its mask if its box was not moved and the cleaning
    step had accepted it.

    Args:
        tracked_rows: Columns of followed.COLUMNS.
        labels: Rows of tables.LABELS.
    """
    boxes = xyxy(tracked_rows)
    off = np.abs(boxes[:, None] - xyxy(labels)[None]).max(axis=2)
    is_near = off <= tolerance_px + _ROUNDING_PX
    pairs = linear_sum_assignment(np.where(is_near, off, 1e6))
    rows = records(labels)
    label_of = {box: rows[label] for box, label in zip(*pairs, strict=True) if is_near[box, label]}
    objects, changes = [], []
    for position, (name, box) in enumerate(zip(tracked_rows["class_name"], boxes.tolist(), strict=True)):
        if (label := label_of.get(position)) is None:
            objects.append(ReviewedObject(class_name=name, box=tuple(box)))
            changes.append(Change(kind="added", class_name=name))
            continue
        objects.append(
            ReviewedObject(
                class_name=name,
                box=tuple(label[side] for side in BOX),
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
        # A label that the cleaning step had rejected was not shown, so it was not deleted.
        if row["detection_id"] not in stay and row["verdict"] != "reject"
    ]
    return objects, changes
