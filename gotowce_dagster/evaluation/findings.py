"""Tables and pictures of scores and cases."""

from collections.abc import Callable, Mapping, Sequence

import numpy as np

from gotowce_dagster.core.detections import from_boxes
from gotowce_dagster.evaluation.measures import MEASURES, Findings
from gotowce_dagster.evaluation.scoring import Case, precision_recall_curve
from gotowce_dagster.pictures.contact_sheet import contact_sheet
from gotowce_dagster.pictures.curves import bars, precision_recall
from gotowce_dagster.pictures.overlay import closeup
from gotowce_dagster.pictures.report import Table

_COLUMNS = {
    "frames": "frames",
    "truths": "ground truth",
    "precision_50": "precision",
    "recall_50": "recall",
    "f1_50": "F1",
    "precision_75": "precision at 0.75",
    "recall_75": "recall at 0.75",
    "mAP50": "mAP50",
    "mAP50_95": "mAP50-95",
    "mean_iou": "mean IoU",
    "median_iou": "median IoU",
    "iou_75_share": "IoU over 0.75",
}


def score_table(scored: Mapping[str, Mapping[str, float]], first: str, caption: str = "") -> Table:
    """Build a table with one row per name and the scores of evaluation.scoring.scores in columns.

    Args:
        first: heading of the column of names.
    """
    rows = [[name, *(scores.get(column) for column in _COLUMNS)] for name, scores in scored.items()]
    return Table([first, *_COLUMNS.values()], rows, caption)


def case_sheet(cases: Sequence[Case], picture: Callable[[Case], np.ndarray]) -> np.ndarray:
    """Draw close-ups of cases with ground truth and predictions, RGB uint8 (H, W, 3).

    Args:
        picture: returns a case's frame, RGB.
    """
    images, captions = [], []
    for case in cases:
        sure = case.confidence
        both = from_boxes(
            np.concatenate([case.truth.xyxy, case.found.xyxy]),
            class_name=["truth"] * len(case.truth) + ["found"] * len(case.found),
        )
        labels = ["ground truth"] * len(case.truth) + [f"predicted {value:.2f}" for value in sure]
        # Beside a target of 10 pixels, a margin in sides of its box would show nothing around it.
        box = both.xyxy[0]
        margin = max(1.0, 40 / max(float((box[2:] - box[:2]).max()), 1.0))
        images.append(closeup(picture(case), both, labels, box=box, margin=margin))
        captions.append(
            f"{case.video} · frame {case.frame_index}\n{len(case.truth)} ground truth, {len(sure)} predicted"
        )
    return contact_sheet(images, captions)


def plots(
    findings: Findings, scored: Mapping[str, Mapping[str, Mapping[str, float]]]
) -> dict[str, np.ndarray]:
    """Plot the scores: RGB uint8 (H, W, 3) by name; measures without cases are left out."""
    measured = [name for name, groups in scored.items() if groups]
    videos = sorted({video for name in measured for video in scored[name]} - {"all"})
    drawn = {}
    if measured:
        f1 = {
            MEASURES[name].title: [scored[name].get(video, {}).get("f1_50", np.nan) for video in videos]
            for name in measured
        }
        drawn["scores"] = bars(videos, f1, "F1 at IoU 0.5")
    curves = {
        MEASURES[name].title: precision_recall_curve(findings.cases[name], by_class=MEASURES[name].by_class)
        for name in measured
    }
    if any(len(recall) for recall, _ in curves.values()):
        drawn["precision_over_recall"] = precision_recall(curves)
    return drawn
