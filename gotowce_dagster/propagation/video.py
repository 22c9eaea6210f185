"""Masks in mode video: detected masks, and masks propagated through the frames between them."""

from collections import Counter
from collections.abc import Hashable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from gotowce_dagster.config.params import MasksParams
from gotowce_dagster.core import rle
from gotowce_dagster.core.boxes import BOX, KEY, xyxy
from gotowce_dagster.core.progress import Progress, silent
from gotowce_dagster.core.tables import MASKS, records
from gotowce_dagster.propagation.base import Propagator
from gotowce_dagster.propagation.evidence import Evidence
from gotowce_dagster.propagation.points import prompts
from gotowce_dagster.propagation.shots import propagate
from gotowce_dagster.segmenters.base import Candidate
from gotowce_dagster.segmenters.choose import measure
from gotowce_dagster.video.decode import VideoInfo

_MEASURES = ["area_change", "motion", "appearance", "calm", "detected"]
_ON_MARK = ["fill", "inside", "mark_overlap"]
_INSIDE = 0.9
"""Minimum share of a propagated mask inside a designator for it to be the designator's target."""


def through_video(
    path: Path,
    frames: pd.DataFrame,
    detections: pd.DataFrame,
    masks: pd.DataFrame,
    points: pd.DataFrame,
    *,
    info: VideoInfo,
    propagator: Propagator,
    params: MasksParams,
    work: Path,
    progress: Progress = silent,
) -> pd.DataFrame:
    """Propagate the masks of detections, and of objects prompted by a human's points, through a video.

    Args:
        frames, detections: columns of tables.FRAMES and DETECTIONS.
        masks: columns of tables.MASKS, one row per detection with a mask.
        points: a human's point prompts, as propagation.points.read_points returns them.
        info: the video's properties, as video.decode.probe returns them.
        work: an existing folder for finished chunks; the same inputs must get the same folder again.

    Returns:
        All columns of tables.MASKS except video. A detection keeps its own mask if it is trusted, and gets
        the propagated mask if only that one is sure.
    """
    detected_masks = masks.assign(trust=trust(masks))
    evidence = Evidence(detected_masks, prompts(points), params.propagation.trust)
    visits = visited(frames, info, params.propagation.fps, points["frame_index"])
    propagated = propagate(
        path, visits, evidence, propagator, params=params.propagation, work=work, progress=progress
    )
    propagated["segmenter"] = f"{propagator.name}:{propagator.weights}"
    return join(detected_masks, detections, propagated, params)


def trust(masks: pd.DataFrame) -> pd.Series:
    """Rate the masks of detections as prompts, 0 to 1: the weakest measure of each.

    A mask that fills its designator is usually the square between the brackets, not the target.
    """
    measures = masks[["stability", "agreement", "inside"]].assign(
        off_mark=1 - masks["mark_overlap"], room=2 * (1 - masks["fill"])
    )
    return measures.astype(float).fillna(1.0).min(axis=1).clip(0, 1)


def visited(frames: pd.DataFrame, info: VideoInfo, fps: float, prompted: pd.Series) -> pd.DataFrame:
    """Select the frames to propagate masks through: frame_index and shot.

    These are the sampled frames, evenly spaced frames between them, and the frames with points. Frames
    between two sampled frames of different shots belong to neither shot and are left out.
    """
    step = max(1, round(info.fps / fps))
    sampled = frames["frame_index"].to_numpy()
    if not len(sampled):
        return pd.DataFrame({"frame_index": [], "shot": []}, dtype="int64")
    indices = np.unique(np.concatenate([np.arange(0, info.frames, step), sampled, prompted.to_numpy(int)]))
    shots = frames["shot"].to_numpy()
    after = sampled.searchsorted(indices, side="left").clip(max=len(sampled) - 1)
    before = (sampled.searchsorted(indices, side="right") - 1).clip(min=0)
    within = shots[before] == shots[after]
    return pd.DataFrame({"frame_index": indices[within], "shot": shots[before][within]})


def join(
    masks: pd.DataFrame, detections: pd.DataFrame, propagated: pd.DataFrame, params: MasksParams
) -> pd.DataFrame:
    """Join detected masks, which have a ``trust``, and propagated masks into one table.

    A propagated mask inside a designator without a mask of its own gets that designator's detection_id. Other
    propagated masks, and lost objects, are numbered after the frame's detections.

    Returns:
        All columns of tables.MASKS except video.
    """
    marks = {
        frame: dict(zip(rows["detection_id"].tolist(), xyxy(rows), strict=True))
        for frame, rows in detections.groupby("frame_index")
    }
    rows = records(propagated)
    by_detection = {_key(row): row for row in rows if pd.notna(row["detection_id"])}
    joined = [
        _better(row, by_detection.get(_key(row)), marks[row["frame_index"]][row["detection_id"]], params)
        for row in records(masks)
    ]
    taken = {_key(row) for row in joined}
    count: Counter[int] = Counter()
    for row in rows:
        if _key(row) in taken:
            continue
        frame = row["frame_index"]
        free = {
            number: _on_mark(row, mark, params)
            for number, mark in marks.get(frame, {}).items()
            if (frame, number) not in taken
        }
        number = next((number for number, on in free.items() if on["inside"] >= _INSIDE), None)
        if number is None:
            number = len(marks.get(frame, {})) + count[frame]
            count[frame] += 1
        taken.add((frame, number))
        joined.append(row | free.get(number, {}) | {"detection_id": number})
    table = pd.DataFrame(joined, columns=[name for name in MASKS.names if name != "video"])
    return table.sort_values(KEY, ignore_index=True)


def join_with_propagated(
    masks: pd.DataFrame, detections: pd.DataFrame, propagated: pd.DataFrame, params: MasksParams
) -> pd.DataFrame:
    """Join masks of frames that were not sampled with what was propagated into these frames all the same.

    Args:
        masks: columns of tables.MASKS, of the frames' detections alone.
        propagated: rows of tables.MASKS of the same frames, made when they had no detections.

    Returns:
        Columns of tables.MASKS but video. A propagated mask inside a designator is that of its target.
    """
    rows = []
    for row in records(propagated):
        marks = detections[detections["frame_index"] == row["frame_index"]]
        inside = {
            mark["detection_id"]: _on_mark(row, np.array([mark[side] for side in BOX]), params)["inside"]
            for mark in records(marks)
        }
        best = max(inside, key=inside.__getitem__, default=None)
        rows.append(row | {"detection_id": best if best is not None and inside[best] >= _INSIDE else None})
    propagated_rows = pd.DataFrame(rows, columns=propagated.columns)
    return join(masks.assign(trust=trust(masks)), detections, propagated_rows, params)


def _key(row: dict[Hashable, Any]) -> tuple[int, int]:
    return row["frame_index"], row["detection_id"]


def _better(
    own: dict[Hashable, Any], propagated: dict[Hashable, Any] | None, mark: np.ndarray, params: MasksParams
) -> dict[Hashable, Any]:
    """A detection's own mask if it is trusted, else the propagated one if that is sure; with its state."""
    is_trusted = own["trust"] >= params.propagation.trust
    if propagated is None:
        return own | {"state": "sure" if is_trusted else "doubtful"}
    if not is_trusted and propagated["state"] == "sure":
        return propagated | _on_mark(propagated, mark, params)
    is_sure = is_trusted and propagated["state"] == "sure"
    measures = {name: propagated[name] for name in ("object_id", *_MEASURES)}
    return own | measures | {"state": "sure" if is_sure else "doubtful"}


def _on_mark(row: dict[Hashable, Any], mark: np.ndarray, params: MasksParams) -> dict[str, float]:
    """Measure a propagated mask on a designator, xyxy (4,)."""
    if pd.isna(row["rle"]):
        return dict.fromkeys(_ON_MARK, 0.0)
    mask = rle.mask_of(row)
    candidate = Candidate(mask, "", row["predicted_iou"], row["stability"])
    return measure([candidate], mark, params).loc[0, _ON_MARK].to_dict()
