"""Tracking with an image model alone: no video weights, so it runs wherever image segmentation does.

For each object, a crop around the position predicted by constant velocity is encoded once and prompted in
several ways. The mask that best continues the object's history, by area, position, colours and stability, is
selected. If none passes the gates (gates.py), the mask is empty: behind another object, among look-alikes or
after a jump of zoom the object is lost rather than guessed. The search goes on at the extrapolated position,
and accepts only a mask that matches the history. Doubtful masks are returned but never enter the history.

Tracking by prompting again from the last box follows Segment and Track Anything (Cheng et al., 2023);
remembering only sure masks follows DAM4SAM (Videnovic et al., CVPR 2025).
"""

from collections.abc import Callable, Collection, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Literal

import numpy as np
import supervision as sv
from pydantic import BaseModel, Field

from gotowce_dagster.config.params import MasksParams
from gotowce_dagster.core import rle
from gotowce_dagster.core.crops import Crop, around
from gotowce_dagster.core.errors import InputError
from gotowce_dagster.core.files import fresh_file
from gotowce_dagster.core.masks import mask_box_iou, pairwise_mask_iou
from gotowce_dagster.propagation.base import Observation
from gotowce_dagster.propagation.gates import (
    History,
    Snapshot,
    evidence,
    likely_place,
    measure,
    snapshot_of,
    state,
)
from gotowce_dagster.segmenters.base import Candidate, Prediction, Promptable
from gotowce_dagster.segmenters.choose import agreement, around_all, clean_up, tidy, vote
from gotowce_dagster.segmenters.mobile_sam import MobileSam
from gotowce_dagster.segmenters.prompts import Prompt, point, ring, whole
from gotowce_dagster.segmenters.proposals import stability
from gotowce_dagster.segmenters.sam2 import Sam2
from gotowce_dagster.segmenters.sam2_model import CONFIGS

MODELS: tuple[tuple[Callable[[str, MasksParams], Promptable], Collection[str]], ...] = (
    (Sam2, CONFIGS),
    (MobileSam, ("mobile_sam.pt",)),
)
"""Image models and the weights that each supports."""

_SCALE = 3.5
"""Side of the crop, in sides of the object, which may have moved by more than its own size."""

_LEAST_CROP = 48
"""Minimum side of a crop, in pixels; in a smaller one the model would see single pixels."""

_POINT_CROPS = (96, 256)
"""Sides of crops around points, in pixels, in addition to one as large as the frame: the object's size is
unknown."""

_STRICT = 8.0
"""How fast a mask's score falls as its colours differ; with a higher value, parts of the object win."""

_SAME_PLACE = 0.1
"""In sides of the object: of two positions closer than this, only one is prompted."""

Direction = Literal["forward", "reverse"]


class _Prompted(BaseModel):
    """The observation that a prompt gave in its frame."""

    counts: str
    height: int
    width: int
    predicted_iou: float
    stability: float
    snapshot: Snapshot | None

    def observation(self) -> Observation:
        mask = rle.decode(self.counts, self.height, self.width)
        return Observation(mask, self.predicted_iou, np.nan, self.stability)


class _Trail(BaseModel):
    """The last frame and the history of one object in one direction."""

    frame_index: int
    history: History


class _Object(BaseModel):
    """All memory of one object; prompts by frame_index."""

    prompted: dict[int, _Prompted] = Field(default_factory=dict)
    trails: dict[Direction, _Trail] = Field(default_factory=dict)


class _Memory(BaseModel):
    objects: dict[str, _Object] = Field(default_factory=dict)


class ImageTrack:
    """A propagator with the weights of an image segmenter; see base.Propagator.

    Raises:
        InputError: no image model supports these weights.
        MissingWeightsError: the weights are not on this machine and cannot be fetched.
    """

    name = "sam2_image_track"

    def __init__(self, weights: str, params: MasksParams, model: Promptable | None = None) -> None:
        self._params = params
        self._model = model or _build(weights, params)
        self.weights = weights
        self.device = self._model.device
        self._memory = _Memory()

    def begin(self) -> None:
        """Forget every object and frame."""
        self._memory = _Memory()

    def forget(self, object_id: str) -> None:
        """Drop all memory of one object; an unknown object is no error."""
        self._memory.objects.pop(object_id, None)

    def save(self, path: Path) -> None:
        """Save all memory as JSON."""
        with fresh_file(path) as new:
            new.write_text(self._memory.model_dump_json(), encoding="utf-8")

    def load(self, path: Path) -> None:
        """Restore exactly what ``save`` wrote."""
        self._memory = _Memory.model_validate_json(path.read_text(encoding="utf-8"))

    def prompt(
        self, frame_index: int, image: np.ndarray, prompts: dict[str, Prompt]
    ) -> dict[str, Observation]:
        """Prompt objects in a frame; see base.Propagator.

        A mask is used as it is. Points and boxes are predicted on several crops, and the mask on which the
        predictions agree is selected; without one, the mask is empty.
        """
        shape = image.shape[:2]
        to_predict = {name: prompt for name, prompt in prompts.items() if prompt.mask is None}
        crops = {name: _crops(prompt, *shape) for name, prompt in to_predict.items()}
        found = dict.fromkeys(to_predict, _empty(shape))
        flat = [(name, crop) for name, of_one in crops.items() for crop in of_one]
        prompt_sets = [_prompt_variants(to_predict[name], crop) for name, crop in flat]
        predictions = self._model.predict(
            [crop.cut(image) for _, crop in flat], [list(w.values()) for w in prompt_sets]
        )
        candidates: dict[str, list[Candidate]] = {name: [] for name in to_predict}
        for (name, crop), prompt_set, prediction in zip(flat, prompt_sets, predictions, strict=True):
            candidates[name] += self._candidates(prompt_set, prediction, crop, shape, f"@{crop.x2 - crop.x1}")
        for name, prompt in to_predict.items():
            found[name] = self._best_for_prompt(candidates[name], prompt) or _empty(shape)
        for name, prompt in prompts.items():
            if prompt.mask is not None:
                found[name] = Observation(prompt.mask, np.nan, np.nan, np.nan)
            self._remember(name, frame_index, image, found[name])
        return {name: found[name] for name in prompts}

    def step(
        self, frame_index: int, image: np.ndarray, objects: Collection[str], reverse: bool = False
    ) -> dict[str, Observation]:
        """Track objects into the next frame of a pass; see base.Propagator.

        An object without a prompt in an earlier frame, in the direction of the pass, gets an empty mask.
        """
        shape = image.shape[:2]
        direction: Direction = "reverse" if reverse else "forward"
        found = dict.fromkeys(objects, _empty(shape))
        searches: dict[str, tuple[_Trail, Crop, dict[str, Prompt]]] = {}
        for name in objects:
            memory = self._memory.objects.get(name, _Object())
            trail = self._trail(memory, frame_index, direction)
            if frame_index in memory.prompted:
                found[name] = memory.prompted[frame_index].observation()
            elif trail is not None and trail.history.snapshots:
                trail.frame_index = frame_index
                box = trail.history.expected(frame_index)
                if _is_within(box, shape):
                    crop = _around(box, shape)
                    colours = evidence(trail.history, image, crop)
                    likely = likely_place(trail.history, colours, crop, frame_index)
                    searches[name] = trail, crop, _search_prompts(crop.to_crop(box), crop.to_crop(likely))
        prompt_sets = [prompt_set for *_, prompt_set in searches.values()]
        predictions = self._model.predict(
            [crop.cut(image) for _, crop, _ in searches.values()],
            [list(prompt_set.values()) for prompt_set in prompt_sets],
        )
        for (name, (trail, crop, prompt_set)), prediction in zip(searches.items(), predictions, strict=True):
            candidates = self._candidates(prompt_set, prediction, crop, shape)
            found[name] = self._best_continuation(candidates, trail.history, image, frame_index)
        return found

    def _trail(self, memory: _Object, frame_index: int, direction: Direction) -> _Trail | None:
        """The trail that leads to a frame: the last tracked one, updated with any prompt since."""
        sign = -1 if direction == "reverse" else 1
        trail = memory.trails.get(direction)
        if trail is not None and sign * trail.frame_index >= sign * frame_index:
            trail = None
        before = sorted(
            (index for index in memory.prompted if sign * index <= sign * frame_index), key=sign.__mul__
        )
        if before and (trail is None or sign * trail.frame_index < sign * before[-1]):
            snapshot = memory.prompted[before[-1]].snapshot
            history = self._history_after_prompt(trail.history if trail else None, snapshot)
            trail = _Trail(frame_index=before[-1], history=history)
        if trail is not None:
            memory.trails[direction] = trail
        return trail

    def _history_after_prompt(self, history: History | None, snapshot: Snapshot | None) -> History:
        """A history that ends with a prompt. Prompts are trusted: snapshots that differ are dropped."""
        new = History(usual_frames=self._params.propagation.usual_frames)
        if snapshot is None:
            return new
        if history is not None and history.snapshots and _is_continuous(history.snapshots[-1], snapshot):
            new.snapshots = list(history.snapshots)
        new.append(snapshot)
        return new

    def _remember(self, name: str, frame_index: int, image: np.ndarray, found: Observation) -> None:
        memory = self._memory.objects.setdefault(name, _Object())
        height, width = found.mask.shape
        memory.prompted[frame_index] = _Prompted(
            counts=rle.encode(found.mask),
            height=height,
            width=width,
            predicted_iou=found.predicted_iou,
            stability=found.stability,
            snapshot=snapshot_of(found, image, frame_index),
        )
        memory.trails = {
            direction: trail for direction, trail in memory.trails.items() if trail.frame_index != frame_index
        }

    def _candidates(
        self,
        prompts: dict[str, Prompt],
        predictions: Sequence[Prediction],
        crop: Crop,
        shape: tuple[int, int],
        at: str = "",
    ) -> list[Candidate]:
        found = [
            Candidate(
                crop.paste(tidy(logits > 0, self._params.min_piece, self._params.max_hole), *shape),
                f"{name}{at}",
                float(score),
                stability(logits),
            )
            for name, prediction in zip(prompts, predictions, strict=True)
            for logits, score in zip(prediction.logits, prediction.scores, strict=True)
        ]
        return [c for c in found if np.count_nonzero(c.mask) >= self._params.min_area_px]

    def _best_continuation(
        self, candidates: list[Candidate], history: History, image: np.ndarray, frame_index: int
    ) -> Observation:
        """Select the candidate that best continues the history; add it if it is sure, empty if it is lost."""
        nothing = _empty(image.shape[:2])
        if not candidates:
            return nothing
        measures = [measure(history, _observation(c), image, frame_index, None) for c in candidates]
        scores = np.sqrt(_agreement(candidates)) * [_likelihood(m) for m in measures]
        best = int(np.argmax(scores))
        verdict = state(measures[best], self._params.propagation.gates)
        if verdict == "lost":
            return nothing
        if verdict == "sure":
            history.add(_observation(candidates[best]), image, frame_index)
        return _observation(self._voted(candidates, best))

    def _voted(self, candidates: list[Candidate], best: int) -> Candidate:
        """The best candidate with the majority mask of those like it, which drifts less."""
        mask = clean_up(vote(candidates, best, self._params), self._params)
        return replace(candidates[best], mask=mask) if mask.any() else candidates[best]

    def _best_for_prompt(self, candidates: list[Candidate], prompt: Prompt) -> Observation | None:
        """Select the mask on which the predictions for a prompt agree."""
        if not candidates:
            return None
        scores = _agreement(candidates) * [
            c.stability * c.predicted_iou * _prompt_consistency(c.mask, prompt) for c in candidates
        ]
        best = int(np.argmax(scores))
        return _observation(candidates[best]) if scores[best] > 0 else None


def _build(weights: str, params: MasksParams) -> Promptable:
    for model, known in MODELS:
        if weights in known:
            return model(weights, params.model_copy(update={"input_px": params.propagation.track_px}))
    raise InputError(
        f"sam2_image_track has no image model for weights {weights!r}; "
        f"known: {', '.join(name for _, known in MODELS for name in known)}"
    )


def _likelihood(measures: dict[str, float]) -> float:
    """Score how well a mask continues a history. Colours are weighted as in Perez et al., Color-based
    probabilistic tracking, ECCV 2002: by the exponential of the squared Bhattacharyya distance."""
    if measures["area_change"] == 0:
        return 0.0
    colours = np.exp(-_STRICT * (1 - measures["appearance"]))
    own = np.nan_to_num(measures["predicted_iou"], nan=1.0) * np.nan_to_num(measures["stability"], nan=1.0)
    return float(measures["area_change"] ** 2 * measures["motion"] * own * colours)


def _search_prompts(expected: np.ndarray, likely: np.ndarray) -> dict[str, Prompt]:
    """Prompts for an object at its predicted and at its likely position; boxes in pixels of the crop."""
    grown = np.concatenate([1.1 * likely[:2] - 0.1 * likely[2:], 1.1 * likely[2:] - 0.1 * likely[:2]])
    prompts = {
        "point": point(likely),
        "ring": ring(grown),
        "box": whole(likely),
        "grown": whole(grown),
        "both": replace(point(likely), box=likely),
    }
    if np.abs(expected - likely).max() < _SAME_PLACE * (likely[2:] - likely[:2]).max():
        return prompts
    return prompts | {
        "expected_point": point(expected),
        "expected_box": whole(expected),
        "expected_both": replace(point(expected), box=expected),
    }


def _prompt_variants(prompt: Prompt, crop: Crop) -> dict[str, Prompt]:
    """Variants of a human's or a detector's prompt, in pixels of the crop."""
    points = None if prompt.points is None else crop.to_crop(prompt.points)
    if prompt.box is None:
        return {"points": Prompt(points, prompt.labels)}
    box = crop.to_crop(prompt.box)
    prompts = {"box": whole(box), "both": replace(point(box), box=box), "point": point(box)}
    if points is not None:
        prompts |= {"both": Prompt(points, prompt.labels, box), "point": Prompt(points, prompt.labels)}
    return prompts


def _crops(prompt: Prompt, height: int, width: int) -> list[Crop]:
    if prompt.box is not None:
        return [_around(prompt.box, (height, width), scale) for scale in (2.0, _SCALE)]
    assert prompt.points is not None, "a prompt has points, a box or a mask"
    low, high = prompt.points.min(axis=0), prompt.points.max(axis=0)
    middle, extent = (low + high) / 2, float((high - low).max())
    sides = sorted({max(side, round(1.5 * extent)) for side in (*_POINT_CROPS, min(height, width))})
    return [around(np.r_[middle - side / 2, middle + side / 2], 1.0, height, width) for side in sides]


def _around(box: np.ndarray, shape: tuple[int, int], scale: float = _SCALE) -> Crop:
    side = float((box[2:] - box[:2]).max())
    return around(box, max(scale, _LEAST_CROP / max(side, 1.0)), *shape)


def _is_within(box: np.ndarray, shape: tuple[int, int]) -> bool:
    return bool((box[2:] > 0).all() and (box[:2] < shape[::-1]).all())


def _is_continuous(before: Snapshot, snapshot: Snapshot) -> bool:
    """Whether two snapshots overlap and have about the same size, so that the velocity is still valid."""
    overlap = sv.box_iou_batch(np.array([before.box]), np.array([snapshot.box]))[0, 0]
    return overlap > 0 and 0.5 <= before.area_px / snapshot.area_px <= 2


def _prompt_consistency(mask: np.ndarray, prompt: Prompt) -> float:
    """IoU of the mask's box with the prompt's box, times the share of points that the mask satisfies."""
    score = 1.0 if prompt.box is None else mask_box_iou(mask, prompt.box)
    if prompt.points is None or prompt.labels is None:
        return score
    x, y = np.clip(prompt.points.astype(int), 0, np.array(mask.shape[::-1]) - 1).T
    return score * float((mask[y, x] == (prompt.labels == 1)).mean())


def _agreement(candidates: Sequence[Candidate]) -> np.ndarray:
    window = around_all(candidates)
    assert window is not None, "no candidate is empty"
    iou = pairwise_mask_iou(np.stack([window.cut(c.mask) for c in candidates]))
    return np.nan_to_num(agreement(iou, np.array([c.prompt for c in candidates])), nan=1.0)


def _observation(candidate: Candidate) -> Observation:
    return Observation(candidate.mask, candidate.predicted_iou, np.nan, candidate.stability)


def _empty(shape: tuple[int, int]) -> Observation:
    return Observation(np.zeros(shape, bool), np.nan, np.nan, np.nan)
