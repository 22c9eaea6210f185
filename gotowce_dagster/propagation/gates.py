"""Quality gates: measure a propagated mask against its object's history and derive its state.

A propagator drifts silently: its own scores stay high on the wrong object and on the background. So each mask
is compared with the last frames in which its object was sure, and every measure has a gate of its own. The
gates are combined with AND: a mean of the measures climbs back above any threshold a few frames after a cut,
although the area alone shows the failure. Only sure frames enter the history, as in DAM4SAM (Videnovic et
al., CVPR 2025: area within a fifth of the median of ten frames) and SAMURAI (Yang et al., 2024: motion and
scores select the memory), so a doubtful mask never changes what is expected.
"""

from collections.abc import Mapping
from typing import Literal

import cv2
import numpy as np
from pydantic import BaseModel, Field

from gotowce_dagster.config.params import GateParams, PropagationParams
from gotowce_dagster.core.boxes import centres
from gotowce_dagster.core.crops import Crop, around
from gotowce_dagster.core.masks import mask_iou
from gotowce_dagster.propagation.base import Observation

State = Literal["sure", "doubtful", "lost"]

_MOST = 0.5
"""A mask over more than this share of the frame is no object; SAM 2 may return one for a lost object."""

_LEAST_SIDE = 8.0
"""Pixels. Distances of smaller objects are measured as if they had this size: masks are uncertain by one."""

_SPREAD = 0.2
"""Growth of the tolerance in position, in sizes of the object, per frame in which it is not sure."""

_TREND = 4
"""Minimum number of snapshots for a trend in size, and the number that gives the recent motion."""

_BINS = 16

_EDGE = 2
"""Pixels beyond a mask's outline that may still belong to the object, in a compressed image."""

_BAND = 0.12
"""Width of the band beyond that margin where the object's colours should have ended, in sides of the object;
at least 2 pixels."""

_UNREST = 5
"""Minimum number of frames after the last sure one before a doubtful object can be sure again."""

_PRIOR = 0.003
"""Added to colour shares, which sum to 1, before they are compared: shares below it do not count."""

_RELUCTANCE = 0.3
"""Colour evidence, in nats, required of an object for each size of distance from its expected position."""

_SURROUNDINGS = 2.0
"""Side of the square that counts as the object's surroundings, in sides of the object."""


class Snapshot(BaseModel, frozen=True):
    """The box, area and colours of an object in one frame in which it was sure."""

    time_s: float
    box: tuple[float, float, float, float]
    """xyxy, pixels of the frame."""
    area_px: float
    colours: list[float]
    """Concatenated histograms of the three Lab channels inside the mask; they sum to 1."""
    surroundings: list[float]
    """The same for the pixels around the mask."""


class History(BaseModel):
    """The history of one object in one pass: the last frames in which it was sure.

    ``model_dump_json()`` and ``History.model_validate_json(text)`` restore it exactly.
    """

    usual_frames: int = Field(ge=1)
    """Number of snapshots kept, which define the usual area, colours and motion."""
    least_step: float = Field(default=0.0, ge=0)
    """Minimum step between frames on the clock: frames may be visited unevenly, and shorter steps do not
    count as usual."""
    snapshots: list[Snapshot] = Field(default_factory=list)

    def add(self, observation: Observation, image_rgb: np.ndarray, time_s: float) -> None:
        """Add a sure frame; an empty mask is skipped.

        Args:
            image_rgb: uint8 (H, W, 3).
            time_s: on any steady clock, forward or backward.
        """
        if (snapshot := snapshot_of(observation, image_rgb, time_s)) is not None:
            self.append(snapshot)

    def append(self, snapshot: Snapshot) -> None:
        """Add a snapshot, and drop the oldest beyond ``usual_frames``."""
        self.snapshots = [*self.snapshots, snapshot][-self.usual_frames :]

    def expected(self, time_s: float) -> np.ndarray:
        """Extrapolate the box, xyxy (4,), to a time by constant velocity and, if there is a trend, growth.

        Raises:
            ValueError: the history is empty.
        """
        if not self.snapshots:
            raise ValueError("the history is empty: no position can be predicted")
        boxes = np.array([snapshot.box for snapshot in self.snapshots])
        middles = centres(boxes)
        middle = middles[-1] + _slope(self._times(), middles) * (time_s - self.snapshots[-1].time_s)
        size = (boxes[-1, 2:] - boxes[-1, :2]) * np.sqrt(self._growth(time_s))
        return np.concatenate([middle - size / 2, middle + size / 2])

    def recent(self) -> "History":
        """The end of the history, which shows a turn or the end of a zoom earlier than the whole."""
        return self.model_copy(update={"snapshots": self.snapshots[-_TREND:]})

    def _times(self) -> np.ndarray:
        return np.array([snapshot.time_s for snapshot in self.snapshots])

    def _gap(self, time_s: float) -> float:
        """Time since the last snapshot in usual steps; 1 with fewer than two snapshots."""
        times = self._times()
        if len(times) < 2:
            return 1.0
        frame_s = max(self.least_step, float(np.median(np.abs(np.diff(times)))))
        return abs(time_s - times[-1]) / frame_s if frame_s > 0 else 1.0

    def _growth(self, time_s: float) -> float:
        """Predicted area relative to the last snapshot, from one half to double; 1 without a trend."""
        if len(self.snapshots) < _TREND:
            return 1.0
        logs = np.log([[snapshot.area_px] for snapshot in self.snapshots])
        change = _slope(self._times(), logs)[0] * (time_s - self.snapshots[-1].time_s)
        return float(np.exp(np.clip(change, -np.log(2), np.log(2))))


def snapshot_of(observation: Observation, image_rgb: np.ndarray, time_s: float) -> Snapshot | None:
    """Measure an object's box, area and colours in a frame; None if its mask is empty."""
    window = Crop.of_mask(observation.mask)
    if window is None:
        return None
    colours, surroundings = _colours(observation.mask, window, image_rgb)
    x1, y1, x2, y2 = window.box.tolist()
    return Snapshot(
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
    """Compare one mask with the history of its object; NaN where a measure is unknown.

    Args:
        image_rgb: uint8 (H, W, 3), the frame of the mask.
        time_s: on the clock of ``history``.
        detection_mask: bool (H, W) of this frame's detection of the object; None if there is none.

    Returns:
        predicted_iou: the model's own estimate. It is high on wrong masks of small targets, so a weak gate.
        object_score: the model's logit of the object being visible (SAM 2: tracked 6 to 8, lost below 0).
        stability: IoU of the mask under a shift of its threshold, the best single sign of a good mask.
        area_change: 1 for the usual area, the last area, the area predicted by a smooth zoom, and any area
            between them; 0.5 for half or double. Always 0 for an empty mask and for one over most of the
            frame.
        motion: 1 at the position predicted by constant velocity, 0.37 at one object size from it. Before the
            velocity is known, one size of distance costs nothing.
        appearance: 1 for the usual colours, 0 for none of the colours that distinguish the object from its
            surroundings. Reduced by such colours outside the mask: just beyond its outline, where the mask
            covers only part of the object or a look-alike touches it, or at the predicted position, where
            the mask has switched to a look-alike.
        detected: IoU with the detection's mask.
        calm: 0 for some frames after one that was not sure, else 1. While a look-alike crosses, it may have
            the position and appearance of the object, and no measure of that frame alone can separate them.
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
        "detected": np.nan if detection_mask is None else mask_iou(observation.mask, detection_mask),
        "calm": _calm(history, time_s),
    }
    if nothing or window is None or not history.snapshots:
        return measures
    return measures | {
        "area_change": _area_change(history, area, time_s),
        "motion": _motion(history, window.box, time_s),
        "appearance": _likeness(history, _colours(observation.mask, window, image_rgb)[0])
        * (1 - _beyond(history, observation.mask, window, image_rgb, time_s)),
    }


def evidence(history: History, image_rgb: np.ndarray, window: Crop) -> np.ndarray:
    """Compute per pixel the log-likelihood ratio of object against surroundings, in nats: float32 (h, w).

    This is the back-projection of Swain and Ballard, Color indexing, IJCV 1991, as a log-likelihood ratio.

    Args:
        image_rgb: uint8 (H, W, 3).
        window: the part of the image to evaluate.
    """
    own, around_it = _recent(history)
    ratio = np.log((own + _PRIOR) / (around_it + _PRIOR)).clip(-2, 2).reshape(3, _BINS).astype(np.float32)
    bins = cv2.cvtColor(window.cut(image_rgb), cv2.COLOR_RGB2LAB) // (256 // _BINS)
    return np.mean([ratio[channel][bins[..., channel]] for channel in range(3)], axis=0)


def likely_place(history: History, evidence: np.ndarray, window: Crop, time_s: float) -> np.ndarray:
    """Locate the object in a window by its colours, near the predicted position: its box, xyxy (4,).

    Finds objects that have turned or jumped since their last snapshot.

    Args:
        evidence: of the pixels of the window, (h, w).
    """
    expected = history.expected(time_s)
    size = expected[2:] - expected[:2]
    side = max(3, round(float(np.sqrt(history.snapshots[-1].area_px * history._growth(time_s)))))
    smoothed = cv2.blur(evidence, (side, side), borderType=cv2.BORDER_REFLECT)
    x, y = np.meshgrid(np.arange(window.x1, window.x2) + 0.5, np.arange(window.y1, window.y2) + 0.5)
    middle = centres(expected)
    away = np.hypot(x - middle[0], y - middle[1]) / max(_LEAST_SIDE, float(size.max()))
    row, column = np.unravel_index(np.argmax(smoothed - _RELUCTANCE * away), smoothed.shape)
    found = np.array([window.x1 + column + 0.5, window.y1 + row + 0.5])
    return np.concatenate([found - size / 2, found + size / 2])


def state(measures: Mapping[str, float], gates: Mapping[str, GateParams]) -> State:
    """Derive the state of a mask: sure if it passes every gate, lost if any measure is below its ``lost``
    threshold or there is no object, else doubtful.

    Measures without a gate and NaN measures are ignored.
    """
    if measures["area_change"] == 0 or any(measures[name] < gate.lost for name, gate in gates.items()):
        return "lost"
    return "doubtful" if any(measures[name] < gate.sure for name, gate in gates.items()) else "sure"


def scene_jump(before_rgb: np.ndarray, after_rgb: np.ndarray, params: PropagationParams) -> bool:
    """Detect a scene jump between two consecutively visited frames: a cut, or a jump of zoom.

    The centre of the later frame is matched everywhere in the earlier one, so a camera turn of up to a
    quarter of the image is no jump. Neither is an object that moves or flashes before a sky: most of the
    image must change. A jump in front of a uniform sky is left to the gates of the objects.

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
    """Luma uint8, 128 pixels wide: enough for the structure of a whole image."""
    height, width = image_rgb.shape[:2]
    small = cv2.resize(image_rgb, (128, max(8, round(128 * height / width))), interpolation=cv2.INTER_AREA)
    return cv2.cvtColor(small, cv2.COLOR_RGB2GRAY)


def _calm(history: History, time_s: float) -> float:
    """Only sure frames leave a snapshot, so a gap in time means doubt; it lasts at least _UNREST frames."""
    return float(not 1.5 < history._gap(time_s) <= _UNREST + 0.5)


def _area_change(history: History, area: float, time_s: float) -> float:
    """Compare with the usual area, the last area and the area predicted by the trend; 1 anywhere between
    them. A trend may end at any time, and an object leaving an occlusion grows from its last to its usual
    area.
    """
    areas = [snapshot.area_px for snapshot in history.snapshots]
    known = [float(np.median(areas)), areas[-1], areas[-1] * history._growth(time_s)]
    return min(1.0, area / min(known), max(known) / area)


def _motion(history: History, box: np.ndarray, time_s: float) -> float:
    """Compare with the positions predicted by the usual and by the recent velocity; the nearer one counts."""
    return max(_nearness(part, box, time_s) for part in (history, history.recent()))


def _nearness(history: History, box: np.ndarray, time_s: float) -> float:
    expected = history.expected(time_s)
    size = max(_LEAST_SIDE, float((expected[2:] - expected[:2]).max()))
    size *= 1 + _SPREAD * max(0.0, history._gap(time_s) - 1)
    distance = float(np.hypot(*((box[:2] + box[2:]) - (expected[:2] + expected[2:])) / 2)) / size
    free = 1.0 if len(history.snapshots) == 1 else 0.0
    return float(np.exp(-max(0.0, distance - free)))


def _likeness(history: History, colours: np.ndarray) -> float:
    """Bhattacharyya coefficient with the mean of the recent snapshots, each colour weighted by how well it
    separates the object from its surroundings: the background-weighted histogram of Comaniciu et al.,
    Kernel-based object tracking, TPAMI 2003.
    """
    own, around_it = _recent(history)
    weight = own / np.maximum(own + around_it, 1e-12)
    return min(1.0, float((weight * np.sqrt(own * colours)).sum() / (weight * own).sum()))


def _beyond(history: History, mask: np.ndarray, window: Crop, image_rgb: np.ndarray, time_s: float) -> float:
    """Measure how much of the image outside a mask has the object's colours, 0 to 1: as a share of a band
    around it, beyond its uncertain edge, or, if larger, at the predicted position as a share of the last
    area.
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
    left = np.count_nonzero((alike & outside)[y1:y2, x1:x2]) / history.snapshots[-1].area_px
    return max(float(alike[band].mean()) if band.any() else 0.0, min(1.0, left))


def _grown(mask: np.ndarray, by: int) -> np.ndarray:
    disc = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (2 * by + 1, 2 * by + 1))
    return cv2.dilate(mask.astype(np.uint8), disc).astype(bool)


def _recent(history: History) -> tuple[np.ndarray, np.ndarray]:
    """Mean histograms (3 * bins,) of the object and of its surroundings."""
    snapshots = history.snapshots
    return np.mean([k.colours for k in snapshots], axis=0), np.mean(
        [k.surroundings for k in snapshots], axis=0
    )


def _colours(mask: np.ndarray, window: Crop, image_rgb: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Histograms of the mask and of its surroundings, (3 * bins,) each; each sums to 1, or 0 if empty."""
    wide = around(window.box, _SURROUNDINGS, *mask.shape)
    inside = wide.cut(mask)
    lab = cv2.cvtColor(wide.cut(image_rgb), cv2.COLOR_RGB2LAB)
    return _histogram(lab[inside]), _histogram(lab[~inside])


def _histogram(pixels: np.ndarray) -> np.ndarray:
    """Histogram of Lab pixels, uint8 (n, 3) to (3 * bins,). Each pixel also counts half in the neighbouring
    bins: a small object has few pixels, and their noise must not change its appearance.
    """
    counts = np.stack([np.bincount(channel // (256 // _BINS), minlength=_BINS) for channel in pixels.T])
    soft = counts + (np.pad(counts, ((0, 0), (1, 1)))[:, :-2] + np.pad(counts, ((0, 0), (1, 1)))[:, 2:]) / 2
    return (soft / max(soft.sum(), 1)).ravel()


def _slope(times: np.ndarray, values: np.ndarray) -> np.ndarray:
    """Slope (k,) of the least-squares line through values (n, k) at times (n,); 0 for a single one."""
    away = times - times.mean()
    spread = (away**2).sum()
    return (away @ (values - values.mean(axis=0))) / spread if spread > 0 else np.zeros(values.shape[1])
