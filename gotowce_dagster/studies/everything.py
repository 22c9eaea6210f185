"""Segment everything: segmentation of an image without prompts, and the fit of its segments to ground truth.

There are two methods: a model prompted at many points (everything_tiles.py), and SLIC superpixels (Achanta et
al., TPAMI 2012).
"""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
import supervision as sv

from gotowce_dagster.config.study_params import SegmentEverythingParams
from gotowce_dagster.core import extras
from gotowce_dagster.core.crops import Crop
from gotowce_dagster.core.memory import forget_peak, peak_mb

DUPLICATE_IOU = 0.7
"""Segments whose boxes have a higher IoU are one, as in Segment Anything."""


@dataclass(frozen=True, eq=False)
class Piece:
    """One segment of an image."""

    window: Crop
    mask: np.ndarray
    """bool (h, w) of the window."""
    score: float = 0.0
    """The model's own estimate of its quality; 0 without a model."""

    @classmethod
    def of(cls, mask: np.ndarray) -> "Piece | None":
        """Build a segment from a bool mask (H, W) of the whole image; None if it is empty."""
        window = Crop.of_mask(mask)
        return None if window is None else cls(window, window.cut(mask))


Cutter = Callable[[np.ndarray], Sequence[Piece]]
"""Maps RGB uint8 (H, W, 3) to segments, which may overlap and leave gaps."""


@dataclass(frozen=True, eq=False)
class Cut:
    """The segments of one image by one method."""

    method: str
    pieces: Sequence[Piece]
    seconds: float
    memory_mb: float = 0.0
    """Peak resident memory of the process meanwhile; see memory.peak_mb."""

    @property
    def boxes(self) -> np.ndarray:
        """Bounding boxes of the segments, xyxy (n, 4)."""
        return np.array([piece.window.box for piece in self.pieces]).reshape(-1, 4)


def cut_up(method: str, cutter: Cutter, image: np.ndarray) -> Cut:
    """Segment an image and measure time and memory."""
    forget_peak()
    start = time.perf_counter()
    pieces = cutter(image)
    return Cut(method, pieces, time.perf_counter() - start, peak_mb())


def merged(method: str, finer: Cut, coarser: Cut) -> Cut:
    """The segments of two cuts of one image; of duplicates the finer one's, as in Segment Anything."""
    overlap = sv.box_iou_batch(coarser.boxes, finer.boxes).max(axis=1, initial=0)
    new = [piece for piece, iou in zip(coarser.pieces, overlap, strict=True) if iou <= DUPLICATE_IOU]
    seconds = finer.seconds + coarser.seconds
    return Cut(method, [*finer.pieces, *new], seconds, max(finer.memory_mb, coarser.memory_mb))


def superpixels(params: SegmentEverythingParams) -> Cutter:
    """Build a SLIC superpixel segmenter.

    Raises:
        MissingExtraError: scikit-image is not installed.
    """
    extras.require("superpixels", "segment_everything")

    def cut(image: np.ndarray) -> list[Piece]:
        from skimage.measure import regionprops
        from skimage.segmentation import slic

        regions = regionprops(slic(image, params.superpixels, params.compactness, start_label=1))
        windows = ((Crop(x1, y1, x2, y2), region) for region in regions for y1, x1, y2, x2 in [region.bbox])
        return [Piece(window, region.image) for window, region in windows]

    return cut


def best_fit(cut: Cut, objects: np.ndarray) -> pd.DataFrame:
    """Find the best-fitting segment of each object.

    Args:
        objects: Ground-truth boxes, xyxy (n, 4).

    Returns:
        One row per object: ``size``, the square root of its box's area in pixels; ``box_iou`` of the best
        segment's box; ``covered``, the share of the object's box that this segment covers; and ``piece``, its
        index. The last three are 0, 0 and -1 if there are no segments.
    """
    size = np.sqrt(np.prod(objects[:, 2:] - objects[:, :2], axis=1))
    if not len(cut.pieces) or not len(objects):
        return pd.DataFrame({"size": size, "box_iou": 0.0, "covered": 0.0, "piece": -1})
    iou = sv.box_iou_batch(objects, cut.boxes)
    best = iou.argmax(axis=1)
    covered = [_covered(cut.pieces[piece], box) for piece, box in zip(best, objects, strict=True)]
    return pd.DataFrame({"size": size, "box_iou": iou.max(axis=1), "covered": covered, "piece": best})


def _covered(piece: Piece, box: np.ndarray) -> float:
    x1, y1, x2, y2 = np.round(piece.window.to_crop(box)).astype(int).clip(min=0)
    return float(np.count_nonzero(piece.mask[y1:y2, x1:x2]) / np.prod(box[2:] - box[:2]))
