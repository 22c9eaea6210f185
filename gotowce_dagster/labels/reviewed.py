"""What humans said takes precedence: in frames they judged, their objects stand for the pipeline's."""

from collections.abc import Mapping
from pathlib import Path

import pandas as pd

from gotowce_dagster.labels.reviews import Review, ReviewedFrame, ReviewedVideo, frame_hash
from gotowce_dagster.tables import LABELS

NO_OBJECT = "no object"
"""The label of a truth row that has no box and says that the frame shows no target."""

Said = Mapping[int, ReviewedFrame]
"""Frames that a human judged, by frame_index; each has a decision."""

_SIDES = ("x1", "y1", "x2", "y2")
_OF_LABEL = ("object_id", "confidence", *(f"designator_{side}" for side in _SIDES))


def said_of(reviewed: ReviewedVideo, frames: pd.DataFrame, folder: Path) -> Said:
    """The frames whose picture, as it is now, a human has judged.

    A review of another picture is passed over: its boxes may lie elsewhere on this one.

    Args:
        frames: rows of tables.FRAMES.
        folder: where their pictures lie.
    """
    files = frames[frames["kept"]].set_index("frame_index")["file"].to_dict()

    def is_of_now(frame: ReviewedFrame) -> bool:
        file = folder / files.get(frame.frame_index, "")
        return file.is_file() and frame_hash(file) == frame.frame_hash

    judged = (frame for frame in reviewed.frames if frame.decision)
    return {frame.frame_index: frame for frame in judged if is_of_now(frame)}


def decision_of(frame: ReviewedFrame) -> Review:
    """The judgement of a frame that has one."""
    assert frame.decision is not None
    return frame.decision


def is_usable(review: Review) -> bool:
    """Whether its objects are all that the frame shows: accepted, or mended.

    One that was sent back as `fix` without a change says that something is wrong, and not what is right.
    """
    return review.verdict == "accept" or (review.verdict == "fix" and review.edits > 0)


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
