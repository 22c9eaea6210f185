"""Temporal re-ranking: a second pass that selects doubtful masks by the object's masks in nearby frames.

Half a second earlier or later, a target fills about as much of its designator, in about the same shape. So
the candidates of a doubtful mask are re-ranked, with the likeness to the object's sure masks before and after
it as one more factor of the score. Sure masks are kept: a turning target looks different half a second later,
and a candidate is not better for resembling its earlier shape.
"""

from collections.abc import Callable, Sequence

import numpy as np
import pandas as pd

from gotowce_dagster.config.params import MasksParams
from gotowce_dagster.core import rle
from gotowce_dagster.core.tables import records
from gotowce_dagster.segmenters.base import Candidate
from gotowce_dagster.segmenters.choose import choose, score
from gotowce_dagster.segmenters.shapes import best_likeness, shape
from gotowce_dagster.segmenters.targets import mask_columns


def settle(
    masks: pd.DataFrame,
    designators: np.ndarray,
    times: np.ndarray,
    candidates: Callable[[int, int], Sequence[Candidate]],
    params: MasksParams,
    *,
    is_open: np.ndarray | None = None,
) -> pd.DataFrame:
    """Re-rank the candidates of doubtful masks, and measure the likeness of each mask to its neighbours.

    Only the shapes of one object and the candidates of one target are held in memory.

    Args:
        masks: columns of tables.MASKS, one row per target, with object_id.
        designators: xyxy (n, 4) in pixels, one per row of masks.
        times: seconds (n,).
        candidates: returns a doubtful target's candidates by frame_index and detection_id.
        is_open: bool (n,), which masks may be re-ranked; default all.

    Returns:
        The rows in the same order, with the column neighbours: the higher likeness to the object's nearest
        sure masks before and after; NaN if there is none within ``link_gap_s``.
    """
    rows = records(masks)
    sure = (score(masks) >= params.doubt).to_numpy()
    fixed = sure if is_open is None else sure | ~is_open
    for places in masks.reset_index(drop=True).groupby("object_id").indices.values():
        order = places[np.argsort(times[places], kind="stable")]
        shapes = [_shape(rows[place], designators[place]) for place in order]
        for number, near in enumerate(sure_neighbours(times[order], sure[order], params.link_gap_s)):
            place, others = order[number], [shapes[other] for other in near]
            row, designator = rows[place], designators[place]
            if others and not fixed[place]:
                kept = candidates(row["frame_index"], row["detection_id"])
                choice = choose(kept, designator, params, others)
                row |= mask_columns(choice) if choice else {}
            row["neighbours"] = best_likeness(_shape(row, designator), others)
    return pd.DataFrame(rows, masks.index, masks.columns.union(["neighbours"], sort=False))


def sure_neighbours(times: np.ndarray, sure: np.ndarray, gap_s: float) -> list[list[int]]:
    """For each frame of one object, find the nearest sure frame before and after it, if any.

    Args:
        times: seconds (n,), ascending.
        sure: bool (n,).
        gap_s: maximum distance in seconds.
    """
    sure_frames = np.flatnonzero(sure)
    before = np.searchsorted(sure_frames, np.arange(len(times))) - 1
    after = np.searchsorted(sure_frames, np.arange(len(times)), side="right")
    return [
        [
            int(sure_frames[place])
            for place in (first, last)
            if 0 <= place < len(sure_frames) and abs(times[sure_frames[place]] - times[frame]) <= gap_s
        ]
        for frame, (first, last) in enumerate(zip(before, after, strict=True))
    ]


def _shape(row: dict, designator: np.ndarray) -> np.ndarray:
    return shape(rle.mask_of(row), designator)
