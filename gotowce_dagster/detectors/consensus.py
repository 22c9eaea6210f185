"""Consensus of several detectors on one frame: fused boxes with the votes of each detector.

Weighted boxes fusion: R. Solovyev, W. Wang, T. Gabruseva, "Weighted boxes fusion: Ensembling boxes from
different object detection models", Image and Vision Computing 107 (2021). In order of confidence, each box
joins the object whose fused box it overlaps most. An object's box is the mean of its votes, weighted by their
confidence. Its confidence is the mean over all detectors, with 0 for those that did not vote.

There are two differences from the paper: a detector has one vote per object, and votes for different classes
can belong to one object, which is reported as a disagreement. The published package is unmaintained and
supports neither.
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pandas as pd
import supervision as sv

from gotowce_dagster.config.params import ConsensusParams
from gotowce_dagster.core.boxes import BOX
from gotowce_dagster.core.tables import records

Row = dict[str, Any]

VOTE = ["detector", "class_name", "confidence", *BOX]
"""The fields of a vote; tables.DETECTIONS stores a list of votes with each detection."""
_ORDER = ["detector", "class_name", *BOX, "prompt"]


@dataclass(frozen=True)
class Consensus:
    """The fused boxes of one frame."""

    rows: pd.DataFrame
    """The columns of the input boxes, and ``votes``; highest confidence first."""
    short: int
    """Number of objects left out because fewer detectors than the quorum found them."""


@dataclass
class _Object:
    """Votes for one object, highest confidence first, and their weighted sums."""

    votes: list[Row] = field(default_factory=list)
    box_sum: np.ndarray = field(default_factory=lambda: np.zeros(4))
    weight: float = 0.0

    @property
    def box(self) -> np.ndarray:
        return self.box_sum / self.weight

    @property
    def voters(self) -> set[str]:
        return {vote["detector"] for vote in self.votes}

    def add(self, vote: Row, params: ConsensusParams) -> None:
        weight = _weight(vote, params)
        self.votes.append(vote)
        self.box_sum = self.box_sum + _box(vote) * weight
        self.weight += weight


def agree(found: pd.DataFrame, detectors: Sequence[str], params: ConsensusParams) -> Consensus:
    """Fuse the boxes of one frame; the result does not depend on the order of rows or detectors.

    Args:
        found: Columns x1, y1, x2, y2 (pixels), confidence, class_name, detector, prompt and visible_corners.
        detectors: All detectors that ran on the frame, with or without a detection.
    """
    objects = _objects(records(found), params)
    rows = [_fused(one, detectors, params) for one in objects if len(one.votes) >= params.quorum]
    rows.sort(key=lambda row: (-row["confidence"], *(row[side] for side in BOX), row["detector"]))
    columns = list(dict.fromkeys([*found.columns, "votes"]))
    return Consensus(pd.DataFrame(rows, columns=columns), len(objects) - len(rows))


def who_found(votes: Sequence[Row], class_name: str, everyone: Collection[str]) -> str | None:
    """Describe which detectors found an object, missed it, or gave it another class; None if all agree.

    Args:
        votes: Votes for the object, as stored in tables.DETECTIONS.
        everyone: The detectors that could have found it.
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
    parts = [f"{' and '.join(voters)} found it", *([f"{' and '.join(missed)} did not"] if missed else [])]
    return ", ".join([*parts, *otherwise])


def _objects(found: Sequence[Row], params: ConsensusParams) -> list[_Object]:
    """Group boxes, highest confidence first, as votes for objects."""
    objects: list[_Object] = []
    for vote in sorted(found, key=lambda row: (-row["confidence"], *(row[name] for name in _ORDER))):
        joined = None
        if free := [one for one in objects if vote["detector"] not in one.voters]:
            iou = sv.box_iou_batch(_box(vote)[None], np.stack([one.box for one in free]))[0]
            if iou.max() >= params.iou:
                joined = free[int(iou.argmax())]
        if joined is None:
            joined = _Object()
            objects.append(joined)
        joined.add(vote, params)
    return objects


def _box(row: Row) -> np.ndarray:
    return np.array([row[side] for side in BOX], float)


def _weight(vote: Row, params: ConsensusParams) -> float:
    """Weight of a vote: its confidence times its detector's weight; always above zero."""
    return max(vote["confidence"], 1e-6) * params.weights.get(vote["detector"], 1.0)


def _fused(one: _Object, detectors: Sequence[str], params: ConsensusParams) -> Row:
    """The object as a row; its class is the one with the largest total weight."""
    support: dict[str, float] = {}
    for vote in one.votes:
        support[vote["class_name"]] = support.get(vote["class_name"], 0.0) + _weight(vote, params)
    class_name = max(sorted(support), key=lambda name: support[name])
    everyone = sum(params.weights.get(name, 1.0) for name in sorted(one.voters.union(detectors)))
    corners = [vote["visible_corners"] for vote in one.votes if pd.notna(vote["visible_corners"])]
    return {
        **dict(zip(BOX, one.box.tolist(), strict=True)),
        "confidence": min(1.0, support[class_name] / everyone),
        "class_name": class_name,
        "detector": "+".join(sorted(one.voters)),
        "prompt": next(vote["prompt"] for vote in one.votes if vote["class_name"] == class_name),
        "visible_corners": corners[0] if corners else None,
        "votes": [
            {name: vote[name] for name in VOTE}
            for vote in sorted(one.votes, key=lambda vote: vote["detector"])
        ],
    }
