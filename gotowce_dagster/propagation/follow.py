"""Track objects frame by frame in one direction: gate each mask, re-prompt in doubt, drop lost objects.

All state between frames, except the propagator's own memory, is in a Pass, which serializes to JSON.
"""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from pydantic import BaseModel, Field

from gotowce_dagster.config.params import PropagationParams
from gotowce_dagster.core import rle
from gotowce_dagster.core.masks import mask_iou
from gotowce_dagster.propagation.base import Observation, Propagator
from gotowce_dagster.propagation.evidence import BY_POINTS, DetectedMask, Evidence
from gotowce_dagster.propagation.gates import History, measure, scene_jump, state
from gotowce_dagster.segmenters.prompts import Prompt
from gotowce_dagster.video.decode import Frame, read_frames

FORWARD, BACKWARD = "propagated", "propagated back"
"""The values of ``prompt`` for a mask propagated from the previous or from the next frame."""

Row = dict[str, Any]
"""A row of tables.PROPAGATED."""

Covered = Mapping[int, Mapping[str, Row]]
"""Rows with a mask, by frame_index and object_id."""

_SAME = 0.5
"""Minimum IoU at which a propagated mask and the mask of another detection are the same object."""

_BACKWARD_FRAMES = 16
"""Decoded frames held in a backward pass; each lot is decoded from the key frame before it."""


class TrackedObject(BaseModel):
    """The state of one object in one pass."""

    class_name: str
    history: History
    sure_s: float
    active: bool = True


class Pass(BaseModel):
    """The state of a pass through one shot in one direction, without the propagator's memory."""

    reverse: bool
    starts: dict[int, dict[str, str]]
    """By frame the objects that start in it, each with its track (empty for a human's points)."""
    objects: dict[str, TrackedObject] = Field(default_factory=dict)
    names: dict[str, str] = Field(default_factory=dict)
    """The object that a track of detections belongs to, where it does not have the track's name."""
    before: int | None = None
    """The previous frame visited; None while no object is active."""

    def name(self, track: str) -> str:
        """The object that a track of detections belongs to."""
        return self.names.get(track, track)

    @property
    def active(self) -> list[str]:
        """Names of the objects being tracked."""
        return [name for name, tracked in self.objects.items() if tracked.active]


class Tracker:
    """Tracks objects through the frames of a chunk and keeps the state in a Pass."""

    def __init__(
        self, path: Path, evidence: Evidence, propagator: Propagator, params: PropagationParams
    ) -> None:
        self._path, self._evidence, self._propagator, self._params = path, evidence, propagator, params

    def resume(self, current: Pass, covered: Covered) -> None:
        """Continue a pass; ``covered`` holds the masks of the forward pass, which are not computed again."""
        self._pass, self._covered = current, covered
        self._before = None
        if current.before is not None:
            self._before = next(frame.rgb() for frame in read_frames(self._path, [current.before]))

    def frames(self, wanted: list[int]) -> Iterator[Frame]:
        """Decode the frames in the order of the pass; skip those where no object is active or can start."""
        lot = _BACKWARD_FRAMES if self._pass.reverse else len(wanted)
        for start in range(0, len(wanted), lot):
            part = wanted[start : start + lot]
            if self._pass.active or any(map(self._may_begin, part)):
                frames = read_frames(self._path, part)
                yield from reversed(list(frames)) if self._pass.reverse else frames

    def visit(self, frame: Frame) -> list[Row]:
        """Track all active objects into one frame and return their rows."""
        current, index = self._pass, frame.index
        for name in current.active:
            if name in self._covered.get(index, ()):
                current.objects[name].active = False
        if not current.active and not self._may_begin(index):
            self._before = current.before = None
            return []
        image = frame.rgb()
        if self._before is not None and scene_jump(self._before, image, self._params):
            self._propagator.begin()
            for tracked in current.objects.values():
                tracked.active = False
        self._before, current.before = image, index
        if current.reverse:
            current.names |= {track: name for name, track in current.starts.get(index, {}).items() if track}
        active = current.active
        propagated = self._propagator.step(index, image, active, current.reverse) if active else {}
        points = {
            name: p for name, p in self._evidence.point_prompts(index).items() if self._has_begun(index, name)
        }
        detections = self._detections(index, propagated)
        trusted = {name: s for name, s in detections.items() if s.trusted and name not in points}
        rows = [
            self._gate(name, observation, image, frame, detections.get(name))
            for name, observation in propagated.items()
            if name not in points
        ]
        in_doubt = {row["object_id"] for row in rows if row["state"] != "sure"}
        due = [
            name
            for name in trusted
            if name in in_doubt or (name not in propagated and self._has_begun(index, name))
        ]
        rows = [row for row in rows if row["object_id"] not in due]
        reprompted = {self._identity(name, trusted[name], image, frame.time_s): trusted[name] for name in due}
        prompts = points | {name: Prompt(mask=detection.mask) for name, detection in reprompted.items()}
        rows = self._start(prompts, image, frame, detections | reprompted) + rows
        return self._without_duplicates(rows, self._covered.get(index, {}))

    def _may_begin(self, index: int) -> bool:
        current = self._pass
        return index in current.starts or (bool(current.objects) and index in self._evidence.by_frame)

    def _has_begun(self, index: int, name: str) -> bool:
        """Whether an object may be prompted: it starts in this frame, or has started and lacks a mask."""
        current = self._pass
        return name in current.starts.get(index, ()) or (
            name in current.objects and name not in self._covered.get(index, ())
        )

    def _without_duplicates(self, rows: list[Row], covered: Mapping[str, Row]) -> list[Row]:
        """Drop rows that repeat a mask: of two objects with the same mask only the older one is kept."""
        kept: list[Row] = []
        for row in rows:
            others = [*covered.values(), *kept]
            if row["object_id"] in covered:
                continue
            if any(_overlap(row, other) >= _SAME for other in others):
                self._pass.objects[str(row["object_id"])].active = False
                self._propagator.forget(str(row["object_id"]))
            else:
                kept.append(row)
        return kept

    def _detections(self, index: int, propagated: Mapping[str, Observation]) -> dict[str, DetectedMask]:
        """The frame's detections by object; a new track that overlaps a propagated mask joins that object."""
        found = {
            self._pass.name(detection.track): detection for detection in self._evidence.detections(index)
        }
        for name in [name for name in found if name not in self._pass.objects and found[name].trusted]:
            free = [other for other in propagated if other not in found]
            overlap = {other: mask_iou(propagated[other].mask, found[name].mask) for other in free}
            best = max(free, key=overlap.__getitem__, default=None)
            if best is not None and overlap[best] >= _SAME:
                self._pass.names[found[name].track] = best
                found[best] = found.pop(name)
        return found

    def _gate(
        self,
        name: str,
        observation: Observation,
        image: np.ndarray,
        frame: Frame,
        detection: DetectedMask | None,
    ) -> Row:
        """Apply the quality gates to a propagated mask; drop an object that is in doubt for too long."""
        tracked = self._pass.objects[name]
        detected = detection.mask if detection and detection.trusted else None
        measures = measure(tracked.history, observation, image, frame.time_s, detected)
        verdict = state(measures, self._params.gates)
        if verdict == "sure":
            tracked.history.add(observation, image, frame.time_s)
            tracked.sure_s = frame.time_s
        elif abs(frame.time_s - tracked.sure_s) > self._params.give_up_s:
            verdict = "lost"
            tracked.active = False
            self._propagator.forget(name)
        prompt = BACKWARD if self._pass.reverse else FORWARD
        labelled = {"object_id": name, "class_name": tracked.class_name, "prompt": prompt}
        return _row(observation, measures, verdict, frame=frame, detection=detection, labelled=labelled)

    def _identity(self, name: str, detection: DetectedMask, image: np.ndarray, time_s: float) -> str:
        """The name of the object if the detection looks like it, else a new name."""
        tracked, gate = self._pass.objects.get(name), self._params.gates.get("appearance")
        if tracked is None or gate is None:
            return name
        observation = Observation(detection.mask, np.nan, np.nan, np.nan)
        if not measure(tracked.history, observation, image, time_s, None)["appearance"] < gate.lost:
            return name
        tracked.active = False
        self._propagator.forget(name)
        again = sum(other.startswith(f"{detection.track}+") for other in self._pass.objects)
        self._pass.names[detection.track] = f"{detection.track}+{again + 1}"
        return self._pass.names[detection.track]

    def _start(
        self,
        prompts: dict[str, Prompt],
        image: np.ndarray,
        frame: Frame,
        detections: Mapping[str, DetectedMask],
    ) -> list[Row]:
        """Prompt new and existing objects; their histories start anew."""
        current, rows = self._pass, []
        answers = self._propagator.prompt(frame.index, image, prompts) if prompts else {}
        for name, observation in answers.items():
            before, detection = current.objects.get(name), detections.get(name)
            if not current.reverse and not (before and before.active):
                current.starts.setdefault(frame.index, {})[name] = detection.track if detection else ""
            history = History(usual_frames=self._params.usual_frames, least_step=1 / self._params.fps)
            trusted = detection.mask if detection and detection.trusted else None
            measures = measure(history, observation, image, frame.time_s, trusted)
            verdict = state(measures, self._params.gates)
            history.add(observation, image, frame.time_s)
            fallback = before.class_name if before else self._params.point_class
            class_name = detection.class_name if detection else fallback
            current.objects[name] = TrackedObject(
                class_name=class_name, history=history, sure_s=frame.time_s, active=verdict != "lost"
            )
            prompt = detection.prompt if detection and prompts[name].mask is not None else BY_POINTS
            labelled = {"object_id": name, "class_name": class_name, "prompt": prompt}
            rows.append(
                _row(observation, measures, verdict, frame=frame, detection=detection, labelled=labelled)
            )
        return rows


def _row(
    observation: Observation,
    measures: dict[str, float],
    verdict: str,
    *,
    frame: Frame,
    detection: DetectedMask | None,
    labelled: Row,
) -> Row:
    """Build a row of tables.PROPAGATED; ``labelled`` has its object_id, class_name and prompt."""
    mask = np.zeros_like(observation.mask) if verdict == "lost" else observation.mask
    ids = {"frame_index": frame.index, "detection_id": detection and detection.detection_id}
    return {**ids, **labelled, **measures, **rle.mask_columns(mask), "state": verdict}


def _overlap(one: Row, other: Row) -> float:
    """Compute the IoU of the masks of two rows; 0 if either has none."""
    if one["rle"] is None or other["rle"] is None:
        return 0.0
    apart = one["x2"] <= other["x1"] or other["x2"] <= one["x1"]
    if apart or one["y2"] <= other["y1"] or other["y2"] <= one["y1"]:
        return 0.0
    return mask_iou(*(rle.mask_of(row) for row in (one, other)))
