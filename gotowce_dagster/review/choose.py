"""Which frames a human should see: the doubtful ones, and some drawn at random whatever the doubts.

Only the frames drawn at random tell how often labels are wrong: among the doubtful ones more are. So the draw
looks at nothing but the frame's name, their turn in the queue is random too, and their hints are hidden
(review/tasks.py). A frame once drawn stays drawn when videos are added.
"""

import hashlib

import numpy as np
import pandas as pd

from gotowce_dagster.config.params import ReviewTasksParams

_FRAME = ["video", "frame_index"]
# What a model disagrees with has the first part of the queue for itself, but for the audit sample.
_AHEAD = 0.1


def choose(
    labels: pd.DataFrame, params: ReviewTasksParams, ranking: pd.DataFrame | None = None
) -> pd.DataFrame:
    """The frames to show, by (video, frame_index).

    Args:
        labels: columns of tables.LABELS, of all videos.
        ranking: frames with a severity, 0 to 1: those above 0 come before all that are only doubtful. They
            may be frames without a label, which are never of the audit sample: it is one of labels.

    Returns:
        A row a frame: video, frame_index, sample (audit, doubtful or all) and order, 0 to 1, the least first.
    """
    frames = doubts(labels[labels["verdict"].isin(params.verdicts)], params)
    drawn = np.array([draw(params.seed, *key) for key in frames[_FRAME].itertuples(index=False)], float)
    audit = drawn < params.audit_share
    frames["sample"] = np.where(audit, "audit", params.select)
    frames["order"] = np.where(audit, drawn / (params.audit_share or 1), 1 - frames["doubt"])
    if ranking is not None:
        frames = _put_ahead(frames, ranking, params.select)
    audit = frames["sample"] == "audit"
    rank = frames["order"].where(~audit, np.inf).rank(method="first")
    shown = audit | (rank <= params.doubtful) | (params.select == "all")
    return frames.loc[shown, [*_FRAME, "sample", "order"]].reset_index(drop=True)


def doubts(labels: pd.DataFrame, params: ReviewTasksParams) -> pd.DataFrame:
    """A row a frame with labels: video, frame_index and doubt (0 to 1, in each part of its worst label)."""
    weights = params.doubt.model_dump()
    parts = pd.DataFrame(
        {
            "verdict": (labels["verdict"] != "accept").astype(float),
            "quality": 1 - labels["quality"].astype(float),
            "disagreement": [1 - _least(scores, params.disagreement) for scores in labels["scores"]],
            "temporal": [1 - _least(scores, params.temporal) for scores in labels["scores"]],
        },
        index=labels.index,
    )
    worst = parts.groupby([labels[name] for name in _FRAME]).max()
    total = sum(weights.values()) or 1.0
    doubt = sum((worst[name] * weight for name, weight in weights.items()), pd.Series(0.0, worst.index))
    return (doubt / total).rename("doubt").reset_index()


def draw(seed: int, video: str, frame_index: int) -> float:
    """A number in [0, 1) that only the name decides."""
    digest = hashlib.sha256(f"{seed}/{video}/{frame_index}".encode()).digest()
    return int.from_bytes(digest[:6], "big") / 2**48


def _put_ahead(frames: pd.DataFrame, ranking: pd.DataFrame, sample: str) -> pd.DataFrame:
    """Give the ranked frames their turn, and those that have no label a row."""
    ranked = ranking.loc[ranking["severity"] > 0, [*_FRAME, "severity"]]
    both = frames.merge(ranked, on=_FRAME, how="outer").fillna({"sample": sample, "order": 1.0})
    ahead = _AHEAD * (1 - both["severity"])
    behind = both["order"].clip(lower=_AHEAD)
    turn = ahead.where(both["severity"].notna(), behind)
    return both.assign(order=both["order"].where(both["sample"] == "audit", turn))


def _least(scores: dict[str, float], names: list[str]) -> float:
    return min((float(scores[name]) for name in names if name in scores), default=1.0)
