"""Selection of frames for review: the most doubtful ones, and a random audit sample.

Only the audit sample gives an unbiased error rate, because doubtful frames are wrong more often. The draw
therefore depends on the frame's name alone, its order in the queue is random too, and its hints are hidden
(review/tasks.py). A frame in the sample stays in it when videos are added.
"""

import hashlib

import numpy as np
import pandas as pd

from gotowce_dagster.config.params import ReviewTasksParams

_FRAME = ["video", "frame_index"]
# Frames that were asked for, by a model's disagreement or its proposals, fill the first part of the queue,
# shared with the audit sample only. The others follow, the most doubtful first.
_AHEAD = 0.1


def choose(
    labels: pd.DataFrame, params: ReviewTasksParams, ranking: pd.DataFrame | None = None
) -> pd.DataFrame:
    """Choose the frames to show to reviewers, sorted by (video, frame_index).

    Args:
        labels: Columns of tables.LABELS, of all videos.
        ranking: Frames with a severity, 0 to 1: those above 0 come before all others, which stay in the order
            of their doubt. They may have no label; such frames are never in the audit sample, which is a
            sample of labels.

    Returns:
        One row per frame: video, frame_index, sample (audit, doubtful or all) and order, 0 to 1, lowest
        first.
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
    """Doubt of each frame with labels, one row per frame: video, frame_index and doubt.

    Doubt is 0 to 1, the weighted mean of its components. Each component is that of the frame's worst label.
    """
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
    """A pseudo-random number in [0, 1), determined by the seed and the frame's name."""
    digest = hashlib.sha256(f"{seed}/{video}/{frame_index}".encode()).digest()
    return int.from_bytes(digest[:6], "big") / 2**48


def _put_ahead(frames: pd.DataFrame, ranking: pd.DataFrame, sample: str) -> pd.DataFrame:
    """Move ranked frames to the front of the queue, and add a row for those without a label."""
    ranked = ranking.loc[ranking["severity"] > 0, [*_FRAME, "severity"]]
    both = frames.merge(ranked, on=_FRAME, how="outer").fillna({"sample": sample, "order": 1.0})
    ahead = _AHEAD * (1 - both["severity"])
    behind = _AHEAD + (1 - _AHEAD) * both["order"]
    turn = ahead.where(both["severity"].notna(), behind)
    return both.assign(order=both["order"].where(both["sample"] == "audit", turn))


def _least(scores: dict[str, float], names: list[str]) -> float:
    return min((float(scores[name]) for name in names if name in scores), default=1.0)
