"""Preview of stage 3: designators."""

import numpy as np
import pandas as pd

from gotowce_dagster.config.project import Project
from gotowce_dagster.core.boxes import evenly
from gotowce_dagster.core.detections import from_rows
from gotowce_dagster.core.tables import FRAMES, read_table
from gotowce_dagster.detectors.detected import read_detected
from gotowce_dagster.labelling import summary
from gotowce_dagster.pictures.contact_sheet import contact_sheet
from gotowce_dagster.pictures.overlay import closeup
from gotowce_dagster.pictures.read import is_whole_jpeg, read_rgb
from gotowce_dagster.previews.base import Preview

_SHOWN_WITH, _SHOWN_WITHOUT = 12, 4


def preview(project: Project, video: str) -> Preview:
    """Detection rate, and a contact sheet of frames with and without a designator."""
    made = summary.designator_detections(project, video)
    rows = read_detected(project.paths.detections(video)).rows
    return Preview(made.numbers, _sheet(_pictures(project, video), rows), made.notes)


def _pictures(project: Project, video: str) -> pd.Series:
    """Paths of the kept frames' whole JPEGs by frame_index."""
    index = read_table(project.paths.frame_index(video), FRAMES)
    kept = index[index["kept"]].set_index("frame_index")["file"]
    folder = project.paths.frames(video)
    paths = kept.astype(object).map(lambda name: folder / name)
    return paths[paths.map(is_whole_jpeg).astype(bool)]


def _sheet(pictures: pd.Series, rows: pd.DataFrame) -> np.ndarray:
    marked = np.intersect1d(rows["frame_index"], pictures.index)
    others = np.setdiff1d(pictures.index, rows["frame_index"])
    images, captions = [], []
    for frame_index in marked[evenly(len(marked), _SHOWN_WITH)].tolist():
        marks = rows[rows["frame_index"] == frame_index]
        first = marks.iloc[0]
        detections = from_rows(marks, "class_name")
        image = read_rgb(pictures[frame_index])
        images.append(closeup(image, detections, [""] * len(marks), box=detections.xyxy[0]))
        captions.append(f"frame {frame_index}: {first['prompt']}\nconfidence {first['confidence']:.2f}")
    for frame_index in others[evenly(len(others), _SHOWN_WITHOUT)].tolist():
        images.append(read_rgb(pictures[frame_index]))
        captions.append(f"frame {frame_index}:\nno designator found")
    return contact_sheet(images, captions)
