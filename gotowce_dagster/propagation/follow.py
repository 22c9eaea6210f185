"""Follow objects from frame to frame in one direction: judge, prompt again in doubt, give up in time.

What has to be remembered between frames, but for the propagator's own memory, is a Way, which is text.
"""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from pydantic import BaseModel, Field

from gotowce_dagster.config.params import PropagationParams
from gotowce_dagster.core import rle
from gotowce_dagster.core.crops import Crop
from gotowce_dagster.propagation.base import Observation, Propagator
from gotowce_dagster.propagation.evidence import BY_POINTS, Evidence, Sighting
from gotowce_dagster.propagation.gates import History, measure, scene_jump, state
from gotowce_dagster.segmenters.prompts import Prompt
from gotowce_dagster.video.decode import Frame, read_frames

ON, BACK = "carried", "carried back"
"""What stands for the prompt of a mask that comes from the frame before or after."""

Row = dict[str, Any]
"""Of tables.CARRIED."""

Covered = Mapping[int, Mapping[str, Row]]
"""Rows with a mask, by frame and object."""

_SAME = 0.5
"""IoU from which a carried mask and the mask of another detection are one object."""

_BACKWARD_FRAMES = 16
"""Decoded frames held while going backward; each lot is decoded from the key frame before it."""


class Followed(BaseModel):
    """What is remembered of one object on the way in one direction."""

    class_name: str
    history: History
    sure_s: float
    following: bool = True


class Way(BaseModel):
    """What is remembered on the way through one shot in one direction, but for the propagator's memory."""

    reverse: bool
    starts: dict[int, dict[str, str]]
    """By frame the objects that begin there, each with its track of detections (empty for a human's)."""
    objects: dict[str, Followed] = Field(default_factory=dict)
    names: dict[str, str] = Field(default_factory=dict)
    """Of a track of detections, the object it turned out to be, where that is not called like it."""
    before: int | None = None
    """The frame looked at before; none while nothing is followed."""

    def name(self, track: str) -> str:
        return self.names.get(track, track)

    @property
    def following(self) -> list[str]:
        return [name for name, followed in self.objects.items() if followed.following]


class Follower:
    """Goes through the frames of a chunk and writes down, in the way, what has to be remembered."""

    def __init__(
        self, path: Path, evidence: Evidence, propagator: Propagator, params: PropagationParams
    ) -> None:
        self._path, self._evidence, self._propagator, self._params = path, evidence, propagator, params

    def take(self, way: Way, covered: Covered) -> None:
        """Go on this way; ``covered`` has the masks of the way there, which are not made again."""
        self._way, self._covered = way, covered
        self._before = None
        if way.before is not None:
            self._before = next(frame.rgb() for frame in read_frames(self._path, [way.before]))

    def frames(self, wanted: list[int]) -> Iterator[Frame]:
        """Decode the frames in the way's order; not those in which nothing can happen."""
        lot = _BACKWARD_FRAMES if self._way.reverse else len(wanted)
        for start in range(0, len(wanted), lot):
            part = wanted[start : start + lot]
            if self._way.following or any(map(self._may_begin, part)):
                frames = read_frames(self._path, part)
                yield from reversed(list(frames)) if self._way.reverse else frames

    def visit(self, frame: Frame) -> list[Row]:
        """Rows of the objects followed in one frame."""
        way, index = self._way, frame.index
        for name in way.following:
            if name in self._covered.get(index, ()):
                way.objects[name].following = False
        if not way.following and not self._may_begin(index):
            self._before = way.before = None
            return []
        image = frame.rgb()
        if self._before is not None and scene_jump(self._before, image, self._params):
            self._propagator.begin()
            for followed in way.objects.values():
                followed.following = False
        self._before, way.before = image, index
        if way.reverse:
            way.names |= {track: name for name, track in way.starts.get(index, {}).items() if track}
        following = way.following
        carried = self._propagator.step(index, image, following, way.reverse) if following else {}
        told = {name: p for name, p in self._evidence.told(index).items() if self._has_begun(index, name)}
        sightings = self._sightings(index, carried)
        trusted = {name: s for name, s in sightings.items() if s.trusted and name not in told}
        rows = [
            self._judge(name, observation, image, frame, sightings.get(name))
            for name, observation in carried.items()
            if name not in told
        ]
        in_doubt = {row["object_id"] for row in rows if row["state"] != "sure"}
        due = [
            name
            for name in trusted
            if name in in_doubt or (name not in carried and self._has_begun(index, name))
        ]
        rows = [row for row in rows if row["object_id"] not in due]
        again = {self._identity(name, trusted[name], image, frame.time_s): trusted[name] for name in due}
        prompts = told | {name: Prompt(mask=sighting.mask) for name, sighting in again.items()}
        rows = self._start(prompts, image, frame, sightings | again) + rows
        return self._without_doubles(rows, self._covered.get(index, {}))

    def _may_begin(self, index: int) -> bool:
        way = self._way
        return index in way.starts or (bool(way.objects) and index in self._evidence.by_frame)

    def _has_begun(self, index: int, name: str) -> bool:
        """Whether an object may be prompted here: it begins, or did already and this frame lacks it."""
        way = self._way
        return name in way.starts.get(index, ()) or (
            name in way.objects and name not in self._covered.get(index, ())
        )

    def _without_doubles(self, rows: list[Row], covered: Mapping[str, Row]) -> list[Row]:
        """The rows that are new: two objects with one mask are one, and the one known longer goes on."""
        kept: list[Row] = []
        for row in rows:
            others = [*covered.values(), *kept]
            if row["object_id"] in covered:
                continue
            if any(_overlap(row, other) >= _SAME for other in others):
                self._way.objects[str(row["object_id"])].following = False
                self._propagator.forget(str(row["object_id"]))
            else:
                kept.append(row)
        return kept

    def _sightings(self, index: int, carried: Mapping[str, Observation]) -> dict[str, Sighting]:
        """The frame's detections by object; a new track that lies on a carried mask is that object's."""
        found = {self._way.name(sighting.track): sighting for sighting in self._evidence.seen(index)}
        for name in [name for name in found if name not in self._way.objects and found[name].trusted]:
            free = [other for other in carried if other not in found]
            overlap = {other: _iou(carried[other].mask, found[name].mask) for other in free}
            best = max(free, key=overlap.__getitem__, default=None)
            if best is not None and overlap[best] >= _SAME:
                self._way.names[found[name].track] = best
                found[best] = found.pop(name)
        return found

    def _judge(
        self, name: str, observation: Observation, image: np.ndarray, frame: Frame, sighting: Sighting | None
    ) -> Row:
        """The row of a carried mask; one in doubt for too long is given up."""
        followed = self._way.objects[name]
        detected = sighting.mask if sighting and sighting.trusted else None
        measures = measure(followed.history, observation, image, frame.time_s, detected)
        judged = state(measures, self._params.gates)
        if judged == "sure":
            followed.history.add(observation, image, frame.time_s)
            followed.sure_s = frame.time_s
        elif abs(frame.time_s - followed.sure_s) > self._params.give_up_s:
            judged = "lost"
            followed.following = False
            self._propagator.forget(name)
        return _row(
            observation,
            measures,
            judged,
            frame_index=frame.index,
            detection_id=sighting and sighting.detection_id,
            object_id=name,
            class_name=followed.class_name,
            prompt=BACK if self._way.reverse else ON,
        )

    def _identity(self, name: str, sighting: Sighting, image: np.ndarray, time_s: float) -> str:
        """The object's name if the detection looks like it, else a new one."""
        followed, gate = self._way.objects.get(name), self._params.gates.get("appearance")
        if followed is None or gate is None:
            return name
        seen = Observation(sighting.mask, np.nan, np.nan, np.nan)
        if not measure(followed.history, seen, image, time_s, None)["appearance"] < gate.lost:
            return name
        followed.following = False
        self._propagator.forget(name)
        again = sum(other.startswith(f"{sighting.track}+") for other in self._way.objects)
        self._way.names[sighting.track] = f"{sighting.track}+{again + 1}"
        return self._way.names[sighting.track]

    def _start(
        self, prompts: dict[str, Prompt], image: np.ndarray, frame: Frame, sightings: Mapping[str, Sighting]
    ) -> list[Row]:
        """Prompt objects, new ones or again; what was usual before does not count any more."""
        way, rows = self._way, []
        answers = self._propagator.prompt(frame.index, image, prompts) if prompts else {}
        for name, observation in answers.items():
            before, sighting = way.objects.get(name), sightings.get(name)
            if not way.reverse and not (before and before.following):
                way.starts.setdefault(frame.index, {})[name] = sighting.track if sighting else ""
            history = History(usual_frames=self._params.usual_frames, least_step=1 / self._params.fps)
            trusted = sighting.mask if sighting and sighting.trusted else None
            measures = measure(history, observation, image, frame.time_s, trusted)
            judged = state(measures, self._params.gates)
            history.add(observation, image, frame.time_s)
            known = before.class_name if before else self._params.point_class
            class_name = sighting.class_name if sighting else known
            way.objects[name] = Followed(
                class_name=class_name, history=history, sure_s=frame.time_s, following=judged != "lost"
            )
            prompt = sighting.prompt if sighting and prompts[name].mask is not None else BY_POINTS
            rows.append(
                _row(
                    observation,
                    measures,
                    judged,
                    frame_index=frame.index,
                    detection_id=sighting and sighting.detection_id,
                    object_id=name,
                    class_name=class_name,
                    prompt=prompt,
                )
            )
        return rows


def _row(observation: Observation, measures: dict[str, float], judged: str, **known: object) -> Row:
    """A row of tables.CARRIED; ``known`` tells frame_index, detection_id, object_id, class_name, prompt."""
    height, width = observation.mask.shape
    row = {**known, **measures, "height": height, "width": width, "area_px": 0, "state": judged}
    window = Crop.of_mask(observation.mask)
    if judged == "lost" or window is None:
        return row | dict.fromkeys(("x1", "y1", "x2", "y2", "rle"))
    return row | {
        **dict(zip(("x1", "y1", "x2", "y2"), window.box, strict=True)),
        "rle": rle.encode(observation.mask),
        "area_px": int(np.count_nonzero(observation.mask)),
    }


def _overlap(one: Row, other: Row) -> float:
    """IoU of the masks of two rows; 0 where one has none."""
    if one["rle"] is None or other["rle"] is None:
        return 0.0
    apart = one["x2"] <= other["x1"] or other["x2"] <= one["x1"]
    if apart or one["y2"] <= other["y1"] or other["y2"] <= one["y1"]:
        return 0.0
    return _iou(*(rle.decode(row["rle"], row["height"], row["width"]) for row in (one, other)))


def _iou(one: np.ndarray, other: np.ndarray) -> float:
    return np.count_nonzero(one & other) / max(np.count_nonzero(one | other), 1)
