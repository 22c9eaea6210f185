"""One object's masks in different frames, compared: what is in doubt in one is clear in the next.

A target seen half a second earlier or later fills about as much of its designator, in about the same shape.
So a mask whose own measures leave doubt is chosen again among its candidates, with likeness to the object's
sure masks before and after as one more share of the score. Sure masks stay: a target that turns looks
different half a second later, and no candidate is better for looking as it did.
"""

from collections.abc import Callable, Sequence

import numpy as np
import pandas as pd

from gotowce_dagster.config.params import MasksParams
from gotowce_dagster.core import rle
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
    """Choose doubtful masks again, and tell how like its neighbours each mask is.

    Only one object's shapes are held at a time, and one target's candidates.

    Args:
        masks: columns of tables.MASKS, one row a target, each with its object_id.
        designators: xyxy (n, 4) in pixels, one a row of masks.
        times: seconds (n,).
        candidates: gives a doubtful target's candidates, by frame_index and detection_id.
        is_open: bool (n,), which masks may be chosen again; default all.

    Returns:
        The rows in their order, with the column neighbours: likeness to the object's nearest sure masks
        before and after, the better of the two; NaN where there is none within ``link_gap_s``.
    """
    rows = masks.to_dict("records")
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
    """For each frame of one object the nearest sure one before it and after it, as far as there are.

    Args:
        times: seconds (n,), ascending.
        sure: bool (n,).
        gap_s: farther ones, in seconds, tell nothing.
    """
    known = np.flatnonzero(sure)
    before = np.searchsorted(known, np.arange(len(times))) - 1
    after = np.searchsorted(known, np.arange(len(times)), side="right")
    return [
        [
            int(known[place])
            for place in (first, last)
            if 0 <= place < len(known) and abs(times[known[place]] - times[here]) <= gap_s
        ]
        for here, (first, last) in enumerate(zip(before, after, strict=True))
    ]


def _shape(row: dict, designator: np.ndarray) -> np.ndarray:
    return shape(rle.decode(row["rle"], row["height"], row["width"]), designator)
