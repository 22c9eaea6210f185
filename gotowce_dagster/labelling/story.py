"""Pictures of a video's frames, designators, masks and labels, for the report."""

from pathlib import Path

import numpy as np
import pandas as pd

from gotowce_dagster.config.project import Project
from gotowce_dagster.core import rle
from gotowce_dagster.core.boxes import BOX, DESIGNATOR, evenly
from gotowce_dagster.core.tables import DETECTIONS, FRAMES, LABELS, read_table
from gotowce_dagster.pictures.contact_sheet import contact_sheet
from gotowce_dagster.pictures.read import is_whole_jpeg, read_rgb
from gotowce_dagster.pictures.targets import AMBER, GREEN, RED, WHITE, target_closeup

_MARKED, _UNMARKED, _OF_EACH_VERDICT = 5, 2, 4
_COLOURS = {"accept": GREEN, "review": AMBER, "reject": RED}


def frames_and_marks(project: Project, video: str) -> np.ndarray:
    """Frames with a close-up of their most confident designator, then frames without any: RGB (H, W, 3).

    Raises:
        InputError: the frames or the detections are missing.
    """
    pictures = _pictures(project, video)
    rows = read_table(project.paths.detections(video), DETECTIONS).drop_duplicates("frame_index")
    rows = rows[rows["frame_index"].isin(list(pictures))]
    images, captions = [], []
    for row in rows.iloc[evenly(len(rows), _MARKED)].to_dict("records"):
        image = read_rgb(pictures[row["frame_index"]])
        images += [image, target_closeup(image, np.array([row[side] for side in BOX]), None, WHITE)]
        captions += [f"frame {row['frame_index']}", f"{row['prompt']}, confidence {row['confidence']:.2f}"]
    unmarked = [index for index in pictures if index not in set(rows["frame_index"])]
    for place in evenly(len(unmarked), _UNMARKED):
        images.append(read_rgb(pictures[unmarked[place]]))
        captions.append(f"frame {unmarked[place]}: no designator found")
    return contact_sheet(images, captions)


def masks_and_labels(project: Project, video: str) -> np.ndarray:
    """Labels of each verdict with their masks: RGB uint8 (H, W, 3).

    Green: accepted; amber: for review; red: rejected.

    Raises:
        InputError: the frames or the labels are missing.
    """
    pictures = _pictures(project, video)
    labels = read_table(project.paths.labels(video), LABELS)
    labels = labels[labels["frame_index"].isin(list(pictures))]
    images, captions = [], []
    for verdict, colour in _COLOURS.items():
        rows = labels[labels["verdict"] == verdict]
        for row in rows.iloc[evenly(len(rows), _OF_EACH_VERDICT)].to_dict("records"):
            mask = rle.mask_of(row) if pd.notna(row["rle"]) else None
            sides = DESIGNATOR if pd.notna(row[DESIGNATOR[0]]) else BOX
            box = np.array([row[side] for side in sides])
            images.append(target_closeup(read_rgb(pictures[row["frame_index"]]), box, mask, colour))
            captions.append(
                f"frame {row['frame_index']}: {verdict}\n{', '.join(row['reasons']) or 'passes all gates'}"
            )
    return contact_sheet(images, captions)


def _pictures(project: Project, video: str) -> dict[int, Path]:
    """The undamaged images of a video's kept frames, by frame_index."""
    index, folder = read_table(project.paths.frame_index(video), FRAMES), project.paths.frames(video)
    kept = index[index["kept"]]
    paths = {row.frame_index: folder / row.file for row in kept.itertuples()}
    return {frame_index: path for frame_index, path in paths.items() if is_whole_jpeg(path)}
