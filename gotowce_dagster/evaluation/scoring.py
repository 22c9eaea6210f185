"""Metrics of predicted boxes against ground truth."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

import numpy as np
import supervision as sv
from scipy.optimize import linear_sum_assignment

from gotowce_dagster.core.detections import class_names, confidences, from_boxes

FALSE_POSITIVE, IGNORED = -1, -2


def _none() -> np.ndarray:
    return np.zeros((0, 4))


@dataclass(frozen=True, eq=False)
class Case:
    """Predictions and ground truth of one frame."""

    video: str
    frame_index: int
    found: sv.Detections
    """Predictions with confidence; without it, each has confidence 1."""
    truth: sv.Detections
    ignored: np.ndarray = field(default_factory=_none)
    """Boxes that are neither targets nor false positives, xyxy (n, 4), for example half hidden marks."""

    @property
    def confidence(self) -> np.ndarray:
        """Confidence of the predicted boxes, (n,)."""
        return confidences(self.found)

    def surer_than(self, confidence: float) -> "Case":
        """The case without predictions below ``confidence``."""
        found = self.found[np.flatnonzero(self.confidence >= confidence)]
        assert isinstance(found, sv.Detections)
        return Case(self.video, self.frame_index, found, self.truth, self.ignored)


def matches(case: Case, iou: float, by_class: bool = False) -> np.ndarray:
    """Match each predicted box to ground truth: the index of its ground-truth box, FALSE_POSITIVE or IGNORED.

    Boxes are matched one to one to maximise the sum of IoU (Hungarian method, scipy), without pairs below
    ``iou``. An unmatched box is ignored if at least half of it lies on an ignored box, as COCO does with
    crowds.

    Returns:
        int (number of predictions,).
    """
    overlap = pair_iou(case, by_class)
    overlap[overlap < iou] = 0
    truth_index, found_index = linear_sum_assignment(overlap, maximize=True)
    real = overlap[truth_index, found_index] > 0
    result = np.full(len(case.found), FALSE_POSITIVE)
    result[found_index[real]] = truth_index[real]
    result[(result == FALSE_POSITIVE) & (_share_on(case.found.xyxy, case.ignored) >= 0.5)] = IGNORED
    return result


def pair_iou(case: Case, by_class: bool = False) -> np.ndarray:
    """IoU of ground-truth and predicted boxes (truths, found); 0 across classes with ``by_class``."""
    overlap = sv.box_iou_batch(case.truth.xyxy, case.found.xyxy).astype(float)
    if by_class:
        overlap *= class_names(case.truth)[:, None] == class_names(case.found)[None]
    return overlap


def scores(cases: Sequence[Case], *, confidence: float = 0.0, by_class: bool = False) -> dict[str, float]:
    """Compute all metrics; undefined ones (0/0) are left out.

    Args:
        confidence: Predictions below it count for mAP only.

    Returns:
        frames, truths; precision, recall, f1 at IoU 0.5 and 0.75 as ``recall_50`` ...; mAP50 and mAP50_95
        (COCO's, by supervision); mean_iou, median_iou and iou_75_share (at least 0.75) of the pairs that
        overlap at all.
    """
    sure = [case.surer_than(confidence) for case in cases]
    result: dict[str, float] = {"frames": len(cases), "truths": sum(len(case.truth) for case in cases)}
    for name, iou in (("50", 0.5), ("75", 0.75)):
        result |= {f"{what}_{name}": value for what, value in _rates(sure, iou, by_class).items()}
    result |= _average_precision(cases, by_class)
    pairs = np.array([iou for case in sure for iou in paired_iou(case, by_class)])
    if len(pairs):
        result |= {
            "mean_iou": float(pairs.mean()),
            "median_iou": float(np.median(pairs)),
            "iou_75_share": float((pairs >= 0.75).mean()),
        }
    return result


def paired_iou(case: Case, by_class: bool = False) -> list[float]:
    """IoU of each ground-truth box with its matched prediction, for those that overlap at all."""
    overlap = pair_iou(case, by_class)
    pairs = matches(case, np.finfo(float).tiny, by_class)
    return [
        float(overlap[truth_index, found_index])
        for found_index, truth_index in enumerate(pairs)
        if truth_index >= 0
    ]


def precision_recall_curve(
    cases: Sequence[Case], iou: float = 0.5, by_class: bool = False
) -> tuple[np.ndarray, np.ndarray]:
    """Recall and precision, each (n,), by decreasing confidence threshold; empty without ground truth."""
    truths = sum(len(case.truth) for case in cases)
    if not truths:
        return np.zeros(0), np.zeros(0)
    found = [np.stack([confidences(case.found), matches(case, iou, by_class)]) for case in cases]
    confidence, match = np.concatenate(found, axis=1) if found else np.zeros((2, 0))
    counted = match != IGNORED
    order = np.argsort(-confidence[counted], kind="stable")
    right = match[counted][order] >= 0
    hits = np.cumsum(right)
    return hits / truths, hits / np.arange(1, len(right) + 1)


def worst(cases: Iterable[Case], *, confidence: float = 0.0, by_class: bool = False) -> list[Case]:
    """Sort the cases with errors at IoU 0.5: most errors first, then lowest IoU."""
    judged = []
    for case in (case.surer_than(confidence) for case in cases):
        match = matches(case, 0.5, by_class)
        wrong = int((match == FALSE_POSITIVE).sum()) + len(case.truth) - int((match >= 0).sum())
        judged.append((-wrong, min(paired_iou(case, by_class), default=0.0), case))
    return [case for wrong, _, case in sorted(judged, key=lambda row: row[:2]) if wrong]


def _rates(cases: Sequence[Case], iou: float, by_class: bool) -> dict[str, float]:
    match = np.concatenate([np.zeros(0, int), *(matches(case, iou, by_class) for case in cases)])
    hits, counted = int((match >= 0).sum()), int((match != IGNORED).sum())
    truths = sum(len(case.truth) for case in cases)
    rates = {"precision": (hits, counted), "recall": (hits, truths), "f1": (2 * hits, counted + truths)}
    return {name: part / whole for name, (part, whole) in rates.items() if whole}


def _average_precision(cases: Sequence[Case], by_class: bool) -> dict[str, float]:
    from supervision.metrics import MeanAveragePrecision

    if not any(len(case.truth) for case in cases):
        return {}
    names = sorted(
        {name for case in cases for part in (case.truth, case.found) for name in class_names(part)}
    )
    numbers = {name: number if by_class else 0 for number, name in enumerate(names)}
    metric = MeanAveragePrecision()
    for case in cases:
        stays = np.flatnonzero(matches(case, 0.5, by_class) != IGNORED)
        metric.update(_numbered(case.found, stays, numbers), _numbered(case.truth, slice(None), numbers))
    result = metric.compute()
    return {"mAP50": float(result.map50), "mAP50_95": float(result.map50_95)}


def _numbered(boxes: sv.Detections, rows: np.ndarray | slice, numbers: dict[str, int]) -> sv.Detections:
    classes = np.array([numbers[name] for name in class_names(boxes)], int)
    return from_boxes(
        boxes.xyxy[rows].astype(float), confidence=confidences(boxes)[rows], class_id=classes[rows]
    )


def _share_on(boxes: np.ndarray, others: np.ndarray) -> np.ndarray:
    """Largest share of each box covered by one of the others: (n, 4), (m, 4) -> (n,)."""
    if not len(boxes) or not len(others):
        return np.zeros(len(boxes))
    corner = np.minimum(boxes[:, None, 2:], others[:, 2:]) - np.maximum(boxes[:, None, :2], others[:, :2])
    return (corner.clip(min=0).prod(axis=2) / (boxes[:, 2:] - boxes[:, :2]).prod(axis=1)[:, None]).max(axis=1)
