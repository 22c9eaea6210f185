"""What a video model remembers of its objects: what it looks back on, and no more.

A model of SAM 2's kind looks back from a frame on the frames in which the object was prompted, on the full
outputs of a few frames before (in a backward pass: after) it, and on small pointers from some more. Outputs
further away than that are dropped, and the result is the same to the last bit. Only where a pass begins
anew, at a prompted frame, do outputs on its far side matter again; so those around prompted frames stay.
"""

from bisect import bisect_left
from collections.abc import Collection
from dataclasses import dataclass, field
from typing import Any

Output = dict[str, Any]
"""Tensors of one object in one frame, by the model's own names."""

STARTS = 16
"""Around so many prompted frames all outputs stay, so that a pass may begin there: frames in which an object
was prompted that no pass had found in the frame before, then any others; the newest of them."""


@dataclass
class Trace:
    """All that is remembered of one object; by frame_index."""

    told: dict[int, Output] = field(default_factory=dict)
    """Outputs of frames in which the object was prompted."""
    seen: dict[int, Output] = field(default_factory=dict)
    """Outputs of frames in which the model found it."""
    answers: dict[int, Any] = field(default_factory=dict)
    """What each prompt gave."""


@dataclass(frozen=True)
class View:
    """What is looked back on from one frame; by the place of each frame among all frames visited."""

    here: int
    told: dict[int, Output]
    seen: dict[int, Output]


class Memory:
    """Memory of the objects of one shot.

    Distances in time are counted in visited frames, not in frames of the video: a model that walks every
    third frame of a video remembers as much as one that walks a video of a third of the rate.

    Args:
        outputs: how many frames back the model looks on full outputs.
        pointers: how many frames back it looks on pointers.
        pointer: name of the pointer in an output; all else of it is big.
    """

    def __init__(self, outputs: int, pointers: int, pointer: str) -> None:
        self._reach = outputs, pointers
        self._pointer = pointer
        self.frames: list[int] = []
        """All frames visited, in their order in the video."""
        self.prompts: dict[int, bool] = {}
        """Frames with a prompt, the newest last; whether an object starts there."""
        self.objects: dict[str, Trace] = {}

    def clear(self) -> None:
        """Forget every object and frame."""
        self.frames, self.prompts, self.objects = [], {}, {}

    def visit(self, frame_index: int) -> None:
        """Count a frame among those visited."""
        place = self._place(frame_index)
        if self.frames[place : place + 1] != [frame_index]:
            self.frames.insert(place, frame_index)

    def tell(self, object_id: str, frame_index: int, output: Output, answer: Any) -> None:
        """Remember what a prompt gave, in place of anything else of this object in this frame."""
        trace = self.objects.setdefault(object_id, Trace())
        before = self.frames[max(0, self._place(frame_index) - 1)]
        starts = before not in trace.seen and (before == frame_index or before not in trace.told)
        self.prompts[frame_index] = starts or self.prompts.pop(frame_index, False)
        trace.seen.pop(frame_index, None)
        trace.told.pop(frame_index, None)
        trace.told[frame_index] = output
        trace.answers[frame_index] = answer
        self._prune(trace, frame_index)

    def see(self, object_id: str, frame_index: int, output: Output) -> None:
        """Remember what the model found."""
        trace = self.objects[object_id]
        trace.seen[frame_index] = output
        self._prune(trace, frame_index)

    def view(self, object_id: str, frame_index: int, most: int) -> View:
        """What is looked back on from a frame, with at most so many prompted frames as such.

        The others count as if the object had been found there, as in SAM 2.
        """
        trace = self.objects[object_id]
        here = self._place(frame_index)
        chosen = nearest(trace.told, frame_index, most)
        others = {frame: output for frame, output in trace.told.items() if frame not in chosen} | trace.seen
        placed = {self._place(frame): output for frame, output in others.items()}
        # An output that is not whole any more can only lie so near where a pass begins far from any prompt.
        usable = {
            place: output
            for place, output in placed.items()
            if abs(place - here) > self._reach[0] or len(output) > 1
        }
        return View(here, {self._place(frame): trace.told[frame] for frame in chosen}, usable)

    def _place(self, frame_index: int) -> int:
        return bisect_left(self.frames, frame_index)

    def _prune(self, trace: Trace, frame_index: int) -> None:
        starts = sorted(self.prompts, key=self.prompts.__getitem__)[-STARTS:]
        ends = [min(trace.seen), max(trace.seen)] if trace.seen else []
        anchors = [self._place(frame) for frame in {frame_index, *ends, *starts}]
        outputs, pointers = self._reach
        kept = {}
        for frame, output in trace.seen.items():
            place = self._place(frame)
            away = min(abs(place - anchor) for anchor in anchors)
            if away <= outputs:
                kept[frame] = output
            elif away <= pointers:
                kept[frame] = {self._pointer: output[self._pointer]}
        trace.seen = kept


def nearest(frames: Collection[int], frame_index: int, most: int) -> list[int]:
    """The nearest frame before, the nearest from there on, then whichever is nearest; at most so many.

    As ``select_closest_cond_frames`` of SAM 2 does; all of them in their own order if there are no more.
    """
    if len(frames) <= most:
        return list(frames)
    before = max((frame for frame in frames if frame < frame_index), default=None)
    after = min((frame for frame in frames if frame >= frame_index), default=None)
    first = [frame for frame in (before, after) if frame is not None]
    rest = sorted(
        (frame for frame in frames if frame not in first), key=lambda frame: abs(frame - frame_index)
    )
    return [*first, *rest][:most]
