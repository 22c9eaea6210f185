"""Segment everything: a picture cut up without any prompt, and how well the pieces fit what is there.

Two ways: SAM 2's automatic mask generator (Kirillov et al., Segment Anything, 2023, section 4: a grid of
points, filtered by predicted IoU and stability), and SLIC superpixels (Achanta et al., TPAMI 2012).
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
from gotowce_dagster.core import rle
from gotowce_dagster.core.crops import Crop

_POINTS_AT_ONCE = 16
"""Each of them has three masks of the whole picture in memory at once."""


@dataclass(frozen=True, eq=False)
class Piece:
    """One segment of a picture."""

    window: Crop
    mask: np.ndarray
    """bool (h, w) of the window."""

    @classmethod
    def of(cls, mask: np.ndarray) -> "Piece | None":
        """From a bool mask (H, W) of the whole picture; None where it is empty."""
        window = Crop.of_mask(mask)
        return None if window is None else cls(window, window.cut(mask))


Cutter = Callable[[np.ndarray], Sequence[Piece]]
"""From RGB uint8 (H, W, 3) to pieces, which may overlap and leave gaps."""


@dataclass(frozen=True, eq=False)
class Cut:
    """One picture cut up in one way."""

    method: str
    pieces: Sequence[Piece]
    seconds: float

    @property
    def boxes(self) -> np.ndarray:
        """xyxy (n, 4) around the pieces."""
        return np.array([piece.window.box for piece in self.pieces]).reshape(-1, 4)


def cut_up(method: str, cutter: Cutter, image: np.ndarray) -> Cut:
    """Cut a picture up and take the time."""
    start = time.perf_counter()
    pieces = cutter(image)
    return Cut(method, pieces, time.perf_counter() - start)


def sam2_generator(predictor: Any, params: SegmentEverythingParams) -> Cutter:
    """SAM 2's automatic mask generator.

    Args:
        predictor: of the sam2 package, as segmenters.sam2.predictor_of gives it.
    """
    from sam2.automatic_mask_generator import SAM2AutomaticMaskGenerator

    from gotowce_dagster.core.device import inference

    with warnings.catch_warnings():
        # The package compiles its transforms with torch.jit.script, which torch has come to discourage.
        warnings.simplefilter("ignore", FutureWarning)
        generator = SAM2AutomaticMaskGenerator(
            predictor.model,
            points_per_side=params.points_per_side,
            points_per_batch=_POINTS_AT_ONCE,
            pred_iou_thresh=params.least_predicted_iou,
            stability_score_thresh=params.least_stability,
            output_mode="coco_rle",
        )
    # Its own one assumes an input of 1024 pixels.
    generator.predictor = predictor

    def cut(image: np.ndarray) -> list[Piece]:
        with inference(str(predictor.device)):
            found = generator.generate(image)
        masks = (rle.decode(one["segmentation"]["counts"], *image.shape[:2]) for one in found)
        return [piece for mask in masks if (piece := Piece.of(mask)) is not None]

    return cut


def superpixels(params: SegmentEverythingParams) -> Cutter:
    """SLIC of scikit-image."""

    def cut(image: np.ndarray) -> list[Piece]:
        from skimage.measure import regionprops
        from skimage.segmentation import slic

        regions = regionprops(slic(image, params.superpixels, params.compactness, start_label=1))
        windows = ((Crop(x1, y1, x2, y2), region) for region in regions for y1, x1, y2, x2 in [region.bbox])
        return [Piece(window, region.image) for window, region in windows]

    return cut


def best_fit(cut: Cut, objects: np.ndarray) -> pd.DataFrame:
    """How well the best piece fits each object.

    Args:
        objects: xyxy (n, 4), hand-checked boxes.

    Returns:
        One row an object: ``box_iou`` of the best piece's box with it, ``covered``, the share of the object's
        box that this piece covers, and ``piece``, its number; 0, 0 and -1 where there is no piece.
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
