"""GrabCut (Rother, Kolmogorov, Blake 2004, as in OpenCV): segments the target by its colours, without
weights.

The rim of the designator gives the background. Pixels inside that differ from it seed the foreground, and
GrabCut does the rest. It is a baseline that models colours, not objects.
"""

import cv2
import numpy as np

from gotowce_dagster.config.params import MasksParams
from gotowce_dagster.core.crops import around
from gotowce_dagster.core.errors import InputError
from gotowce_dagster.segmenters.base import Candidate
from gotowce_dagster.segmenters.choose import designator_regions

_ITERATIONS = 3
_CROP_SCALE = 1.5


class GrabCut:
    """The GrabCut segmenter, which needs nothing but OpenCV."""

    name = "grabcut"
    weights = ""
    device = "cpu"

    def __init__(self, weights: str, params: MasksParams) -> None:
        if weights:
            raise InputError(f"grabcut needs no weights, but {weights!r} was given; write just grabcut")
        self._params = params

    def segment(self, image: np.ndarray, boxes: np.ndarray) -> list[list[Candidate]]:
        """Propose at most one candidate per box; see base.Segmenter."""
        return [self._cut(image, box) for box in boxes]

    def _cut(self, image: np.ndarray, box: np.ndarray) -> list[Candidate]:
        crop = around(box, _CROP_SCALE, *image.shape[:2])
        inside, mark = designator_regions(box, crop, self._params.mark_band, self._params.mark_arm)
        shrunk = _shrink(box, self._params.mark_band)
        core, _ = designator_regions(shrunk, crop, 0, 0)
        pixels = crop.cut(image)
        seeds = _differing(pixels, rim=inside & ~core & ~mark, where=core)
        labels = np.where(core, cv2.GC_PR_BGD, cv2.GC_BGD).astype(np.uint8)
        labels[seeds] = cv2.GC_PR_FGD
        # Both colour models need pixels to fit.
        if min(np.count_nonzero(seeds), np.count_nonzero(~seeds)) < self._params.min_area_px:
            return []
        cv2.setRNGSeed(0)
        model = np.zeros((1, 65))
        whole = (0, 0, *labels.shape[::-1])
        cv2.grabCut(pixels, labels, whole, model, model.copy(), _ITERATIONS, cv2.GC_INIT_WITH_MASK)
        mask = np.isin(labels, [cv2.GC_FGD, cv2.GC_PR_FGD])
        return [Candidate(crop.paste(mask, *image.shape[:2]), "rim", np.nan, np.nan)]


def _shrink(box: np.ndarray, share: float) -> np.ndarray:
    width, height = box[2:] - box[:2]
    return box + share * np.array([width, height, -width, -height])


def _differing(pixels: np.ndarray, rim: np.ndarray, where: np.ndarray) -> np.ndarray:
    """Pixels of ``where`` whose colour is far from the rim's, split by Otsu's threshold."""
    lab = cv2.cvtColor(pixels, cv2.COLOR_RGB2LAB).astype(np.float32)
    if not rim.any() or not where.any():
        return np.zeros_like(where)
    distance = np.linalg.norm(lab - np.median(lab[rim], axis=0), axis=2).clip(0, 255).astype(np.uint8)
    threshold, _ = cv2.threshold(distance[where], 0, 255, cv2.THRESH_OTSU)
    return where & (distance > threshold)
