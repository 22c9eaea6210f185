"""Stage 5: every candidate gets a verdict, its reasons and its scores; nothing is dropped."""

import numpy as np
import pandas as pd

from gotowce_dagster.labels.cleaning import clean
from gotowce_dagster.pictures.contact_sheet import contact_sheet
from gotowce_dagster.pictures.read import read_rgb
from gotowce_dagster.pictures.targets import AMBER, GREEN, RED, target_closeup
from gotowce_dagster.progress import Progress, silent
from gotowce_dagster.project import Project
from gotowce_dagster.segmenters import rle
from gotowce_dagster.stages.base import Preview
from gotowce_dagster.tables import DETECTIONS, FRAMES, LABELS, MASKS, read_table, read_unanswered, write_table

_COLOURS = {"accept": GREEN, "review": AMBER, "reject": RED}
_SHOWN = 8
_BOX = ["x1", "y1", "x2", "y2"]
_DESIGNATOR = ["designator_x1", "designator_y1", "designator_x2", "designator_y2"]


def run(project: Project, video: str, progress: Progress = silent) -> None:
    """Write data/labels/VIDEO.parquet, one row a detection.

    Raises:
        InputError: an earlier stage has not run yet, or params.yaml names a rule that does not exist.
    """
    paths = project.paths
    progress(0, 1)
    labels = clean(
        read_table(paths.detections(video), DETECTIONS),
        read_table(paths.masks(video), MASKS),
        read_table(paths.frame_index(video), FRAMES),
        project.params.cleaned_labels,
        read_unanswered(paths.detections(video)),
    )
    write_table(labels, LABELS, paths.labels(video))
    progress(1, 1)


def preview(project: Project, video: str) -> Preview:
    """Numbers by verdict and reason, and some of each verdict: green accepted, amber review, red rejected."""
    labels = read_table(project.paths.labels(video), LABELS)
    files = read_table(project.paths.frame_index(video), FRAMES).set_index("frame_index")["file"]
    numbers: dict[str, float | int | str] = {
        verdict: int((labels["verdict"] == verdict).sum()) for verdict in _COLOURS
    }
    accepted = labels[labels["verdict"] == "accept"]
    numbers["median_quality"] = float(accepted["quality"].median()) if len(accepted) else 0.0
    for reason, count in labels["reasons"].explode().value_counts().items():
        numbers[f"because_{reason}"] = int(count)
    shown = pd.concat([_spread(labels[labels["verdict"] == verdict]) for verdict in _COLOURS])
    pictures = [
        _closeup(project, video, row, str(files[row["frame_index"]])) for row in shown.to_dict("records")
    ]
    captions = [_caption(row) for row in shown.to_dict("records")]
    why = {name: rule.why for name, rule in project.params.cleaned_labels.rules.items()}
    notes = [
        f"{count} × {reason}: {why.get(str(reason), 'nothing was found in the designator')}"
        for reason, count in labels["reasons"].explode().value_counts().items()
    ]
    return Preview(numbers, contact_sheet(pictures, captions) if pictures else None, notes)


def _spread(labels: pd.DataFrame) -> pd.DataFrame:
    """Some rows, evenly over the video."""
    return (
        labels.iloc[np.unique(np.linspace(0, len(labels) - 1, _SHOWN).astype(int))] if len(labels) else labels
    )


def _closeup(project: Project, video: str, label: dict, file: str) -> np.ndarray:
    image = read_rgb(project.paths.frames(video) / file)
    mask = rle.decode(label["rle"], label["height"], label["width"]) if pd.notna(label["rle"]) else None
    sides = _DESIGNATOR if pd.notna(label[_DESIGNATOR[0]]) else _BOX
    return target_closeup(image, np.array([label[side] for side in sides]), mask, _COLOURS[label["verdict"]])


def _caption(label: dict) -> str:
    scores = dict(label["scores"])
    reasons = ", ".join(f"{reason} {scores[reason]:.2f}" for reason in label["reasons"])
    return f"{label['verdict']} · frame {label['frame_index']} · quality {label['quality']:.2f}\n{reasons}"
