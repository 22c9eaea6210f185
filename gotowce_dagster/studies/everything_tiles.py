"""Segmentation without prompts by any promptable model, on the whole frame or on tiles.

The method of Segment Anything (Kirillov et al. 2023, section 4): a grid of points, filters on the model's own
score and on stability, suppression of duplicates. On tiles, a small target covers more pixels of the
model's input and of its masks, which are coarser still, and the grid of points is finer.
"""

from collections.abc import Sequence
from itertools import pairwise

import cv2
import numpy as np
import supervision as sv

from gotowce_dagster.config.study_params import SegmentEverythingParams
from gotowce_dagster.core.crops import Crop
from gotowce_dagster.segmenters.base import Interactive
from gotowce_dagster.segmenters.prompts import Prompt
from gotowce_dagster.segmenters.proposals import stability
from gotowce_dagster.studies.everything import DUPLICATE_IOU, Cutter, Piece

_POINTS_AT_ONCE = 16
"""Points decoded at a time; each needs memory for three masks of the tile."""
_EDGE_PX = 2
"""A segment this near to an inner edge of its tile is cut off: a neighbouring tile has the whole."""


_BLUR_PX = 1.5
"""Smoothing of what stands out, so that a few pixels count for more than one."""


def tiles_of(height: int, width: int, side: int, overlap: float) -> list[Crop]:
    """Cover a frame with square tiles, evenly spaced; one window of the whole frame if it is no larger.

    Args:
        side: in pixels; a tile is narrower only where the frame is.
        overlap: smallest share of a tile that its neighbour covers too, below 1.
    """
    rows, columns = (_starts(length, side, overlap) for length in (height, width))
    return [Crop(x, y, min(x + side, width), min(y + side, height)) for y in rows for x in columns]


def _starts(length: int, side: int, overlap: float) -> list[int]:
    if side >= length:
        return [0]
    count = int(np.ceil((length - side) / (side * (1 - overlap)))) + 1
    return np.linspace(0, length - side, count).round().astype(int).tolist()


def grid(image: np.ndarray, per_side: int) -> np.ndarray:
    """The centres of ``per_side`` x ``per_side`` equal cells of an image, (n, 2) as x, y in pixels."""
    height, width = image.shape[:2]
    places = (np.arange(per_side) + 0.5) / per_side
    x, y = np.meshgrid(places * width, places * height)
    return np.stack([x.ravel(), y.ravel()], axis=1)


def standing_out(image: np.ndarray, per_side: int) -> np.ndarray:
    """The pixel of each cell that stands out most from what is around it, (n, 2) as x, y in pixels.

    A grid as fine as the smallest targets would need many times the points.
    """
    height, width = image.shape[:2]
    cell = max(height, width) // per_side
    around = cv2.medianBlur(image, min(cell // 2 * 2 + 1, 255))
    contrast = cv2.GaussianBlur(cv2.absdiff(image, around).max(axis=2).astype(np.float32), (0, 0), _BLUR_PX)
    rows, columns = (np.linspace(0, length, per_side + 1).round().astype(int) for length in (height, width))
    points = []
    for top, bottom in pairwise(rows):
        for left, right in pairwise(columns):
            y, x = np.unravel_index(contrast[top:bottom, left:right].argmax(), (bottom - top, right - left))
            points.append((left + x + 0.5, top + y + 0.5))
    return np.array(points)


def generator(model: Interactive, params: SegmentEverythingParams) -> Cutter:
    """Build a segmenter of the whole frame from a model that is prompted with points, by a grid of them."""

    def cut(image: np.ndarray) -> list[Piece]:
        window = Crop(0, 0, image.shape[1], image.shape[0])
        return _of_window(model, image, window, grid(image, params.points_per_side), params)

    return cut


def tiled_generator(model: Interactive, params: SegmentEverythingParams) -> Cutter:
    """Build a segmenter of a frame in tiles, prompted where something stands out."""

    def cut(image: np.ndarray) -> list[Piece]:
        pieces = []
        for window in tiles_of(*image.shape[:2], params.tile_px, params.tile_overlap):
            points = standing_out(window.cut(image), params.tile_points_per_side)
            pieces += _of_window(model, image, window, points, params)
        return distinct(pieces)

    return cut


def _of_window(
    model: Interactive, image: np.ndarray, window: Crop, points: np.ndarray, params: SegmentEverythingParams
) -> list[Piece]:
    """The distinct segments at points, given in pixels of a window of the frame."""
    embedding = model.encode(window.cut(image))
    pieces = []
    for start in range(0, len(points), _POINTS_AT_ONCE):
        prompts = [Prompt(point[None], np.ones(1, int)) for point in points[start : start + _POINTS_AT_ONCE]]
        for prediction in model.decode(embedding, prompts):
            for logits, score in zip(prediction.logits, prediction.scores, strict=True):
                if score > params.least_predicted_iou and stability(logits) >= params.least_stability:
                    pieces.append(_whole(logits > 0, window, image.shape[:2], float(score)))
    return distinct([piece for piece in pieces if piece is not None])


def _whole(mask: np.ndarray, window: Crop, shape: tuple[int, int], score: float) -> Piece | None:
    """A mask of a tile as a segment of the frame; None if it is empty or cut off by an inner edge."""
    inside = Crop.of_mask(mask)
    if inside is None:
        return None
    height, width = shape
    is_cut = (
        (inside.x1 <= _EDGE_PX and window.x1 > 0)
        or (inside.y1 <= _EDGE_PX and window.y1 > 0)
        or (inside.x2 >= mask.shape[1] - _EDGE_PX and window.x2 < width)
        or (inside.y2 >= mask.shape[0] - _EDGE_PX and window.y2 < height)
    )
    if is_cut:
        return None
    x1, y1, x2, y2 = window.to_frame(inside.box).astype(int).tolist()
    return Piece(Crop(x1, y1, x2, y2), inside.cut(mask), score)


def distinct(pieces: Sequence[Piece]) -> list[Piece]:
    """Segments without duplicates, in their order; of those with nearly one box the best by score."""
    if not pieces:
        return []
    rows = np.array([[*piece.window.box, piece.score] for piece in pieces])
    keep = sv.box_non_max_suppression(rows, DUPLICATE_IOU)
    return [piece for piece, is_kept in zip(pieces, keep, strict=True) if is_kept]
