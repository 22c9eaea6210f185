"""Interactive segmentation: masks from a human's clicks and boxes, with cached image embeddings.

The crops are those of the project: around the designator that was clicked into, around the box that was
drawn, or around the click. If a mask reaches the edge of a crop around a click, it is predicted again on a
larger one. Encoding takes most of the time, so the embeddings of the last crops are cached: another click
only decodes.
"""

from collections import OrderedDict
from collections.abc import Hashable, Sequence

import numpy as np
import pandas as pd

from gotowce_dagster.config.params import MasksParams, ReviewAssistParams
from gotowce_dagster.core.boxes import centres, sizes
from gotowce_dagster.core.crops import Crop, around
from gotowce_dagster.segmenters.base import Candidate, ImageEmbedding, Interactive
from gotowce_dagster.segmenters.choose import choose, score
from gotowce_dagster.segmenters.prompts import Prompt, ring
from gotowce_dagster.segmenters.proposals import candidates_of

_GROWTH = 3.0
"""Factor by which a crop grows if a mask reaches its edge."""


class Clicker:
    """Predicts masks from clicks on any frames with one model; not thread-safe."""

    def __init__(self, model: Interactive, params: MasksParams, assist: ReviewAssistParams) -> None:
        self._model = model
        self._params = params
        self._assist = assist
        self._embeddings: OrderedDict[tuple[Hashable, Crop], ImageEmbedding] = OrderedDict()

    def mask(
        self, name: Hashable, image: np.ndarray, prompt: Prompt, designators: np.ndarray
    ) -> Candidate | None:
        """Predict the mask of the object that a human points at; None if the model finds nothing.

        Args:
            name: cache key of the frame, unique per image.
            image: RGB uint8 (H, W, 3).
            prompt: points, at least one on the object, or a box, or both; in pixels of the frame.
            designators: xyxy float (n, 4) in pixels of the frame.

        Raises:
            ValueError: there is no point on the object and no box, or one lies outside the frame.
        """
        shape = image.shape[:2]
        designator = _clicked_into(prompt, designators)
        anchor = designator if designator is not None else self._anchor(prompt)
        params = self._params if _positives(prompt) < 2 else _every_piece(self._params)
        while True:
            crops = [around(anchor, scale, *shape) for scale in self._model.crop_scales]
            variants = _prompt_variants(prompt, designator)
            found = [
                candidate
                for scale, crop in zip(self._model.crop_scales, crops, strict=True)
                for candidate in self._predict(name, image, crop, variants, f"@{scale:g}")
            ]
            trust = score if designator is not None else _in_box if prompt.box is not None else _trust
            chosen = choose(_consistent(found, prompt), anchor, params, trust=trust)
            if chosen is None:
                return None
            if designator is not None or not _runs_out(chosen.candidate.mask, min(crops, key=_side)):
                return chosen.candidate
            anchor = _grown(anchor)

    def _predict(
        self, name: Hashable, image: np.ndarray, crop: Crop, variants: dict[str, Prompt], suffix: str
    ) -> list[Candidate]:
        inside = {variant + suffix: _in_crop(prompt, crop) for variant, prompt in variants.items()}
        predictions = self._model.decode(self._embedding(name, image, crop), list(inside.values()))
        return [
            candidate
            for variant, prediction in zip(inside, predictions, strict=True)
            for candidate in candidates_of(prediction, variant, crop, image.shape[:2])
        ]

    def _embedding(self, name: Hashable, image: np.ndarray, crop: Crop) -> ImageEmbedding:
        key = (name, crop)
        if key not in self._embeddings:
            self._embeddings[key] = self._model.encode(crop.cut(image))
        self._embeddings.move_to_end(key)
        while len(self._embeddings) > self._assist.remembered:
            self._embeddings.popitem(last=False)
        return self._embeddings[key]

    def _anchor(self, prompt: Prompt) -> np.ndarray:
        """The box to crop around: as drawn, else a square around the first click or around distant clicks."""
        if prompt.box is not None:
            return prompt.box
        points = _points(prompt)
        half = self._assist.click_px / 2
        first = points[np.argmax(prompt.labels == 1)]
        if np.abs(points - first).max() < half * min(self._model.crop_scales):
            return np.r_[first - half, first + half]
        return np.r_[points.min(axis=0) - half, points.max(axis=0) + half]


def _points(prompt: Prompt) -> np.ndarray:
    return np.empty((0, 2)) if prompt.points is None else prompt.points


def _positives(prompt: Prompt) -> int:
    return 0 if prompt.labels is None else int(np.count_nonzero(prompt.labels == 1))


def _clicked_into(prompt: Prompt, designators: np.ndarray) -> np.ndarray | None:
    """Find the smallest designator that contains every point on the object; None if a box was drawn.

    Raises:
        ValueError: there is no point on the object and no box.
    """
    if prompt.box is not None:
        return None
    if not _positives(prompt):
        raise ValueError("click on the object first, then on what does not belong to it")
    on_it = _points(prompt)[prompt.labels == 1]
    low, high = designators[:, None, :2], designators[:, None, 2:]
    holds = ((low <= on_it) & (on_it < high)).all(axis=(1, 2))
    if not holds.any():
        return None
    held = designators[holds]
    return held[(held[:, 2:] - held[:, :2]).prod(axis=1).argmin()]


def _prompt_variants(prompt: Prompt, designator: np.ndarray | None) -> dict[str, Prompt]:
    """The prompt and, in a designator, a variant with negative points on its corners and around it."""
    if designator is None:
        return {"click": prompt}
    around_it = ring(designator)
    assert around_it.points is not None and around_it.labels is not None and prompt.labels is not None
    return {
        "click": prompt,
        "ring": Prompt(
            np.concatenate([_points(prompt), around_it.points[1:]]),
            np.concatenate([prompt.labels, around_it.labels[1:]]),
        ),
    }


def _in_crop(prompt: Prompt, crop: Crop) -> Prompt:
    """Convert a prompt to pixels of the crop, without the points outside it."""
    points = crop.to_crop(_points(prompt))
    inside = ((points >= 0) & (points < [crop.x2 - crop.x1, crop.y2 - crop.y1])).all(axis=1)
    box = None if prompt.box is None else crop.to_crop(prompt.box)
    if prompt.labels is None or not inside.any():
        return Prompt(box=box)
    return Prompt(points[inside], prompt.labels[inside], box)


def _consistent(candidates: Sequence[Candidate], prompt: Prompt) -> list[Candidate]:
    """The candidates that satisfy most clicks: they contain the positive points and no negative ones."""
    if prompt.labels is None or not candidates:
        return list(candidates)
    height, width = candidates[0].mask.shape
    x, y = np.floor(_points(prompt)).astype(int).T
    inside = (x >= 0) & (y >= 0) & (x < width) & (y < height)
    x, y, on_it = x[inside], y[inside], prompt.labels[inside] == 1
    right = np.array([np.count_nonzero(c.mask[y, x] == on_it) for c in candidates])
    return [c for c, count in zip(candidates, right, strict=True) if count == right.max()]


def _trust(measures: pd.DataFrame) -> pd.Series:
    """Score as choose.score does, without a designator."""
    return measures["agreement"].fillna(1) * measures["stability"].fillna(1)


def _in_box(measures: pd.DataFrame) -> pd.Series:
    return _trust(measures) * measures["inside"]


def _every_piece(params: MasksParams) -> MasksParams:
    """Settings that keep every piece: clicks on several pieces mean all of them."""
    return params.model_copy(update={"min_piece": 0.0, "near": np.inf})


def _side(crop: Crop) -> int:
    return max(crop.x2 - crop.x1, crop.y2 - crop.y1)


def _runs_out(mask: np.ndarray, crop: Crop) -> bool:
    """Whether a mask reaches an edge of the crop that is not an edge of the frame."""
    height, width = mask.shape
    window = Crop.of_mask(mask)
    assert window is not None, "choose gives no empty mask"
    return (
        (window.x1 <= crop.x1 > 0)
        or (window.y1 <= crop.y1 > 0)
        or (window.x2 >= crop.x2 < width)
        or (window.y2 >= crop.y2 < height)
    )


def _grown(box: np.ndarray) -> np.ndarray:
    centre, half = centres(box), sizes(box) / 2 * _GROWTH
    return np.r_[centre - half, centre + half]
