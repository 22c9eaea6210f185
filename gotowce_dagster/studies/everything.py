"""Segment everything: segmentation of an image without prompts, and the fit of its segments to ground truth.

There are two methods: SAM 2's automatic mask generator (Kirillov et al., Segment Anything, 2023, section 4: a
grid of points, filtered by predicted IoU and stability), and SLIC superpixels (Achanta et al., TPAMI 2012).
"""

import time
import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
import supervision as sv

from gotowce_dagster.config.params import SegmentEverythingParams
from gotowce_dagster.core import extras, rle
from gotowce_dagster.core.crops import Crop

_POINTS_AT_ONCE = 16
"""Batch size of points; each needs memory for three masks of the whole image."""


@dataclass(frozen=True, eq=False)
class Piece:
    """One segment of an image."""

    window: Crop
    mask: np.ndarray
    """bool (h, w) of the window."""

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

    @property
    def boxes(self) -> np.ndarray:
        """Bounding boxes of the segments, xyxy (n, 4)."""
        return np.array([piece.window.box for piece in self.pieces]).reshape(-1, 4)


def cut_up(method: str, cutter: Cutter, image: np.ndarray) -> Cut:
    """Segment an image and measure the time."""
    start = time.perf_counter()
    pieces = cutter(image)
    return Cut(method, pieces, time.perf_counter() - start)


def sam2_generator(predictor: Any, params: SegmentEverythingParams) -> Cutter:
    """Build SAM 2's automatic mask generator.

    Args:
        predictor: Predictor of the sam2 package, from segmenters.sam2.predictor_of.
    """
    from sam2.automatic_mask_generator import SAM2AutomaticMaskGenerator

    from gotowce_dagster.core.device import inference

    with warnings.catch_warnings():
        # The package compiles its transforms with torch.jit.script, which torch has deprecated.
        warnings.simplefilter("ignore", FutureWarning)
        generator = SAM2AutomaticMaskGenerator(
            predictor.model,
            points_per_side=params.points_per_side,
            points_per_batch=_POINTS_AT_ONCE,
            pred_iou_thresh=params.least_predicted_iou,
            stability_score_thresh=params.least_stability,
            output_mode="coco_rle",
        )
    # The generator's own predictor assumes an input of 1024 pixels.
    generator.predictor = predictor

    def cut(image: np.ndarray) -> list[Piece]:
        with inference(str(predictor.device)):
            found = generator.generate(image)
        masks = (rle.decode(one["segmentation"]["counts"], *image.shape[:2]) for one in found)
        return [piece for mask in masks if (piece := Piece.of(mask)) is not None]

    return cut


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
        One row per object: ``box_iou`` of the best segment's box, ``covered``, the share of the object's box
        that this segment covers, and ``piece``, its index; 0, 0 and -1 if there are no segments.
    """
    if not len(cut.pieces) or not len(objects):
        return pd.DataFrame({"box_iou": np.zeros(len(objects)), "covered": 0.0, "piece": -1})
    iou = sv.box_iou_batch(objects, cut.boxes)
    best = iou.argmax(axis=1)
    covered = [_covered(cut.pieces[piece], box) for piece, box in zip(best, objects, strict=True)]
    return pd.DataFrame({"box_iou": iou.max(axis=1), "covered": covered, "piece": best})


def _covered(piece: Piece, box: np.ndarray) -> float:
    x1, y1, x2, y2 = np.round(piece.window.to_crop(box)).astype(int).clip(min=0)
    return float(np.count_nonzero(piece.mask[y1:y2, x1:x2]) / np.prod(box[2:] - box[:2]))
