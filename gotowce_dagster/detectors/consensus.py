"""What several detectors found in one frame, made one: boxes, votes, and who found what.

Weighted boxes fusion: R. Solovyev, W. Wang, T. Gabruseva, "Weighted boxes fusion: Ensembling boxes from
different object detection models", Image and Vision Computing 107 (2021). Boxes join the object whose fused
box they overlap most, surest first; an object's box is the mean of its votes, weighted by their confidence;
its confidence is the mean over all detectors, those that did not vote counting as 0. Other than there,
a detector has one vote an object, and votes for different classes can be votes for one object: that is a
disagreement to be told, not two objects. The published package is not kept up, and knows neither.
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pandas as pd
import supervision as sv

from gotowce_dagster.config.params import ConsensusParams

Row = dict[str, Any]

BOX = ["x1", "y1", "x2", "y2"]
VOTE = ["detector", "class_name", "confidence", *BOX]
"""The fields of a vote; tables.DETECTIONS keeps a list of them with each detection."""
_ORDER = ["detector", "class_name", *BOX, "prompt"]


@dataclass(frozen=True)
class Consensus:
    """What the detectors made of one frame."""

    rows: pd.DataFrame
    """Columns of the boxes given, and ``votes``, surest first."""
    short: int
    """Objects that fewer detectors found than the quorum, and that are left out."""


@dataclass
class _Object:
    """Votes for one object, surest first, and their sums."""

    votes: list[Row] = field(default_factory=list)
    box_sum: np.ndarray = field(default_factory=lambda: np.zeros(4))
    weight: float = 0.0

    @property
    def box(self) -> np.ndarray:
        return self.box_sum / self.weight

    @property
    def voters(self) -> set[str]:
        return {vote["detector"] for vote in self.votes}

    def add(self, vote: Row, told: ConsensusParams) -> None:
        weight = _weight(vote, told)
        self.votes.append(vote)
        self.box_sum = self.box_sum + _box(vote) * weight
        self.weight += weight


def agree(found: pd.DataFrame, detectors: Sequence[str], told: ConsensusParams) -> Consensus:
    """Make one set of boxes of one frame's; the order of rows and of detectors changes nothing.

    Args:
        found: x1, y1, x2, y2 (pixels), confidence, class_name, detector, prompt and visible_corners.
        detectors: all that looked at the frame, whether they found something or not.
    """
    objects = _objects(found.to_dict("records"), told)
    rows = [_fused(one, detectors, told) for one in objects if len(one.votes) >= told.quorum]
    rows.sort(key=lambda row: (-row["confidence"], *(row[side] for side in BOX), row["detector"]))
    columns = list(dict.fromkeys([*found.columns, "votes"]))
    return Consensus(pd.DataFrame(rows, columns=columns), len(objects) - len(rows))


def who_found(votes: Sequence[Row], class_name: str, everyone: Collection[str]) -> str | None:
    """In words, who found an object, who did not, and who calls it otherwise; None: all found the same.

    Args:
        votes: of the object, as tables.DETECTIONS keeps them.
        everyone: the detectors that could have found it.
    """
    voters = sorted(vote["detector"] for vote in votes)
    missed = sorted(set(everyone) - set(voters))
    otherwise = [
        f"{vote['detector']} calls it {vote['class_name']}"
        for vote in sorted(votes, key=lambda vote: vote["detector"])
        if vote["class_name"] != class_name
    ]
    if not missed and not otherwise:
        return None
    told = [f"{' and '.join(voters)} found it", *([f"{' and '.join(missed)} did not"] if missed else [])]
    return ", ".join([*told, *otherwise])


def _objects(found: Sequence[Row], told: ConsensusParams) -> list[_Object]:
    """Rows, surest first, put together as votes for objects."""
    objects: list[_Object] = []
    for vote in sorted(found, key=lambda row: (-row["confidence"], *(row[name] for name in _ORDER))):
        joined = None
        if free := [one for one in objects if vote["detector"] not in one.voters]:
            iou = sv.box_iou_batch(_box(vote)[None], np.stack([one.box for one in free]))[0]
            if iou.max() >= told.iou:
                joined = free[int(iou.argmax())]
        if joined is None:
            joined = _Object()
            objects.append(joined)
        joined.add(vote, told)
    return objects


def _box(row: Row) -> np.ndarray:
    return np.array([row[side] for side in BOX], float)


def _weight(vote: Row, told: ConsensusParams) -> float:
    """What a vote counts: its confidence times its detector's weight; never nothing at all."""
    return max(vote["confidence"], 1e-6) * told.weights.get(vote["detector"], 1.0)


def _fused(one: _Object, detectors: Sequence[str], told: ConsensusParams) -> Row:
    """One row of the object: its class is the one with most weight behind it."""
    behind: dict[str, float] = {}
    for vote in one.votes:
        behind[vote["class_name"]] = behind.get(vote["class_name"], 0.0) + _weight(vote, told)
    class_name = max(sorted(behind), key=lambda name: behind[name])
    everyone = sum(told.weights.get(name, 1.0) for name in sorted(one.voters.union(detectors)))
    corners = [vote["visible_corners"] for vote in one.votes if pd.notna(vote["visible_corners"])]
    return {
        **dict(zip(BOX, one.box.tolist(), strict=True)),
        "confidence": min(1.0, behind[class_name] / everyone),
        "class_name": class_name,
        "detector": "+".join(sorted(one.voters)),
        "prompt": next(vote["prompt"] for vote in one.votes if vote["class_name"] == class_name),
        "visible_corners": corners[0] if corners else None,
        "votes": [
            {name: vote[name] for name in VOTE}
            for vote in sorted(one.votes, key=lambda vote: vote["detector"])
        ],
    }
