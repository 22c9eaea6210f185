"""Mask selection: choose one of the candidates by their agreement, and reduce it to one object.

A model's own score does not separate the target from the bracket around it. These measures do: the other
prompts on the other crops propose the same mask, it is stable under a shift of its threshold, lies inside the
designator and not on its mark. Each measure is a share from 0 to 1, and one low share must be enough to
reject a mask, so they are multiplied, never averaged.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import cv2
import numpy as np
import pandas as pd

from gotowce_dagster.config.params import MasksParams
from gotowce_dagster.core.crops import Crop
from gotowce_dagster.core.masks import pairwise_mask_iou
from gotowce_dagster.segmenters.base import Candidate
from gotowce_dagster.segmenters.shapes import best_likeness, shape


@dataclass(frozen=True)
class Choice:
    """The selected candidate after clean-up, with its measures."""

    candidate: Candidate
    fill: float
    """Mask area / designator area."""
    inside: float
    """Share of the mask inside the designator."""
    mark_overlap: float
    """Share of the mask on the pixels of the designator's mark."""
    agreement: float
    """Mean IoU with the best mask of each other prompt, the worst prompt left out; NaN with one prompt."""


def score(measures: pd.DataFrame) -> pd.Series:
    """Score masks from 0 to 1: the product of agreement, stability, inside and 1 - mark_overlap.

    Measures that a segmenter does not have (a single prompt, no threshold to shift) are ignored.

    Args:
        measures: has the columns agreement, stability, inside and mark_overlap, as in tables.MASKS.
    """
    return (
        measures["agreement"].fillna(1)
        * measures["stability"].fillna(1)
        * measures["inside"]
        * (1 - measures["mark_overlap"])
    )


def choose(
    candidates: Sequence[Candidate],
    box: np.ndarray,
    params: MasksParams,
    neighbours: Sequence[np.ndarray] = (),
    trust: Callable[[pd.DataFrame], pd.Series] = score,
) -> Choice | None:
    """Select the best mask, or None if no prompt found anything in the designator.

    The candidate with the best score wins. Its mask is then replaced by the pixelwise majority of all
    candidates like it, which removes the one pixel too many that matters on a small target.

    Args:
        candidates: candidate masks for one designator of one frame.
        box: the designator, xyxy (4,) in pixels.
        neighbours: shapes (shapes.shape) of the same object in other frames; the score is multiplied by the
            likeness to them. Without any, it is not.
        trust: maps the measures (see measure) to scores.
    """
    window = around_all(candidates)
    if window is None:
        return None
    designator = window.to_crop(box)
    tidied = [replace(c, mask=clean_up(window.cut(c.mask), params)) for c in candidates]
    tidied = [c for c in tidied if np.count_nonzero(c.mask) >= params.min_area_px]
    if not tidied:
        return None
    measures = measure(tidied, designator, params)
    scores = trust(measures).to_numpy()
    if neighbours:
        scores = scores * [best_likeness(shape(c.mask, designator), neighbours) for c in tidied]
    best = int(scores.argmax())
    if not scores[best] > 0:
        return None
    voted = replace(tidied[best], mask=clean_up(vote(tidied, best, params), params))
    shares = measure([voted], designator, params).loc[0, ["fill", "inside", "mark_overlap"]].to_dict()
    whole = replace(voted, mask=window.paste(voted.mask, *candidates[best].mask.shape))
    return Choice(whole, **shares, agreement=float(measures["agreement"].iloc[best]))


def best_score(candidates: Sequence[Candidate], box: np.ndarray, params: MasksParams) -> float:
    """Score of the mask that ``choose`` selects, 0 to 1; 0 if there is none."""
    choice = choose(candidates, box, params)
    if choice is None:
        return 0.0
    return float(score(pd.DataFrame([vars(choice) | {"stability": choice.candidate.stability}])).iloc[0])


def vote(candidates: Sequence[Candidate], best: int, params: MasksParams) -> np.ndarray:
    """Compute the majority mask, bool (H, W), of the candidates like the best one.

    Votes are weighted by stability. With too few voters the result would be their intersection, which is
    smaller than the target; then the best mask is kept.
    """
    masks = np.stack([c.mask for c in candidates])
    voters = pairwise_mask_iou(masks)[best] >= params.alike
    if np.count_nonzero(voters) < params.min_voters:
        return candidates[best].mask
    weights = np.nan_to_num([c.stability for c in candidates], nan=1.0)[voters]
    share = np.tensordot(weights, masks[voters], axes=1) / weights.sum()
    return share >= params.majority


def measure(candidates: Sequence[Candidate], box: np.ndarray, params: MasksParams) -> pd.DataFrame:
    """Measure candidates, one row each: prompt, predicted_iou, stability, fill, inside, mark_overlap and
    agreement.

    Args:
        candidates: have masks of one size, none empty.
        box: the designator, xyxy (4,) in pixels of the masks.
    """
    masks = np.stack([c.mask for c in candidates])
    area = masks.sum(axis=(1, 2))
    window = Crop(0, 0, *masks.shape[:0:-1])
    inside, mark = designator_regions(box, window, params.mark_band, params.mark_arm)
    table = pd.DataFrame(
        {
            "prompt": [c.prompt for c in candidates],
            "predicted_iou": [c.predicted_iou for c in candidates],
            "stability": [c.stability for c in candidates],
            "fill": area / ((box[2] - box[0]) * (box[3] - box[1])),
            "inside": (masks & inside).sum(axis=(1, 2)) / area,
            "mark_overlap": (masks & mark).sum(axis=(1, 2)) / area,
        }
    )
    table["agreement"] = agreement(pairwise_mask_iou(masks), table["prompt"].to_numpy())
    return table


def agreement(iou: np.ndarray, prompts: np.ndarray) -> np.ndarray:
    """Measure how far the other prompts propose the same mask: (n, n) and (n,) to (n,).

    Every prompt gives several masks, of a part, the whole and more than the whole; the one most like the
    candidate counts. The worst prompt is left out: the box fails on every small target, and a point on a
    large one may fall between two of its parts.
    """
    names = np.unique(prompts)
    others = len(names) - 1
    if others == 0:
        return np.full(len(prompts), np.nan)
    own = prompts[:, None] == names[None, :]
    best = np.stack([iou[:, prompts == name].max(axis=1) for name in names], axis=1)
    agreeing = np.sort(np.where(own, -1, best), axis=1)[:, -max(others - 1, 1) :]
    return agreeing.mean(axis=1)


def designator_regions(
    box: np.ndarray, window: Crop, band: float, arm: float
) -> tuple[np.ndarray, np.ndarray]:
    """Compute the inside of a designator and the area of its mark as bool masks of the window.

    The mark is assumed to be an L in each corner: ``arm`` of the side long and ``band`` of the side thick,
    measured inward from the edge of the box.
    """
    x1, y1, x2, y2 = box
    x = np.arange(window.x1, window.x2)[None, :] + 0.5
    y = np.arange(window.y1, window.y2)[:, None] + 0.5
    # Distance from the nearer edge, in sides; negative outside.
    across = np.minimum(x - x1, x2 - x) / (x2 - x1)
    down = np.minimum(y - y1, y2 - y) / (y2 - y1)
    inside = (across > 0) & (down > 0)
    mark = inside & (((across < band) & (down < arm)) | ((down < band) & (across < arm)))
    return inside, mark


def clean_up(mask: np.ndarray, params: MasksParams) -> np.ndarray:
    """Reduce a mask to one object (see tidy) with the settings of params.yaml."""
    return tidy(mask, params.min_piece, params.max_hole, params.near)


def tidy(mask: np.ndarray, min_piece: float, max_hole: float, near: float = np.inf) -> np.ndarray:
    """Reduce a mask to one object: drop specks and far pieces, fill small holes.

    Args:
        mask: bool (H, W).
        min_piece: pieces smaller than this share of the largest are dropped.
        max_hole: holes smaller than this share of the largest piece are filled.
        near: pieces farther from the largest than this, in longer sides of its box, are dropped.
    """
    window = Crop.of_mask(mask)
    if window is None:
        return mask
    part = window.cut(mask)
    stats, pieces = _pieces(part, connectivity=8)
    part = np.isin(pieces, 1 + _of_one_object(stats, pieces, min_piece, near))
    # One pixel of margin makes the outside one piece, the only one that touches the edge.
    gap_stats, gaps = _pieces(~np.pad(part, 1), connectivity=4)
    largest = stats[:, cv2.CC_STAT_AREA].max()
    small = 1 + np.flatnonzero(gap_stats[:, cv2.CC_STAT_AREA] < max_hole * largest)
    filled = part | np.isin(gaps, small[small != gaps[0, 0]])[1:-1, 1:-1]
    return window.paste(filled, *mask.shape)


def _of_one_object(stats: np.ndarray, pieces: np.ndarray, min_piece: float, near: float) -> np.ndarray:
    """Indices of the pieces that belong to the same object as the largest."""
    sizes = stats[:, cv2.CC_STAT_AREA]
    largest = int(sizes.argmax())
    big = np.flatnonzero(sizes >= min_piece * sizes[largest])
    if len(big) == 1:
        return big
    away = cv2.distanceTransform((pieces != 1 + largest).astype(np.uint8), cv2.DIST_L2, cv2.DIST_MASK_PRECISE)
    reach = near * max(stats[largest, [cv2.CC_STAT_WIDTH, cv2.CC_STAT_HEIGHT]])
    return np.array([piece for piece in big if away[pieces == 1 + piece].min() <= reach])


def _pieces(mask: np.ndarray, connectivity: int) -> tuple[np.ndarray, np.ndarray]:
    """OpenCV's statistics (n, 5) of connected components, and the component of each pixel from 1, or 0."""
    _, labels, stats, _ = cv2.connectedComponentsWithStats(mask.astype(np.uint8), connectivity=connectivity)
    return stats[1:], labels


def around_all(candidates: Sequence[Candidate]) -> Crop | None:
    """The smallest window around all candidates' masks; None where every one is empty."""
    boxes = np.array([window.box for c in candidates if (window := Crop.of_mask(c.mask))]).astype(int)
    if not len(boxes):
        return None
    return Crop(*boxes[:, :2].min(axis=0).tolist(), *boxes[:, 2:].max(axis=0).tolist())
