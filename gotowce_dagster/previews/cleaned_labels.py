"""Preview of stage 5: labels by verdict."""

import numpy as np
import pandas as pd

from gotowce_dagster.config.project import Project
from gotowce_dagster.core import rle
from gotowce_dagster.core.boxes import BOX, DESIGNATOR, evenly
from gotowce_dagster.core.tables import FRAMES, LABELS, read_table
from gotowce_dagster.labelling import summary
from gotowce_dagster.pictures.contact_sheet import contact_sheet
from gotowce_dagster.pictures.read import read_rgb
from gotowce_dagster.pictures.targets import AMBER, GREEN, RED, target_closeup
from gotowce_dagster.previews.base import Preview

_COLOURS = {"accept": GREEN, "review": AMBER, "reject": RED}
_SHOWN = 8


def preview(project: Project, video: str) -> Preview:
    """Counts by verdict and reason, and examples: accepted in green, review in amber, rejected in red."""
    made = summary.cleaned_labels(project, video)
    labels = read_table(project.paths.labels(video), LABELS)
    files = read_table(project.paths.frame_index(video), FRAMES).set_index("frame_index")["file"]
    groups = [labels[labels["verdict"] == verdict] for verdict in _COLOURS]
    shown = pd.concat([rows.iloc[evenly(len(rows), _SHOWN)] for rows in groups]).to_dict("records")
    pictures = [_closeup(project, video, row, str(files[row["frame_index"]])) for row in shown]
    sheet = contact_sheet(pictures, [_caption(row) for row in shown]) if pictures else None
    return Preview(made.numbers, sheet, made.notes)


def _closeup(project: Project, video: str, label: dict, file: str) -> np.ndarray:
    image = read_rgb(project.paths.frames(video) / file)
    mask = rle.mask_of(label) if pd.notna(label["rle"]) else None
    sides = DESIGNATOR if pd.notna(label[DESIGNATOR[0]]) else BOX
    return target_closeup(image, np.array([label[side] for side in sides]), mask, _COLOURS[label["verdict"]])


def _caption(label: dict) -> str:
    scores = dict(label["scores"])
    reasons = ", ".join(f"{reason} {scores[reason]:.2f}" for reason in label["reasons"])
    return f"{label['verdict']} · frame {label['frame_index']} · quality {label['quality']:.2f}\n{reasons}"
