"""Masks carried by an image model alone: no video weights, so it runs wherever image masks do.

For each object a crop around the place where constant velocity leads it is encoded once and asked several
ways; of all masks the one is taken that continues the object's past best, by area, place and colours, and
is stable. What does not continue it (gates.py) gives an empty mask: behind another object, among
look-alikes or after a jump of zoom this ends the object rather than guess. It is looked for again where it
would be by now, and found only if it is as it was; doubtful masks are shown but never learned from.

The idea of tracking by prompting anew from the last box is that of Segment and Track Anything (Cheng et
al., 2023); to remember what is sure only, of DAM4SAM (Videnovic et al., CVPR 2025).
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
from gotowce_dagster.propagation.base import Observation
from gotowce_dagster.propagation.gates import History, Look, evidence, likely_place, look_of, measure, state
from gotowce_dagster.segmenters.base import Answer, Candidate, Promptable
from gotowce_dagster.segmenters.choose import agreement, clean_up, mask_iou, tidy, vote
from gotowce_dagster.segmenters.mobile_sam import MobileSam
from gotowce_dagster.segmenters.prompts import Prompt, point, ring, whole
from gotowce_dagster.segmenters.proposals import stability
from gotowce_dagster.segmenters.sam2 import Sam2
from gotowce_dagster.segmenters.sam2_model import CONFIGS

MODELS: tuple[tuple[Callable[[str, MasksParams], Promptable], Collection[str]], ...] = (
    (Sam2, CONFIGS),
    (MobileSam, ("mobile_sam.pt",)),
)
"""Which image model takes which weights."""

_SCALE = 3.5
"""Side of the crop, in sides of the object: it may have moved by more than its own size."""

_LEAST_CROP = 48
"""Pixels; closer up, the model sees single pixels."""

_POINT_CROPS = (96, 256)
"""Sides of crops around points, in pixels, beside one as large as the frame: nobody said how large it is."""

_STRICT = 8.0
"""How fast a mask loses as it looks less like the object; with more, parts of the object win."""

_SAME_PLACE = 0.1
"""In sides of the object: where two places are nearer than this, only one is asked about."""

Direction = Literal["forward", "reverse"]


class _Told(BaseModel):
    """What a prompt gave in its frame."""

    counts: str
    height: int
    width: int
    predicted_iou: float
    stability: float
    look: Look | None

    def observation(self) -> Observation:
        mask = rle.decode(self.counts, self.height, self.width)
        return Observation(mask, self.predicted_iou, np.nan, self.stability)


class _Trail(BaseModel):
    """How far one object was followed in one direction."""

    frame_index: int
    history: History


class _Object(BaseModel):
    """All memory of one object; prompts by their frames."""

    told: dict[int, _Told] = Field(default_factory=dict)
    trails: dict[Direction, _Trail] = Field(default_factory=dict)


class _Memory(BaseModel):
    objects: dict[str, _Object] = Field(default_factory=dict)


class ImageTrack:
    """The propagator; see base.Propagator. Its weights are those of an image segmenter.

    Raises:
        InputError: weights that no image model is known for.
        MissingWeightsError: the weights are neither here nor reachable.
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
        """Drop all memory of one object; one never told of is no error."""
        self._memory.objects.pop(object_id, None)

    def save(self, path: Path) -> None:
        """Write all memory as JSON."""
        with fresh_file(path) as new:
            new.write_text(self._memory.model_dump_json(), encoding="utf-8")

    def load(self, path: Path) -> None:
        """Take up what ``save`` wrote, exactly."""
        self._memory = _Memory.model_validate_json(path.read_text(encoding="utf-8"))

    def prompt(
        self, frame_index: int, image: np.ndarray, prompts: dict[str, Prompt]
    ) -> dict[str, Observation]:
        """Tell what objects are in a frame; see base.Propagator.

        A mask is taken as it is. Points and boxes are asked on several crops, and the mask on which the
        answers agree is taken; where there is none, it is empty.
        """
        shape = image.shape[:2]
        asked = {name: prompt for name, prompt in prompts.items() if prompt.mask is None}
        crops = {name: _crops(prompt, *shape) for name, prompt in asked.items()}
        found = dict.fromkeys(asked, _nothing(shape))
        flat = [(name, crop) for name, of_one in crops.items() for crop in of_one]
        ways = [_ways_of(asked[name], crop) for name, crop in flat]
        answers = self._model.ask([crop.cut(image) for _, crop in flat], [list(w.values()) for w in ways])
        candidates: dict[str, list[Candidate]] = {name: [] for name in asked}
        for (name, crop), way, answer in zip(flat, ways, answers, strict=True):
            candidates[name] += self._candidates(way, answer, crop, shape, f"@{crop.x2 - crop.x1}")
        for name, prompt in asked.items():
            found[name] = self._as_told(candidates[name], prompt) or _nothing(shape)
        for name, prompt in prompts.items():
            if prompt.mask is not None:
                found[name] = Observation(prompt.mask, np.nan, np.nan, np.nan)
            self._remember(name, frame_index, image, found[name])
        return {name: found[name] for name in prompts}

    def step(
        self, frame_index: int, image: np.ndarray, objects: Collection[str], reverse: bool = False
    ) -> dict[str, Observation]:
        """Find known objects in the next frame of a pass; see base.Propagator.

        An object that no frame before told of, in the direction of the pass, is not seen.
        """
        shape = image.shape[:2]
        direction: Direction = "reverse" if reverse else "forward"
        found = dict.fromkeys(objects, _nothing(shape))
        searches: dict[str, tuple[_Trail, Crop, dict[str, Prompt]]] = {}
        for name in objects:
            known = self._memory.objects.get(name, _Object())
            trail = self._trail(known, frame_index, direction)
            if frame_index in known.told:
                found[name] = known.told[frame_index].observation()
            elif trail is not None and trail.history.looks:
                trail.frame_index = frame_index
                box = trail.history.expected(frame_index)
                if _is_within(box, shape):
                    crop = _around(box, shape)
                    colours = evidence(trail.history, image, crop)
                    likely = likely_place(trail.history, colours, crop, frame_index)
                    searches[name] = trail, crop, _ways(crop.to_crop(box), crop.to_crop(likely))
        ways = [way for *_, way in searches.values()]
        answers = self._model.ask(
            [crop.cut(image) for _, crop, _ in searches.values()], [list(way.values()) for way in ways]
        )
        for (name, (trail, crop, way)), answer in zip(searches.items(), answers, strict=True):
            candidates = self._candidates(way, answer, crop, shape)
            found[name] = self._continued(candidates, trail.history, image, frame_index)
        return found

    def _trail(self, known: _Object, frame_index: int, direction: Direction) -> _Trail | None:
        """The past that leads to a frame: the last one followed, with what was told since taken up."""
        sign = -1 if direction == "reverse" else 1
        trail = known.trails.get(direction)
        if trail is not None and sign * trail.frame_index >= sign * frame_index:
            trail = None
        before = sorted((told for told in known.told if sign * told <= sign * frame_index), key=sign.__mul__)
        if before and (trail is None or sign * trail.frame_index < sign * before[-1]):
            look = known.told[before[-1]].look
            history = self._taken_up(trail.history if trail else None, look)
            trail = _Trail(frame_index=before[-1], history=history)
        if trail is not None:
            known.trails[direction] = trail
        return trail

    def _taken_up(self, history: History | None, look: Look | None) -> History:
        """Past that ends with what was told. A prompt is right, so looks that differ from it are dropped."""
        new = History(usual_frames=self._params.propagation.usual_frames)
        if look is None:
            return new
        if history is not None and history.looks and _continues(history.looks[-1], look):
            new.looks = list(history.looks)
        new.remember(look)
        return new

    def _remember(self, name: str, frame_index: int, image: np.ndarray, found: Observation) -> None:
        known = self._memory.objects.setdefault(name, _Object())
        height, width = found.mask.shape
        known.told[frame_index] = _Told(
            counts=rle.encode(found.mask),
            height=height,
            width=width,
            predicted_iou=found.predicted_iou,
            stability=found.stability,
            look=look_of(found, image, frame_index),
        )
        known.trails = {
            direction: trail for direction, trail in known.trails.items() if trail.frame_index != frame_index
        }

    def _candidates(
        self,
        ways: dict[str, Prompt],
        answers: Sequence[Answer],
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
            for name, answer in zip(ways, answers, strict=True)
            for logits, score in zip(answer.logits, answer.scores, strict=True)
        ]
        return [c for c in found if np.count_nonzero(c.mask) >= self._params.min_area_px]

    def _continued(
        self, candidates: list[Candidate], history: History, image: np.ndarray, frame_index: int
    ) -> Observation:
        """The candidate that continues the past best, remembered if it is sure; empty if it is lost."""
        nothing = _nothing(image.shape[:2])
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
        """The best candidate with the mask that most of those like it agree on: it drifts less."""
        mask = clean_up(vote(candidates, best, self._params), self._params)
        return replace(candidates[best], mask=mask) if mask.any() else candidates[best]

    def _as_told(self, candidates: list[Candidate], prompt: Prompt) -> Observation | None:
        """The mask on which the answers to a prompt agree."""
        if not candidates:
            return None
        scores = _agreement(candidates) * [
            c.stability * c.predicted_iou * _obedience(c.mask, prompt) for c in candidates
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
    """How well a mask continues a past. Colours count as in Perez et al., Color-based probabilistic
    tracking, ECCV 2002: by the exponential of the squared Bhattacharyya distance."""
    if measures["area_change"] == 0:
        return 0.0
    colours = np.exp(-_STRICT * (1 - measures["appearance"]))
    own = np.nan_to_num(measures["predicted_iou"], nan=1.0) * np.nan_to_num(measures["stability"], nan=1.0)
    return float(measures["area_change"] ** 2 * measures["motion"] * own * colours)


def _ways(expected: np.ndarray, likely: np.ndarray) -> dict[str, Prompt]:
    """How an object is asked for where it is expected and where it likely is, boxes in pixels of the crop."""
    grown = np.concatenate([1.1 * likely[:2] - 0.1 * likely[2:], 1.1 * likely[2:] - 0.1 * likely[:2]])
    ways = {
        "point": point(likely),
        "ring": ring(grown),
        "box": whole(likely),
        "grown": whole(grown),
        "both": replace(point(likely), box=likely),
    }
    if np.abs(expected - likely).max() < _SAME_PLACE * (likely[2:] - likely[:2]).max():
        return ways
    return ways | {
        "expected_point": point(expected),
        "expected_box": whole(expected),
        "expected_both": replace(point(expected), box=expected),
    }


def _ways_of(prompt: Prompt, crop: Crop) -> dict[str, Prompt]:
    """How a human's or a detector's prompt is asked, in pixels of the crop."""
    points = None if prompt.points is None else crop.to_crop(prompt.points)
    if prompt.box is None:
        return {"points": Prompt(points, prompt.labels)}
    box = crop.to_crop(prompt.box)
    ways = {"box": whole(box), "both": replace(point(box), box=box), "point": point(box)}
    if points is not None:
        ways |= {"both": Prompt(points, prompt.labels, box), "point": Prompt(points, prompt.labels)}
    return ways


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


def _continues(before: Look, look: Look) -> bool:
    """Whether two looks are of about one size and touch: the older past then still tells the velocity."""
    overlap = sv.box_iou_batch(np.array([before.box]), np.array([look.box]))[0, 0]
    return overlap > 0 and 0.5 <= before.area_px / look.area_px <= 2


def _obedience(mask: np.ndarray, prompt: Prompt) -> float:
    """IoU of the mask's box with the prompt's, times the share of its points that the mask gets right."""
    score = 1.0 if prompt.box is None else _box_iou(mask, prompt.box)
    if prompt.points is None or prompt.labels is None:
        return score
    x, y = np.clip(prompt.points.astype(int), 0, np.array(mask.shape[::-1]) - 1).T
    return score * float((mask[y, x] == (prompt.labels == 1)).mean())


def _agreement(candidates: Sequence[Candidate]) -> np.ndarray:
    windows = [window.box for c in candidates if (window := Crop.of_mask(c.mask))]
    boxes = np.array(windows).astype(int)
    all_of_them = Crop(*boxes[:, :2].min(axis=0).tolist(), *boxes[:, 2:].max(axis=0).tolist())
    masks = np.stack([all_of_them.cut(c.mask) for c in candidates])
    return np.nan_to_num(agreement(mask_iou(masks), np.array([c.prompt for c in candidates])), nan=1.0)


def _box_iou(mask: np.ndarray, box: np.ndarray) -> float:
    window = Crop.of_mask(mask)
    return 0.0 if window is None else float(sv.box_iou_batch(window.box[None], box[None])[0, 0])


def _observation(candidate: Candidate) -> Observation:
    return Observation(candidate.mask, candidate.predicted_iou, np.nan, candidate.stability)


def _nothing(shape: tuple[int, int]) -> Observation:
    return Observation(np.zeros(shape, bool), np.nan, np.nan, np.nan)
