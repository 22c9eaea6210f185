"""The quality gates of candidate labels: one function per rule, and RULES, which maps names to them.

A rule takes the candidates of one video, one row each, with the columns of tables.MASKS, of the designator
and of the frame. It returns a score for each, from 0 (bad) to 1 (good), dimensionless so that thresholds are
comparable. Rules that compare a candidate with others of its object return 1 if there are no others.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
import supervision as sv

from gotowce_dagster.core import rle
from gotowce_dagster.core.boxes import BOX, DESIGNATOR, centres, row_iou, sizes, xyxy
from gotowce_dagster.core.crops import Crop

# Frames of an object, including the current one, for a rolling median; and the minimum for a valid median.
_NEARBY, _FEWEST = 5, 3
# Outlines shorter than this are always straight.
_MIN_STRAIGHT_PX = 24
_FULL_SIZE_PX = 10


def confidence(c: pd.DataFrame) -> pd.Series:
    """Confidence of the designator's detection."""
    return c["confidence"]


def agreement(c: pd.DataFrame) -> pd.Series:
    """Agreement of the masks from the other prompts."""
    return c["agreement"].fillna(1)


def stability(c: pd.DataFrame) -> pd.Series:
    """Stability of the mask when its threshold changes."""
    return c["stability"].fillna(1)


def inside(c: pd.DataFrame) -> pd.Series:
    """Share of the mask inside the designator."""
    return c["inside"]


def off_mark(c: pd.DataFrame) -> pd.Series:
    """Share of the mask outside the designator's own drawn corners."""
    return 1 - c["mark_overlap"]


def own_colour(c: pd.DataFrame) -> pd.Series:
    """Share of the mask not in the designator's own colour, which a dot of the HUD would have."""
    return 1 - c["own_colour"].fillna(0)


def room(c: pd.DataFrame) -> pd.Series:
    """Share of the designator not covered by the mask: 0 if the mask is the bracket's own square."""
    return 1 - c["fill"]


def centred(c: pd.DataFrame) -> np.ndarray:
    """Closeness of the centres of target and designator: 0 if half a side apart."""
    target, designator = xyxy(c), c[DESIGNATOR].to_numpy(float)
    offset = np.abs(centres(target) - centres(designator)) / sizes(designator)
    return 1 - 2 * offset.max(axis=1, initial=0)


def size(c: pd.DataFrame) -> np.ndarray:
    """Shorter side of the target's box divided by 10 pixels: specks are not targets."""
    return sizes(xyxy(c)).min(axis=1, initial=np.inf) / _FULL_SIZE_PX


def whole(c: pd.DataFrame) -> np.ndarray:
    """Whether the target is complete: 0 if its box touches the frame's edge."""
    beyond = np.stack([c["x1"], c["y1"], c["width"] - c["x2"], c["height"] - c["y2"]])
    return (beyond.min(axis=0) >= 1).astype(float)


def corners(c: pd.DataFrame) -> pd.Series:
    """Share of the designator's corners that are visible: a panel over a corner may cover the target too."""
    return c["visible_corners"].fillna(4) / 4


def unclipped(c: pd.DataFrame) -> np.ndarray:
    """1 minus the share of the mask's box side on a straight horizontal or vertical edge, as of a panel."""
    return 1 - np.array([_straight_share(row) for row in c[["rle", "height", "width"]].to_dict("records")])


def followed(c: pd.DataFrame) -> pd.Series:
    """State of the track where the object was propagated through the video: sure 1, doubtful 0.5."""
    return c["state"].map({"doubtful": 0.5}).fillna(1.0)


def votes(c: pd.DataFrame) -> np.ndarray:
    """Share of detectors that found the designator, of those that responded and found any in the video."""
    everyone = {vote["detector"] for votes in c["votes"].dropna() for vote in votes}

    def share(votes: Sequence[Mapping[str, Any]], row: Mapping[str, Any]) -> float:
        # A detector with a partly unusable response may still have found it.
        answered = (everyone - row["silent"]).union(vote["detector"] for vote in votes)
        return len(votes) / len(answered)

    return _of_votes(c, share)


def same_class(c: pd.DataFrame) -> np.ndarray:
    """Share of the detectors that found the designator whose class equals the label's class."""
    return _of_votes(
        c, lambda votes, row: np.mean([vote["class_name"] == row["class_name"] for vote in votes])
    )


def same_box(c: pd.DataFrame) -> np.ndarray:
    """Lowest IoU of a detector's box with the fused box."""

    def least(votes: Sequence[Mapping[str, Any]], row: Mapping[str, Any]) -> float:
        boxes = np.array([[vote[side] for side in BOX] for vote in votes], float)
        agreed = np.array([[row[side] for side in DESIGNATOR]], float)
        return float(sv.box_iou_batch(boxes, agreed).min())

    return _of_votes(c, least)


def sharp(c: pd.DataFrame) -> pd.Series:
    """Sharpness of the frame divided by the median of its video."""
    return c["relative_sharpness"].fillna(1)


def usual_size(c: pd.DataFrame) -> pd.Series:
    """Ratio of the mask's share of its designator to the object's rolling median, inverted if above 1."""
    fill = c.sort_values("time_s").groupby("object_id")["fill"]
    median_fill = fill.rolling(_NEARBY, center=True, min_periods=_FEWEST).median().droplevel(0)
    ratio = c["fill"] / median_fill.reindex(c.index)
    return np.minimum(ratio, 1 / ratio).fillna(1.0)


def steady(c: pd.DataFrame) -> pd.Series:
    """IoU with its object in the better-fitting neighbouring frame, relative to their designators."""
    designator = c[DESIGNATOR].to_numpy(float)
    origin, scale = np.tile(designator[:, :2], 2), np.tile(sizes(designator), 2)
    relative = pd.DataFrame((xyxy(c) - origin) / scale, c.index, BOX)
    ordered = relative.assign(object_id=c["object_id"], time_s=c["time_s"]).sort_values("time_s")
    by_object = ordered.groupby("object_id")[BOX]
    before, after = (
        row_iou(ordered[BOX].to_numpy(), by_object.shift(step)[BOX].to_numpy()) for step in (1, -1)
    )
    best = pd.Series(np.fmax(before, after), ordered.index)
    return best.fillna(1.0).reindex(c.index)


def single(c: pd.DataFrame) -> pd.Series:
    """1 minus the highest IoU with a target of the same frame with a higher confidence."""
    scores = pd.Series(1.0, c.index)
    for _, rows in c.groupby("frame_index"):
        ranked = rows.sort_values("confidence", ascending=False, kind="stable")
        boxes = xyxy(ranked)
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
    """Score the votes stored by detectors/consensus.py with each row; 1 if only one detector ran."""
    scores = np.ones(len(c))
    asked = c["votes"].notna().to_numpy()
    scores[asked] = [score(row["votes"], row) for row in c[asked].to_dict("records")]
    return scores


def _straight_share(row: Mapping[Any, Any]) -> float:
    """The largest share of a side of the mask's box that the mask covers."""
    mask = rle.mask_of(row)
    window = Crop.of_mask(mask)
    part = window.cut(mask) if window else mask
    shares = [
        float(edge.mean())
        for edge in (part[0], part[-1], part[:, 0], part[:, -1])
        if edge.size >= _MIN_STRAIGHT_PX
    ]
    return max(shares, default=0.0)
