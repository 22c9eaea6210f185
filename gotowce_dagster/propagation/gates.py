"""What speaks for and against a carried mask, measured against its object's own past, and what follows.

A propagator drifts without saying so: its own scores stay high on the wrong object and on the background.
So each mask is measured against the last frames in which this object was sure, and every measure is a gate
of its own. They are joined by AND: a mean of them creeps back above any threshold a few frames after a cut,
while the area alone had already told. Only sure frames become part of the past, as in DAM4SAM (Videnovic
et al., CVPR 2025: area within a fifth of the median of ten frames) and SAMURAI (Yang et al., 2024: motion
and scores select what is remembered); so what is doubtful never teaches what is usual.
"""

from collections.abc import Mapping
from typing import Literal

import cv2
import numpy as np
from pydantic import BaseModel, Field

from gotowce_dagster.config.params import GateParams, PropagationParams
from gotowce_dagster.core.crops import Crop, around
from gotowce_dagster.propagation.base import Observation

State = Literal["sure", "doubtful", "lost"]

_MOST = 0.5
"""A mask over more than this share of the frame is of no object: what SAM 2 may give for one it has lost."""

_LEAST_SIDE = 8.0
"""Pixels. A smaller object's distances are measured as if it had this size: its mask is uncertain by one."""

_SPREAD = 0.2
"""What is expected of an object spreads by so many of its sizes with every frame in which it is not sure."""

_TREND = 4
"""Looks from which on a trend in size is believed; the last so many tell how an object moves lately."""

_BINS = 16

_EDGE = 2
"""Pixels beyond a mask's outline that may still be the object's, in a compressed picture."""

_BAND = 0.12
"""Beyond these, the band in which its colours should have ended, in its sides; 2 pixels at least."""

_UNREST = 5
"""Frames after the last sure one, at least, before an object that came into doubt is sure again."""

_PRIOR = 0.003
"""Added to shares of colours, of which all make 1, before they are compared: below it none is told apart."""

_RELUCTANCE = 0.3
"""Evidence of colour, in nats, that an object must have for being one size away from where it is expected."""

_SURROUNDINGS = 2.0
"""Surroundings are what lies in a square of so many sides of the object."""


class Look(BaseModel, frozen=True):
    """What an object was like in one frame in which it was sure."""

    time_s: float
    box: tuple[float, float, float, float]
    """xyxy, pixels of the frame."""
    area_px: float
    colours: list[float]
    """Histograms of the three channels of Lab in the mask, one after another; together 1."""
    surroundings: list[float]
    """The same of the pixels around the mask."""


class History(BaseModel):
    """One object's past in one direction of a video: the last frames in which it was sure.

    As text: ``model_dump_json()`` and ``History.model_validate_json(text)``, which give it back exactly.
    """

    usual_frames: int = Field(ge=1)
    """How many looks are kept, and tell what is usual."""
    least_step: float = Field(default=0.0, ge=0)
    """Of the clock: frames may be visited unevenly, and a shorter step from one to the next is not usual."""
    looks: list[Look] = Field(default_factory=list)

    def add(self, observation: Observation, image_rgb: np.ndarray, time_s: float) -> None:
        """Remember a sure frame; an empty mask is none and is passed over.

        Args:
            image_rgb: uint8 (H, W, 3).
            time_s: on any clock that runs evenly, forward or backward.
        """
        if (look := look_of(observation, image_rgb, time_s)) is not None:
            self.remember(look)

    def remember(self, look: Look) -> None:
        """Add a look, and drop the oldest beyond ``usual_frames``."""
        self.looks = [*self.looks, look][-self.usual_frames :]

    def expected(self, time_s: float) -> np.ndarray:
        """The box xyxy (4,) where constant velocity, and growth if there is a trend, lead at a time.

        Raises:
            ValueError: there is no past yet.
        """
        if not self.looks:
            raise ValueError("an object without a past is expected nowhere")
        boxes = np.array([look.box for look in self.looks])
        middles = (boxes[:, :2] + boxes[:, 2:]) / 2
        middle = middles[-1] + _slope(self._times(), middles) * (time_s - self.looks[-1].time_s)
        size = (boxes[-1, 2:] - boxes[-1, :2]) * np.sqrt(self._growth(time_s))
        return np.concatenate([middle - size / 2, middle + size / 2])

    def lately(self) -> "History":
        """The end of the past, which shows a turn, or the end of a zoom, before all of it does."""
        return self.model_copy(update={"looks": self.looks[-_TREND:]})

    def _times(self) -> np.ndarray:
        return np.array([look.time_s for look in self.looks])

    def _gap(self, time_s: float) -> float:
        """Usual steps between looks that have passed since the last one; 1 where nothing is usual yet."""
        times = self._times()
        if len(times) < 2:
            return 1.0
        frame_s = max(self.least_step, float(np.median(np.abs(np.diff(times)))))
        return abs(time_s - times[-1]) / frame_s if frame_s > 0 else 1.0

    def _growth(self, time_s: float) -> float:
        """Area at a time over that of the last look, at most doubled or halved; 1 without a trend."""
        if len(self.looks) < _TREND:
            return 1.0
        logs = np.log([[look.area_px] for look in self.looks])
        change = _slope(self._times(), logs)[0] * (time_s - self.looks[-1].time_s)
        return float(np.exp(np.clip(change, -np.log(2), np.log(2))))


def look_of(observation: Observation, image_rgb: np.ndarray, time_s: float) -> Look | None:
    """What an object is like in a frame; None where its mask is empty."""
    window = Crop.of_mask(observation.mask)
    if window is None:
        return None
    colours, surroundings = _colours(observation.mask, window, image_rgb)
    x1, y1, x2, y2 = window.box.tolist()
    return Look(
        time_s=time_s,
        box=(x1, y1, x2, y2),
        area_px=float(np.count_nonzero(observation.mask)),
        colours=colours.tolist(),
        surroundings=surroundings.tolist(),
    )


def measure(
    history: History,
    observation: Observation,
    image_rgb: np.ndarray,
    time_s: float,
    detection_mask: np.ndarray | None,
) -> dict[str, float]:
    """How far one mask agrees with what is known of its object; NaN speaks neither for nor against.

    Args:
        image_rgb: uint8 (H, W, 3), the frame of the mask.
        time_s: on the clock of ``history``.
        detection_mask: bool (H, W) of this frame's detection of the object; None where there is none.

    Returns:
        predicted_iou: the model's own guess. Confident on wrong masks of small targets, so a weak gate.
        object_score: the model's logit of the object being in sight (SAM 2: tracked 6 to 8, lost below 0).
        stability: IoU of the mask under a shift of its threshold, the best single sign of a good mask.
        area_change: 1 for the usual area, the last one, that to which a smooth zoom leads, and any between
            them; half or double is 0.5. 0 for an empty mask and for one over most of the frame, whatever the
            past.
        motion: 1 in the place where constant velocity leads, 0.37 one size of the object away. Before a
            velocity is known one size of distance is free.
        appearance: 1 for the usual colours, 0 for none of those that tell the object from its surroundings;
            less by what of them is beyond the mask: right behind its outline, where the mask is only a part
            of the object or a look-alike touches it, or left in the place where the object was expected,
            where the mask has gone over to a look-alike.
        detected: IoU with the detection's mask.
        calm: 0 for some frames after one that was not sure, else 1. While a look-alike crosses, the two are
            for a moment exactly where and what the one was, and no measure of that frame alone can tell.
    """
    area = float(np.count_nonzero(observation.mask))
    window = Crop.of_mask(observation.mask)
    nothing = window is None or area > _MOST * observation.mask.size
    measures = {
        "predicted_iou": observation.predicted_iou,
        "object_score": observation.object_score,
        "stability": observation.stability,
        "area_change": 0.0 if nothing else np.nan,
        "motion": np.nan,
        "appearance": np.nan,
        "detected": np.nan if detection_mask is None else _iou(observation.mask, detection_mask),
        "calm": _calm(history, time_s),
    }
    if nothing or window is None or not history.looks:
        return measures
    return measures | {
        "area_change": _area_change(history, area, time_s),
        "motion": _motion(history, window.box, time_s),
        "appearance": _likeness(history, _colours(observation.mask, window, image_rgb)[0])
        * (1 - _beyond(history, observation.mask, window, image_rgb, time_s)),
    }


def evidence(history: History, image_rgb: np.ndarray, window: Crop) -> np.ndarray:
    """How far each pixel's colour is the object's rather than its surroundings', in nats: float32 (h, w).

    The back-projection of Swain and Ballard, Color indexing, IJCV 1991, as a log-likelihood ratio.

    Args:
        image_rgb: uint8 (H, W, 3).
        window: the part of it that is asked for.
    """
    own, around_it = _recent(history)
    ratio = np.log((own + _PRIOR) / (around_it + _PRIOR)).clip(-2, 2).reshape(3, _BINS).astype(np.float32)
    bins = cv2.cvtColor(window.cut(image_rgb), cv2.COLOR_RGB2LAB) // (256 // _BINS)
    return np.mean([ratio[channel][bins[..., channel]] for channel in range(3)], axis=0)


def likely_place(history: History, evidence: np.ndarray, window: Crop, time_s: float) -> np.ndarray:
    """Where in a window the object's colours are, near where constant velocity leads: its box, xyxy (4,).

    It finds what has turned, or made a leap, since its last look.

    Args:
        evidence: of the pixels of the window, (h, w).
    """
    expected = history.expected(time_s)
    size = expected[2:] - expected[:2]
    side = max(3, round(float(np.sqrt(history.looks[-1].area_px * history._growth(time_s)))))
    there = cv2.blur(evidence, (side, side), borderType=cv2.BORDER_REFLECT)
    x, y = np.meshgrid(np.arange(window.x1, window.x2) + 0.5, np.arange(window.y1, window.y2) + 0.5)
    middle = (expected[:2] + expected[2:]) / 2
    away = np.hypot(x - middle[0], y - middle[1]) / max(_LEAST_SIDE, float(size.max()))
    row, column = np.unravel_index(np.argmax(there - _RELUCTANCE * away), there.shape)
    found = np.array([window.x1 + column + 0.5, window.y1 + row + 0.5])
    return np.concatenate([found - size / 2, found + size / 2])


def state(measures: Mapping[str, float], gates: Mapping[str, GateParams]) -> State:
    """Sure if every gate is passed, lost if one measure is below its ``lost`` or there is no object at all.

    Measures without a gate, and those that are NaN, decide nothing.
    """
    if measures["area_change"] == 0 or any(measures[name] < gate.lost for name, gate in gates.items()):
        return "lost"
    return "doubtful" if any(measures[name] < gate.sure for name, gate in gates.items()) else "sure"


def scene_jump(before_rgb: np.ndarray, after_rgb: np.ndarray, params: PropagationParams) -> bool:
    """Whether the picture jumped between two frames visited one after the other: a cut, or a jump of zoom.

    The middle of the later frame is looked for everywhere in the earlier one, so a turn of the camera by up
    to a quarter of the picture is no jump. What moves or flashes before a sky is none either: most of the
    picture must have changed. A jump before an even sky alone is left to the objects' own gates.

    Args:
        before_rgb: uint8 (H, W, 3).
        after_rgb: the same; another size is always a jump.
    """
    if before_rgb.shape != after_rgb.shape:
        return True
    before, after = (_glance(image) for image in (before_rgb, after_rgb))
    if np.median(cv2.absdiff(before, after)) < params.jump_change:
        return False
    height, width = after.shape
    middle = after[height // 4 : height - height // 4, width // 4 : width - width // 4]
    return float(cv2.matchTemplate(before, middle, cv2.TM_CCOEFF_NORMED).max()) < params.jump_similarity


def _glance(image_rgb: np.ndarray) -> np.ndarray:
    """Luma uint8, 128 pixels wide: enough for the structure of a whole picture."""
    height, width = image_rgb.shape[:2]
    small = cv2.resize(image_rgb, (128, max(8, round(128 * height / width))), interpolation=cv2.INTER_AREA)
    return cv2.cvtColor(small, cv2.COLOR_RGB2GRAY)


def _calm(history: History, time_s: float) -> float:
    """Only sure frames leave a look, so a gap in their times is a doubt; it lasts _UNREST frames at least."""
    return float(not 1.5 < history._gap(time_s) <= _UNREST + 0.5)


def _area_change(history: History, area: float, time_s: float) -> float:
    """Against the usual area, the last one and that to which a trend leads; 1 anywhere between them. A trend
    may end at any time, and what comes out from behind another thing grows from its last area to its usual.
    """
    areas = [look.area_px for look in history.looks]
    known = [float(np.median(areas)), areas[-1], areas[-1] * history._growth(time_s)]
    return min(1.0, area / min(known), max(known) / area)


def _motion(history: History, box: np.ndarray, time_s: float) -> float:
    """From the nearer of the places to which its velocity leads, its usual and its last one."""
    return max(_nearness(part, box, time_s) for part in (history, history.lately()))


def _nearness(history: History, box: np.ndarray, time_s: float) -> float:
    expected = history.expected(time_s)
    size = max(_LEAST_SIDE, float((expected[2:] - expected[:2]).max()))
    size *= 1 + _SPREAD * max(0.0, history._gap(time_s) - 1)
    distance = float(np.hypot(*((box[:2] + box[2:]) - (expected[:2] + expected[2:])) / 2)) / size
    free = 1.0 if len(history.looks) == 1 else 0.0
    return float(np.exp(-max(0.0, distance - free)))


def _likeness(history: History, colours: np.ndarray) -> float:
    """Bhattacharyya coefficient with the mean of the recent looks, each colour weighted by how far it tells
    the object from its surroundings: the background-weighted histogram of Comaniciu et al., Kernel-based
    object tracking, TPAMI 2003.
    """
    own, around_it = _recent(history)
    weight = own / np.maximum(own + around_it, 1e-12)
    return min(1.0, float((weight * np.sqrt(own * colours)).sum() / (weight * own).sum()))


def _beyond(history: History, mask: np.ndarray, window: Crop, image_rgb: np.ndarray, time_s: float) -> float:
    """How much beyond a mask has the object's colours, 0 to 1: as a share of a band around it, off its
    uncertain edge, or, if that is more, in the object's expected place as a share of its last area.
    """
    expected = history.expected(time_s)
    both = np.concatenate(
        [np.minimum(window.box[:2], expected[:2]), np.maximum(window.box[2:], expected[2:])]
    )
    wide = around(both, _SURROUNDINGS, *mask.shape)
    inside = wide.cut(mask)
    colours = evidence(history, image_rgb, wide)
    alike = colours > max(0.0, float(np.median(colours[inside])) / 2)
    outside = ~_grown(inside, _EDGE)
    near = _EDGE + max(2, round(_BAND * float((window.box[2:] - window.box[:2]).max())))
    band = _grown(inside, near) & outside
    x1, y1, x2, y2 = np.clip(np.round(wide.to_crop(expected)).astype(int), 0, None)
    left = np.count_nonzero((alike & outside)[y1:y2, x1:x2]) / history.looks[-1].area_px
    return max(float(alike[band].mean()) if band.any() else 0.0, min(1.0, left))


def _grown(mask: np.ndarray, by: int) -> np.ndarray:
    disc = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (2 * by + 1, 2 * by + 1))
    return cv2.dilate(mask.astype(np.uint8), disc).astype(bool)


def _recent(history: History) -> tuple[np.ndarray, np.ndarray]:
    """Mean histograms (3 * bins,) of the object and of its surroundings."""
    looks = history.looks
    return np.mean([k.colours for k in looks], axis=0), np.mean([k.surroundings for k in looks], axis=0)


def _colours(mask: np.ndarray, window: Crop, image_rgb: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Histograms of the mask and of what is around it, (3 * bins,) each, their sum 1 or 0."""
    wide = around(window.box, _SURROUNDINGS, *mask.shape)
    inside = wide.cut(mask)
    lab = cv2.cvtColor(wide.cut(image_rgb), cv2.COLOR_RGB2LAB)
    return _histogram(lab[inside]), _histogram(lab[~inside])


def _histogram(pixels: np.ndarray) -> np.ndarray:
    """Of Lab uint8 (n, 3) to (3 * bins,). Each pixel counts in its bin and, half, in those beside it: a small
    object has few pixels, and their noise must not change its looks.
    """
    counts = np.stack([np.bincount(channel // (256 // _BINS), minlength=_BINS) for channel in pixels.T])
    soft = counts + (np.pad(counts, ((0, 0), (1, 1)))[:, :-2] + np.pad(counts, ((0, 0), (1, 1)))[:, 2:]) / 2
    return (soft / max(soft.sum(), 1)).ravel()


def _slope(times: np.ndarray, values: np.ndarray) -> np.ndarray:
    """Of the least-squares line through values (n, k) at times (n,): (k,) a unit of time; 0 for one."""
    away = times - times.mean()
    spread = (away**2).sum()
    return (away @ (values - values.mean(axis=0))) / spread if spread > 0 else np.zeros(values.shape[1])


def _iou(one: np.ndarray, other: np.ndarray) -> float:
    either = np.count_nonzero(one | other)
    return np.count_nonzero(one & other) / either if either else 0.0
