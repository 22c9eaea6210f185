"""Confidence intervals of a detector's scores by bootstrap over frames, and paired differences.

Percentile bootstrap (Efron and Tibshirani, An Introduction to the Bootstrap, 1993, chapter 13): frames are
resampled with replacement, and every score is computed for each resample, vectorised over all of them. Two
detectors are compared on the same resamples of their shared frames. Frames of one recording are similar, so
the intervals hold for these recordings, not for other games.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations

import numpy as np
import pandas as pd

from gotowce_dagster.core.detections import from_boxes
from gotowce_dagster.evaluation.scoring import IGNORED, Case, matches, paired_iou

MEASURES = (
    "precision_50",
    "recall_50",
    "f1_50",
    "precision_75",
    "recall_75",
    "f1_75",
    "mean_iou",
    "ap_50",
    "ap_75",
)
"""Metrics at IoU 0.5 and 0.75. ``mean_iou`` is the mean over pairs that overlap at all; ``ap`` is the area
under the interpolated precision-recall curve (Everingham et al., PASCAL VOC, 2010)."""

_COUNTS = ("truths", "found_50", "hits_50", "found_75", "hits_75", "pairs", "iou")
_CELLS = 4_000_000
"""Maximum number of draws times boxes in memory at once."""


@dataclass(frozen=True, eq=False)
class Ranking:
    """All boxes of a detector at one IoU threshold, by decreasing confidence, without ignored ones."""

    frame: np.ndarray
    """int (n,): the position of each box's frame in the tally."""
    right: np.ndarray
    """bool (n,): whether each box is a true positive."""
    confidence: np.ndarray

    @classmethod
    def of(cls, cases: Sequence[Case], iou: float) -> "Ranking":
        match = np.concatenate([np.zeros(0, int), *(matches(case, iou) for case in cases)])
        confidence = np.concatenate([np.zeros(0), *(case.confidence for case in cases)])
        frame = np.repeat(np.arange(len(cases)), [len(case.found) for case in cases])
        order = np.argsort(-confidence, kind="stable")
        order = order[match[order] != IGNORED]
        return cls(frame[order], match[order] >= 0, confidence[order])

    def only(self, positions: np.ndarray) -> "Ranking":
        """Select frames: ``positions`` gives each frame's new position, -1 if left out."""
        stays = positions[self.frame] >= 0
        return Ranking(positions[self.frame][stays], self.right[stays], self.confidence[stays])


@dataclass(frozen=True, eq=False)
class Tally:
    """Counts of one detector by frame, the input of the bootstrap."""

    frames: list[tuple[str, int]]
    """(video, frame_index) of each frame."""
    counts: np.ndarray
    """float (frames, 7), in the order of _COUNTS."""
    rankings: dict[int, Ranking]
    """Rankings by IoU threshold in percent."""

    @classmethod
    def of(cls, cases: Sequence[Case]) -> "Tally":
        """Count every case once. All boxes count: a detector applies its own confidence threshold."""
        counts = [_count(case) for case in cases]
        return cls(
            [(case.video, case.frame_index) for case in cases],
            np.array(counts, float).reshape(-1, len(_COUNTS)),
            {percent: Ranking.of(cases, percent / 100) for percent in (50, 75)},
        )

    def scores(self, weights: np.ndarray | None = None) -> dict[str, np.ndarray]:
        """Compute every metric for every draw; NaN for 0/0.

        Args:
            weights: (draws, frames), how often each frame was drawn; default: each once.

        Returns:
            An array (draws,) for each of MEASURES.
        """
        weights = np.ones((1, len(self.frames))) if weights is None else weights.astype(float)
        sums = dict(zip(_COUNTS, (weights @ self.counts).T, strict=True))
        result = {}
        for at in (50, 75):
            found, hits = sums[f"found_{at}"], sums[f"hits_{at}"]
            result[f"precision_{at}"] = _ratio(hits, found)
            result[f"recall_{at}"] = _ratio(hits, sums["truths"])
            result[f"f1_{at}"] = _ratio(2 * hits, found + sums["truths"])
            result[f"ap_{at}"] = _average_precision(self.rankings[at], weights, sums["truths"])
        result["mean_iou"] = _ratio(sums["iou"], sums["pairs"])
        return {name: result[name] for name in MEASURES}


@dataclass(frozen=True)
class Bootstrap:
    """Settings of the bootstrap."""

    draws: int
    interval: float
    """Confidence level: share of the draws between both ends of an interval."""
    seed: int

    def weights(self, frames: int) -> np.ndarray:
        """Number of times each frame is drawn: int (draws, frames)."""
        rng = np.random.default_rng(self.seed)
        return rng.multinomial(frames, np.full(frames, 1 / max(frames, 1)), self.draws)

    def ends(self, values: np.ndarray) -> tuple[float, float]:
        """Both ends of the interval of drawn values (draws,); NaN if no draw has a value."""
        valid = values[~np.isnan(values)]
        if not len(valid):
            return np.nan, np.nan
        low, high = np.quantile(valid, [(1 - self.interval) / 2, (1 + self.interval) / 2])
        return float(low), float(high)


def with_intervals(tally: Tally, bootstrap: Bootstrap) -> dict[str, float]:
    """Compute every metric, with its interval as ``NAME_low`` and ``NAME_high``; NaN if undefined.

    A single frame has no interval.
    """
    result: dict[str, float] = {}
    drawn = tally.scores(bootstrap.weights(len(tally.frames))) if len(tally.frames) > 1 else {}
    for name, (value,) in tally.scores().items():
        low, high = bootstrap.ends(drawn.get(name, np.array([])))
        result |= {name: float(value), f"{name}_low": low, f"{name}_high": high}
    return result


def best_threshold(cases: Sequence[Case]) -> tuple[float, float]:
    """Find the confidence threshold with the highest F1 at IoU 0.5, and that F1; NaN without truth or boxes.

    The threshold is chosen on the frames it is measured on, so the F1 is an optimistic bound.
    """
    truths = sum(len(case.truth) for case in cases)
    ranking = Ranking.of(cases, 0.5)
    if not truths or not len(ranking.right):
        return np.nan, np.nan
    f1 = 2 * np.cumsum(ranking.right) / (np.arange(1, len(ranking.right) + 1) + truths)
    # A threshold keeps or drops all boxes of equal confidence together.
    confidence = ranking.confidence
    last = np.append(confidence[1:] != confidence[:-1], True)
    best = np.flatnonzero(last)[f1[last].argmax()]
    return float(confidence[best]), float(f1[best])


def differences(tallies: Mapping[str, Tally], bootstrap: Bootstrap, measure: str = "f1_50") -> pd.DataFrame:
    """Compare each pair of detectors by paired bootstrap on their shared frames.

    Returns:
        One row per pair: ``first``, ``second``, ``frames``; ``difference`` of the metric, first minus second,
        with ``low`` and ``high``; ``first_better``, the share of draws in which the first is better, with
        ties counted as half.
    """
    rows = []
    for (first, a), (second, b) in combinations(tallies.items(), 2):
        shared = [frame for frame in a.frames if frame in set(b.frames)]
        if not shared:
            continue
        first_tally, second_tally = _only(a, shared), _only(b, shared)
        weights = bootstrap.weights(len(shared))
        drawn = first_tally.scores(weights)[measure] - second_tally.scores(weights)[measure]
        drawn = drawn[~np.isnan(drawn)]
        low, high = bootstrap.ends(drawn if len(shared) > 1 else drawn[:0])
        rows.append(
            {
                "first": first,
                "second": second,
                "frames": len(shared),
                "difference": float((first_tally.scores()[measure] - second_tally.scores()[measure])[0]),
                "low": low,
                "high": high,
                "first_better": float(np.mean((np.sign(drawn) + 1) / 2)) if len(drawn) else np.nan,
            }
        )
    columns = ["first", "second", "frames", "difference", "low", "high", "first_better"]
    return pd.DataFrame(rows, columns=columns)


def agreement(found: Mapping[str, Mapping[tuple[str, int], np.ndarray]]) -> pd.DataFrame:
    """Agreement between detectors: F1 at IoU 0.5 of each pair on their shared frames.

    Args:
        found: Boxes xyxy (n, 4) by frame, by detector.

    Returns:
        A symmetric matrix; NaN if neither of two detectors found anything.
    """
    matrix = pd.DataFrame(np.nan, index=list(found), columns=list(found))
    for first, second in ((a, b) for a in found for b in found):
        shared = found[first].keys() & found[second].keys()
        pairs = [(found[first][frame], found[second][frame]) for frame in shared]
        boxes = sum(len(a) + len(b) for a, b in pairs)
        if boxes:
            hits = sum(_common(a, b) for a, b in pairs)
            matrix.loc[first, second] = 2 * hits / boxes
    return matrix


def _common(a: np.ndarray, b: np.ndarray) -> int:
    return int((matches(Case("", 0, from_boxes(a), from_boxes(b)), 0.5) >= 0).sum())


def _count(case: Case) -> list[float]:
    at50, at75 = (matches(case, iou) for iou in (0.5, 0.75))
    overlaps = paired_iou(case)
    return [
        len(case.truth),
        *(int(x) for at in (at50, at75) for x in ((at != IGNORED).sum(), (at >= 0).sum())),
        len(overlaps),
        sum(overlaps),
    ]


def _average_precision(ranking: Ranking, weights: np.ndarray, truths: np.ndarray) -> np.ndarray:
    step = max(1, _CELLS // max(len(ranking.frame), 1))
    parts = [
        _areas(ranking, weights[start : start + step], truths[start : start + step])
        for start in range(0, len(weights), step)
    ]
    return np.concatenate(parts)


def _areas(ranking: Ranking, weights: np.ndarray, truths: np.ndarray) -> np.ndarray:
    """Area under the precision-recall curve, with precision interpolated to its maximum at higher recall."""
    drawn = weights[:, ranking.frame]
    hits = np.cumsum(drawn * ranking.right, axis=1)
    precision = np.nan_to_num(_ratio(hits, np.cumsum(drawn, axis=1)))
    best = np.maximum.accumulate(precision[:, ::-1], axis=1)[:, ::-1]
    gained = np.diff(hits, axis=1, prepend=0)
    return _ratio((gained * best).sum(axis=1), truths)


def _only(tally: Tally, frames: Sequence[tuple[str, int]]) -> Tally:
    """The tally of the given frames, in their order."""
    positions = {frame: position for position, frame in enumerate(tally.frames)}
    rows = np.array([positions[frame] for frame in frames], int)
    new = np.full(len(tally.frames), -1)
    new[rows] = np.arange(len(rows))
    return Tally(list(frames), tally.counts[rows], {at: r.only(new) for at, r in tally.rankings.items()})


def _ratio(part: np.ndarray, whole: np.ndarray) -> np.ndarray:
    return np.divide(part, whole, out=np.full(np.shape(part), np.nan), where=whole > 0)
