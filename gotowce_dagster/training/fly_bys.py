"""The fly-bys in a dataset's frames: what is certainly no target, though it looks like one for a moment."""

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pandas as pd
import supervision as sv

from gotowce_dagster.config.project import Project
from gotowce_dagster.core.boxes import BOX, xyxy
from gotowce_dagster.core.errors import InputError
from gotowce_dagster.core.tables import FLY_BYS, read_table

FILE = "fly_bys.csv"
"""In a dataset: video, frame_index and box of each."""
_SAME = 0.3
"""IoU from which a box is around a fly-by."""
_FLYING = 0.1
"""Share of labelled targets that fly by, above which targets of a game do, so that it proves nothing."""


def of_dataset(project: Project, used: pd.DataFrame, labels: Mapping[str, pd.DataFrame]) -> pd.DataFrame:
    """The fly-bys in the training frames of a dataset, without those that are labelled targets.

    None of a game in which targets fly by.

    Args:
        used: the dataset's frames: split, profile, video, frame_index.
        labels: rows of tables.LABELS after review, by video.

    Returns:
        video, frame_index, x1, y1, x2, y2.

    Raises:
        InputError: a table of extracted_frames is missing or damaged.
    """
    trained = used[used["split"] == "train"]
    tables = []
    for _, of_game in trained.groupby("profile"):
        some, flying = [], []
        for video, frames in of_game.groupby("video"):
            known = read_table(project.paths.fly_bys(str(video)), FLY_BYS)
            known = known[known["frame_index"].isin(frames["frame_index"])]
            targets = dict(list(labels[str(video)].groupby("frame_index")))
            for number, rows in known.groupby("frame_index"):
                boxes = xyxy(targets[number]) if number in targets else np.zeros((0, 4))
                flying.append(fly_by(boxes, xyxy(rows)))
                some.append(rows[~fly_by(xyxy(rows), boxes)].assign(video=video))
        if some and np.concatenate(flying).sum() <= _FLYING * sum(map(len, flying)):
            tables += some
    columns = ["video", "frame_index", *BOX]
    return pd.concat(tables)[columns] if tables else pd.DataFrame(columns=columns)


def read_fly_bys(dataset: Path) -> dict[tuple[str, int], np.ndarray]:
    """The fly-bys of a dataset's frames, by (video, frame_index): xyxy float (n, 4).

    Raises:
        InputError: the dataset was made before they were known.
    """
    file = dataset / FILE
    if not file.exists():
        raise InputError(f"{file}: does not exist; run yolo_dataset again")
    rows = pd.read_csv(file, dtype={"video": str})
    return {
        (str(some["video"].iloc[0]), int(some["frame_index"].iloc[0])): xyxy(some)
        for _, some in rows.groupby(["video", "frame_index"])
    }


def fly_by(boxes: np.ndarray, known: np.ndarray) -> np.ndarray:
    """Which boxes are around a known fly-by, bool (n,).

    A spark on a ship is a fly-by, but the ship around it is none.

    Args:
        boxes: xyxy (n, 4).
        known: fly-bys of the frame, xyxy (m, 4).
    """
    if not len(boxes) or not len(known):
        return np.zeros(len(boxes), bool)
    return sv.box_iou_batch(boxes, known).max(axis=1) >= _SAME
