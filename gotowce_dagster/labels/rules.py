"""The rules that judge a candidate label: one function a rule, and the table that names them.

Each takes the candidates of one video (a row each: the columns of tables.MASKS, of its designator and of
its frame) and gives every one a score, 0 bad to 1 good, dimensionless so that thresholds read alike. Rules
that compare a candidate with others of its object say 1 where there are none to compare with.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
import supervision as sv

from gotowce_dagster.core import rle
from gotowce_dagster.core.crops import Crop

_SIDES = ["x1", "y1", "x2", "y2"]
_DESIGNATOR = [f"designator_{side}" for side in _SIDES]

# Frames of one object in time, itself among them, that tell what is usual; fewer tell nothing.
_NEARBY, _FEWEST = 5, 3
# On a side of fewer pixels every outline is straight.
_MIN_STRAIGHT_PX = 24
_FULL_SIZE_PX = 10


def confidence(c: pd.DataFrame) -> pd.Series:
    """How sure the detector was of the designator."""
    return c["confidence"]


def agreement(c: pd.DataFrame) -> pd.Series:
    """How far the other prompts gave the same mask."""
    return c["agreement"].fillna(1)


def stability(c: pd.DataFrame) -> pd.Series:
    """How little the mask changes with its threshold."""
    return c["stability"].fillna(1)


def inside(c: pd.DataFrame) -> pd.Series:
    """Share of the mask inside the designator."""
    return c["inside"]


def off_mark(c: pd.DataFrame) -> pd.Series:
    """Share of the mask that is not where the designator's own corners are drawn."""
    return 1 - c["mark_overlap"]


def own_colour(c: pd.DataFrame) -> pd.Series:
    """Share of the mask that is not painted in the designator's own colour, as a dot of the HUD would be."""
    return 1 - c["own_colour"].fillna(0)


def room(c: pd.DataFrame) -> pd.Series:
    """Share of the designator that the mask leaves empty: none when the mask is the bracket's own square."""
    return 1 - c["fill"]


def centred(c: pd.DataFrame) -> np.ndarray:
    """How near the middles of target and designator are: 0 when half a side apart."""
    target, designator = c[_SIDES].to_numpy(float), c[_DESIGNATOR].to_numpy(float)
    away = np.abs(_centre(target) - _centre(designator)) / _size(designator)
    return 1 - 2 * away.max(axis=1, initial=0)


def size(c: pd.DataFrame) -> np.ndarray:
    """Shorter side of the target's box over 10 pixels: specks are no targets."""
    return _size(c[_SIDES].to_numpy(float)).min(axis=1, initial=np.inf) / _FULL_SIZE_PX


def whole(c: pd.DataFrame) -> np.ndarray:
    """Whether the frame's edge leaves the target whole: 0 where its box touches the edge."""
    beyond = np.stack([c["x1"], c["y1"], c["width"] - c["x2"], c["height"] - c["y2"]])
    return (beyond.min(axis=0) >= 1).astype(float)


def corners(c: pd.DataFrame) -> pd.Series:
    """Share of the designator's corners in sight: a panel that hides one may hide part of the target."""
    return c["visible_corners"].fillna(4) / 4


def unclipped(c: pd.DataFrame) -> np.ndarray:
    """How little of the mask ends on one straight upright or level line, as at the edge of a panel."""
    return 1 - np.array([_straight_share(*row) for row in c[["rle", "height", "width"]].to_numpy()])


def followed(c: pd.DataFrame) -> pd.Series:
    """How sure it was where the object was followed through the video: sure 1, doubtful 0.5."""
    return c["state"].map({"doubtful": 0.5}).fillna(1.0)


def votes(c: pd.DataFrame) -> np.ndarray:
    """Share of the detectors that found the designator, of all that answered and found any in the video."""
    everyone = {vote["detector"] for votes in c["votes"].dropna() for vote in votes}

    def share(votes: Sequence[Mapping[str, Any]], row: Mapping[str, Any]) -> float:
        # One that could answer in part only may have found it all the same.
        answered = (everyone - row["silent"]).union(vote["detector"] for vote in votes)
        return len(votes) / len(answered)

    return _of_votes(c, share)


def same_class(c: pd.DataFrame) -> np.ndarray:
    """Share of the detectors that found the designator and call its target what the label does."""
    return _of_votes(
        c, lambda votes, row: np.mean([vote["class_name"] == row["class_name"] for vote in votes])
    )


def same_box(c: pd.DataFrame) -> np.ndarray:
    """The least IoU of a detector's box with the one that all agreed on."""

    def least(votes: Sequence[Mapping[str, Any]], row: Mapping[str, Any]) -> float:
        boxes = np.array([[vote[side] for side in _SIDES] for vote in votes], float)
        agreed = np.array([[row[side] for side in _DESIGNATOR]], float)
        return float(sv.box_iou_batch(boxes, agreed).min())

    return _of_votes(c, least)


def sharp(c: pd.DataFrame) -> pd.Series:
    """Sharpness of the frame over the median of its video."""
    return c["relative_sharpness"].fillna(1)


def usual_size(c: pd.DataFrame) -> pd.Series:
    """Area, seen against the designator, over its object's median close in time, or the other way round."""
    fill = c.sort_values("time_s").groupby("object_id")["fill"]
    usual = fill.rolling(_NEARBY, center=True, min_periods=_FEWEST).median().droplevel(0)
    ratio = c["fill"] / usual.reindex(c.index)
    return np.minimum(ratio, 1 / ratio).fillna(1.0)


def steady(c: pd.DataFrame) -> pd.Series:
    """IoU with its object in the neighbouring frame that fits better, both seen from their designators."""
    designator = c[_DESIGNATOR].to_numpy(float)
    origin, scale = np.tile(designator[:, :2], 2), np.tile(_size(designator), 2)
    seen = pd.DataFrame((c[_SIDES].to_numpy(float) - origin) / scale, c.index, _SIDES)
    ordered = seen.assign(object_id=c["object_id"], time_s=c["time_s"]).sort_values("time_s")
    by_object = ordered.groupby("object_id")[_SIDES]
    before, after = (
        _iou(ordered[_SIDES].to_numpy(), by_object.shift(step)[_SIDES].to_numpy()) for step in (1, -1)
    )
    best = pd.Series(np.fmax(before, after), ordered.index)
    return best.fillna(1.0).reindex(c.index)


def single(c: pd.DataFrame) -> pd.Series:
    """1 minus the IoU with a target of the same frame that was detected with more confidence."""
    scores = pd.Series(1.0, c.index)
    for _, rows in c.groupby("frame_index"):
        ranked = rows.sort_values("confidence", ascending=False, kind="stable")
        boxes = ranked[_SIDES].to_numpy(float)
        scores[ranked.index] = 1 - np.tril(sv.box_iou_batch(boxes, boxes), -1).max(axis=1)
    return scores


RULES: dict[str, Callable[[pd.DataFrame], np.ndarray | pd.Series]] = {
    rule.__name__: rule
    for rule in (
        confidence,
        agreement,
        stability,
        inside,
        off_mark,
        own_colour,
        room,
        centred,
        size,
        whole,
        corners,
        unclipped,
        followed,
        votes,
        same_class,
        same_box,
        sharp,
        usual_size,
        steady,
        single,
    )
}


def _of_votes(c: pd.DataFrame, score: Callable[..., float]) -> np.ndarray:
    """A score of the votes that labels/consensus.py kept with each row; 1 where one detector was asked."""
    scores = np.ones(len(c))
    asked = c["votes"].notna().to_numpy()
    scores[asked] = [score(row["votes"], row) for row in c[asked].to_dict("records")]
    return scores


def _straight_share(counts: str, height: int, width: int) -> float:
    """The longest part of a side of the mask's box that the mask covers, over that side's length."""
    mask = rle.decode(counts, int(height), int(width))
    window = Crop.of_mask(mask)
    part = window.cut(mask) if window else mask
    shares = [
        float(edge.mean())
        for edge in (part[0], part[-1], part[:, 0], part[:, -1])
        if edge.size >= _MIN_STRAIGHT_PX
    ]
    return max(shares, default=0.0)


def _centre(boxes: np.ndarray) -> np.ndarray:
    return (boxes[:, :2] + boxes[:, 2:]) / 2


def _size(boxes: np.ndarray) -> np.ndarray:
    return boxes[:, 2:] - boxes[:, :2]


def _iou(boxes: np.ndarray, others: np.ndarray) -> np.ndarray:
    """IoU of each box with the one in the same row; NaN where that is missing."""
    shared = np.minimum(boxes[:, 2:], others[:, 2:]) - np.maximum(boxes[:, :2], others[:, :2])
    shared = shared.clip(min=0).prod(axis=1)
    return shared / (_size(boxes).prod(axis=1) + _size(others).prod(axis=1) - shared)
