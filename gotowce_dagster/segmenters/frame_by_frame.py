"""Segmentation of all designators of a video, frame by frame; an interrupted run resumes."""

from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from gotowce_dagster.config.params import MasksParams
from gotowce_dagster.core.boxes import BOX, KEY, xyxy
from gotowce_dagster.core.detections import from_boxes
from gotowce_dagster.core.errors import InputError
from gotowce_dagster.core.progress import Progress, tracked
from gotowce_dagster.core.tables import DETECTIONS, MASKS, empty, read_table, write_table
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

Images = Callable[[Collection[int]], Iterator[tuple[int, np.ndarray]]]
"""Reads frames by index: (frame_index, RGB uint8 (H, W, 3)), ascending; unreadable ones are left out."""


@dataclass(frozen=True, eq=False)
class Settled:
    """Masks of frames that are done."""

    masks: pd.DataFrame
    """Columns of tables.MASKS; masks without a designator are ignored."""
    detections: pd.DataFrame
    """Columns of tables.DETECTIONS."""


NOTHING = Settled(empty(MASKS), empty(DETECTIONS))


def segment_frame_by_frame(
    detections: pd.DataFrame,
    frames: pd.DataFrame,
    images: Images,
    segmenter: Callable[[], Segmenter],
    params: MasksParams,
    *,
    among: Settled = NOTHING,
    work: Path,
    progress: Progress,
) -> pd.DataFrame:
    """Segment the target in every designator, then re-rank doubtful masks with their neighbours in time.

    Only one frame and the table are held in memory. The result does not depend on where a run was
    interrupted.

    Args:
        detections: columns of tables.DETECTIONS and object_id, as labels.tracks.link returns it.
        frames: columns of tables.FRAMES.
        images: returns frames by frame_index; called once, for the frames left to segment.
        segmenter: builds the segmenter; called only if frames are left to segment.
        among: masks of other frames, each with its object_id: neighbours that are not changed.
        work: an existing folder for finished frames, used for these inputs only.

    Returns:
        Columns of tables.MASKS; one row per target for which a mask was found.

    Raises:
        InputError: a frame with a detection cannot be decoded.
    """
    by_frame = detections.groupby("frame_index")
    left = [
        frame
        for frame in detections["frame_index"].sort_values().unique().tolist()
        if not _part(work, frame).exists()
    ]
    stream = images(left) if left else iter(())
    parts = [empty(MASKS)]
    for _, rows in tracked(by_frame, by_frame.ngroups, progress):
        frame_index = int(rows["frame_index"].iloc[0])
        part = _part(work, frame_index)
        if not part.exists():
            image = _next(stream, str(rows["video"].iloc[0]), frame_index)
            found, doubtful = _segment(image, rows, segmenter(), params)
            write_table(doubtful, CANDIDATES, _kept(work, frame_index))
            objects = rows[["video", *KEY, "object_id"]]
            write_table(found.merge(objects, on="detection_id", validate="one_to_one"), MASKS, part)
        parts.append(read_table(part, MASKS))
    masks = pd.concat(parts, ignore_index=True)
    others = among.masks[among.masks["rle"].notna()]
    others = others.merge(among.detections[KEY], on=KEY, validate="one_to_one")
    together = pd.concat([masks, others], ignore_index=True) if len(others) else masks
    boxes = pd.concat([detections, among.detections]) if len(others) else detections
    seen = together[KEY].merge(boxes[[*KEY, *BOX]], on=KEY, validate="one_to_one")
    times = seen["frame_index"].map(frames.set_index("frame_index")["time_s"])

    def candidates(frame_index: int, detection_id: int) -> Sequence[Candidate]:
        kept = read_table(_kept(work, frame_index), CANDIDATES)
        return read_candidates(kept[kept["detection_id"] == detection_id])

    is_open = np.arange(len(together)) < len(masks)
    chosen = settle(together, xyxy(seen), times.to_numpy(float), candidates, params, is_open=is_open)
    return chosen.iloc[: len(masks)]


def _next(stream: Iterator[tuple[int, np.ndarray]], video: str, frame_index: int) -> np.ndarray:
    index, image = next(stream, (None, None))
    if index != frame_index or image is None:
        raise InputError(
            f"{video}: frame {frame_index} has a detection but cannot be decoded; "
            "run designator_detections again"
        )
    return image


def _segment(
    image: np.ndarray, rows: pd.DataFrame, segmenter: Segmenter, params: MasksParams
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Segment a frame: its masks, and the candidates of the doubtful ones."""
    names = {column: rows[column].to_numpy() for column in ("detection_id", "class_name")}
    targets = find_targets(image, from_boxes(xyxy(rows), **names), segmenter, params)
    found = choose_targets(targets, segmenter, params)
    doubtful = set(found["detection_id"][score(found) < params.doubt])
    return found, candidates_table(target for target in targets if target.detection_id in doubtful)


def _part(work: Path, frame_index: int) -> Path:
    return work / f"{frame_index}.parquet"


def _kept(work: Path, frame_index: int) -> Path:
    return work / f"{frame_index}.candidates.parquet"
