"""Scores of a model on the validation images."""

from collections.abc import Sequence

import numpy as np
import supervision as sv

_IOU = 0.5


def scores(found: Sequence[sv.Detections], truth: Sequence[sv.Detections]) -> dict[str, float]:
    """Compute precision, recall, mAP50 and mAP50_95; all are 0 without truth.

    Precision and recall are those at IoU 0.5 and at the confidence with the best F1. mAP is COCO's.

    Args:
        found: predictions of each image, with confidence and class_id.
        truth: its objects, with class_id.
    """
    from supervision.metrics import MeanAveragePrecision

    if not any(map(len, truth)):
        return dict.fromkeys(("precision", "recall", "mAP50", "mAP50_95"), 0.0)
    result = MeanAveragePrecision().update(list(found), list(truth)).compute()
    precision, recall = _at_best_f1(found, truth)
    return {
        "precision": precision,
        "recall": recall,
        # -1 without ground truth.
        "mAP50": max(float(result.map50), 0.0),
        "mAP50_95": max(float(result.map50_95), 0.0),
    }


def _at_best_f1(found: Sequence[sv.Detections], truth: Sequence[sv.Detections]) -> tuple[float, float]:
    pairs = [_hits(some, real) for some, real in zip(found, truth, strict=True)]
    confidence = np.concatenate([np.asarray(some.confidence, float).reshape(-1) for some in found])
    hit = np.concatenate(pairs)
    if not len(hit):
        return 0.0, 0.0
    order = np.argsort(-confidence, kind="stable")
    hits = np.cumsum(hit[order])
    precision, recall = hits / np.arange(1, len(hits) + 1), hits / sum(map(len, truth))
    best = np.argmax(2 * precision * recall / np.maximum(precision + recall, np.finfo(float).tiny))
    return float(precision[best]), float(recall[best])


def _hits(found: sv.Detections, truth: sv.Detections) -> np.ndarray:
    """True positives, bool (n,): each box, by confidence, takes the free object that it overlaps most."""
    hit = np.zeros(len(found), bool)
    if not len(found) or not len(truth):
        return hit
    overlap = sv.box_iou_batch(found.xyxy, truth.xyxy)
    overlap[np.asarray(found.class_id)[:, None] != np.asarray(truth.class_id)[None]] = 0
    for row in np.argsort(-np.asarray(found.confidence), kind="stable"):
        best = int(overlap[row].argmax())
        if overlap[row, best] >= _IOU:
            hit[row] = True
            overlap[:, best] = 0
    return hit
