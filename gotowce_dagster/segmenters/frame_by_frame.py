"""All designators of a video, one frame at a time; what is done is kept, so that a killed run goes on."""

from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import pandas as pd
import supervision as sv

from gotowce_dagster.params import MasksParams
from gotowce_dagster.progress import Progress, tracked
from gotowce_dagster.segmenters.base import Candidate, Segmenter
from gotowce_dagster.segmenters.choose import score
from gotowce_dagster.segmenters.neighbours import settle
from gotowce_dagster.segmenters.targets import (
    CANDIDATES,
    candidates_table,
    choose_targets,
    find_targets,
    read_candidates,
)
from gotowce_dagster.tables import MASKS, empty, read_table, write_table

_KEY = ["frame_index", "detection_id"]
_BOX = ["x1", "y1", "x2", "y2"]


def segment_frame_by_frame(
    detections: pd.DataFrame,
    frames: pd.DataFrame,
    picture: Callable[[int], np.ndarray],
    segmenter: Callable[[], Segmenter],
    params: MasksParams,
    *,
    work: Path,
    progress: Progress,
) -> pd.DataFrame:
    """Cut the target out of every designator, then settle what is in doubt by its neighbours in time.

    Memory holds one frame and the table; the result does not depend on where a run was killed.

    Args:
        detections: columns of tables.DETECTIONS and object_id, as labels.tracks.link gives it.
        frames: columns of tables.FRAMES.
        picture: gives a frame, RGB uint8 (H, W, 3), by frame_index.
        segmenter: gives the segmenter; asked only if there is something left to do.
        work: an existing folder that belongs to these inputs alone.

    Returns:
        Columns of tables.MASKS; one row a target in whose designator something was found.
    """
    by_frame = detections.groupby("frame_index")
    parts = [empty(MASKS)]
    for _, rows in tracked(by_frame, by_frame.ngroups, progress):
        frame_index = int(rows["frame_index"].iloc[0])
        part = work / f"{frame_index}.parquet"
        if not part.exists():
            found, doubtful = _segment(picture(frame_index), rows, segmenter(), params)
            write_table(doubtful, CANDIDATES, _kept(work, frame_index))
            objects = rows[["video", *_KEY, "object_id"]]
            write_table(found.merge(objects, on="detection_id", validate="one_to_one"), MASKS, part)
        parts.append(read_table(part, MASKS))
    masks = pd.concat(parts, ignore_index=True)
    seen = masks[_KEY].merge(detections[[*_KEY, *_BOX]], on=_KEY, validate="one_to_one")
    times = seen["frame_index"].map(frames.set_index("frame_index")["time_s"])

    def candidates(frame_index: int, detection_id: int) -> Sequence[Candidate]:
        kept = read_table(_kept(work, frame_index), CANDIDATES)
        return read_candidates(kept[kept["detection_id"] == detection_id])

    return settle(masks, seen[_BOX].to_numpy(float), times.to_numpy(float), candidates, params)


def _segment(
    image: np.ndarray, rows: pd.DataFrame, segmenter: Segmenter, params: MasksParams
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """The masks of a frame, and the candidates of those that are in doubt."""
    names = {column: rows[column].to_numpy() for column in ("detection_id", "class_name")}
    targets = find_targets(image, sv.Detections(rows[_BOX].to_numpy(float), data=names), segmenter, params)
    found = choose_targets(targets, segmenter, params)
    doubtful = set(found["detection_id"][score(found) < params.doubt])
    return found, candidates_table(target for target in targets if target.detection_id in doubtful)


def _kept(work: Path, frame_index: int) -> Path:
    return work / f"{frame_index}.candidates.parquet"
