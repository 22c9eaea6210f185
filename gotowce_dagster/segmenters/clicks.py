"""Masks from a human's clicks and boxes, by a model that remembers what it has looked at.

What is looked at are the project's crops: around the designator that was clicked into, around the box that
was drawn, or around the click itself. A mask that runs out of such a last one is asked for again on a larger
one. Encoding is what costs time, so the crops last used stay encoded: another click there only asks.
"""

from collections import OrderedDict
from collections.abc import Hashable, Sequence

import numpy as np
import pandas as pd

from gotowce_dagster.config.params import MasksParams, ReviewAssistParams
from gotowce_dagster.core.crops import Crop, around
from gotowce_dagster.segmenters.base import Candidate, Encoded, Interactive
from gotowce_dagster.segmenters.choose import choose, score
from gotowce_dagster.segmenters.prompts import Prompt, ring
from gotowce_dagster.segmenters.proposals import candidates_of

_GROWTH = 3.0
"""Of a crop that a mask runs out of."""


class Clicker:
    """Asks one model about any frames; not for several threads at once."""

    def __init__(self, model: Interactive, params: MasksParams, assist: ReviewAssistParams) -> None:
        self._model = model
        self._params = params
        self._assist = assist
        self._known: OrderedDict[tuple[Hashable, Crop], Encoded] = OrderedDict()

    def mask(
        self, name: Hashable, image: np.ndarray, asked: Prompt, designators: np.ndarray
    ) -> Candidate | None:
        """The mask of what a human points at, or None where the model finds nothing.

        Args:
            name: of the frame; another picture has another one.
            image: RGB uint8 (H, W, 3).
            asked: points, at least one on the object, or a box, or both; in pixels of the frame.
            designators: xyxy float (n, 4) in pixels of the frame.

        Raises:
            ValueError: there is no point on the object and no box, or one lies outside the frame.
        """
        shape = image.shape[:2]
        designator = _clicked_into(asked, designators)
        anchor = designator if designator is not None else self._anchor(asked)
        params = self._params if _positives(asked) < 2 else _every_piece(self._params)
        while True:
            crops = [around(anchor, scale, *shape) for scale in self._model.crop_scales]
            ways = _ways(asked, designator)
            found = [
                candidate
                for scale, crop in zip(self._model.crop_scales, crops, strict=True)
                for candidate in self._ask(name, image, crop, ways, f"@{scale:g}")
            ]
            trust = score if designator is not None else _in_box if asked.box is not None else _trust
            chosen = choose(_obeying(found, asked), anchor, params, trust=trust)
            if chosen is None:
                return None
            if designator is not None or not _runs_out(chosen.candidate.mask, min(crops, key=_side)):
                return chosen.candidate
            anchor = _grown(anchor)

    def _ask(
        self, name: Hashable, image: np.ndarray, crop: Crop, ways: dict[str, Prompt], suffix: str
    ) -> list[Candidate]:
        inside = {way + suffix: _in_crop(prompt, crop) for way, prompt in ways.items()}
        answers = self._model.ask_again(self._encoded(name, image, crop), list(inside.values()))
        return [
            candidate
            for way, answer in zip(inside, answers, strict=True)
            for candidate in candidates_of(answer, way, crop, image.shape[:2])
        ]

    def _encoded(self, name: Hashable, image: np.ndarray, crop: Crop) -> Encoded:
        key = (name, crop)
        if key not in self._known:
            self._known[key] = self._model.encode(crop.cut(image))
        self._known.move_to_end(key)
        while len(self._known) > self._assist.remembered:
            self._known.popitem(last=False)
        return self._known[key]

    def _anchor(self, asked: Prompt) -> np.ndarray:
        """What to look around: the box, else a square about the first click, or about all if they are far."""
        if asked.box is not None:
            return asked.box
        points = _points(asked)
        half = self._assist.click_px / 2
        first = points[np.argmax(asked.labels == 1)]
        if np.abs(points - first).max() < half * min(self._model.crop_scales):
            return np.r_[first - half, first + half]
        return np.r_[points.min(axis=0) - half, points.max(axis=0) + half]


def _points(asked: Prompt) -> np.ndarray:
    return np.empty((0, 2)) if asked.points is None else asked.points


def _positives(asked: Prompt) -> int:
    return 0 if asked.labels is None else int(np.count_nonzero(asked.labels == 1))


def _clicked_into(asked: Prompt, designators: np.ndarray) -> np.ndarray | None:
    """The smallest designator that holds every point on the object; None if a box was drawn.

    Raises:
        ValueError: there is no point on the object and no box.
    """
    if asked.box is not None:
        return None
    if not _positives(asked):
        raise ValueError("click on the object first, then on what does not belong to it")
    on_it = _points(asked)[asked.labels == 1]
    low, high = designators[:, None, :2], designators[:, None, 2:]
    holds = ((low <= on_it) & (on_it < high)).all(axis=(1, 2))
    if not holds.any():
        return None
    held = designators[holds]
    return held[(held[:, 2:] - held[:, :2]).prod(axis=1).argmin()]


def _ways(asked: Prompt, designator: np.ndarray | None) -> dict[str, Prompt]:
    """What a human said, and inside a designator also that its corners and surroundings are not meant."""
    if designator is None:
        return {"click": asked}
    around_it = ring(designator)
    assert around_it.points is not None and around_it.labels is not None and asked.labels is not None
    return {
        "click": asked,
        "ring": Prompt(
            np.concatenate([_points(asked), around_it.points[1:]]),
            np.concatenate([asked.labels, around_it.labels[1:]]),
        ),
    }


def _in_crop(prompt: Prompt, crop: Crop) -> Prompt:
    """A prompt in the crop's pixels, without the points outside it."""
    points = crop.to_crop(_points(prompt))
    inside = ((points >= 0) & (points < [crop.x2 - crop.x1, crop.y2 - crop.y1])).all(axis=1)
    box = None if prompt.box is None else crop.to_crop(prompt.box)
    if prompt.labels is None or not inside.any():
        return Prompt(box=box)
    return Prompt(points[inside], prompt.labels[inside], box)


def _obeying(candidates: Sequence[Candidate], asked: Prompt) -> list[Candidate]:
    """The candidates that do best what the clicks say: hold the points on the object, and no others."""
    if asked.labels is None or not candidates:
        return list(candidates)
    height, width = candidates[0].mask.shape
    x, y = np.floor(_points(asked)).astype(int).T
    inside = (x >= 0) & (y >= 0) & (x < width) & (y < height)
    x, y, on_it = x[inside], y[inside], asked.labels[inside] == 1
    right = np.array([np.count_nonzero(c.mask[y, x] == on_it) for c in candidates])
    return [c for c, count in zip(candidates, right, strict=True) if count == right.max()]


def _trust(measures: pd.DataFrame) -> pd.Series:
    """As choose.score, of what no designator bounds."""
    return measures["agreement"].fillna(1) * measures["stability"].fillna(1)


def _in_box(measures: pd.DataFrame) -> pd.Series:
    return _trust(measures) * measures["inside"]


def _every_piece(params: MasksParams) -> MasksParams:
    """Who clicks on several pieces means them all."""
    return params.model_copy(update={"min_piece": 0.0, "near": np.inf})


def _side(crop: Crop) -> int:
    return max(crop.x2 - crop.x1, crop.y2 - crop.y1)


def _runs_out(mask: np.ndarray, crop: Crop) -> bool:
    """Whether a mask ends at the crop's edge where the frame goes on."""
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
    centre, half = (box[:2] + box[2:]) / 2, (box[2:] - box[:2]) / 2 * _GROWTH
    return np.r_[centre - half, centre + half]
