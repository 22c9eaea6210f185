"""The bounded memory of a video model: the outputs that it attends to, and no more.

A model like SAM 2 attends from a frame to the frames in which the object was prompted, to the full outputs of
a few frames before it (in a backward pass: after it), and to small object pointers of some more. Outputs
further away are dropped; the results are bit-identical. Only where a new pass starts at a prompted frame do
outputs on its other side matter again, so those around prompted frames are kept.
"""

from bisect import bisect_left
from collections.abc import Collection
from dataclasses import dataclass, field
from typing import Any

Output = dict[str, Any]
"""Tensors of one object in one frame, under the names that the model uses."""

STARTS = 16
"""Number of prompted frames around which all outputs are kept, so that a pass may start there. Frames in
which an object starts, that is without an output in the previous frame, take precedence; then the newest
count."""


@dataclass
class Trace:
    """The memory of one object, by frame_index."""

    prompted: dict[int, Output] = field(default_factory=dict)
    """Outputs of frames in which the object was prompted."""
    tracked: dict[int, Output] = field(default_factory=dict)
    """Outputs of frames in which the model tracked it."""
    observations: dict[int, Any] = field(default_factory=dict)
    """The observation that each prompt gave."""


@dataclass(frozen=True)
class View:
    """The memory attended to from one frame; keys are positions among all visited frames."""

    position: int
    """Position of the frame itself."""
    prompted: dict[int, Output]
    tracked: dict[int, Output]


class Memory:
    """The memory of all objects of one shot.

    Distances in time are counted in visited frames, not in frames of the video: a model that visits every
    third frame remembers as many frames as one that runs on a video of a third of the rate.

    Args:
        outputs: number of frames back from which the model reads full outputs.
        pointers: number of frames back from which it reads object pointers.
        pointer: name of the pointer in an output; the other tensors are large.
    """

    def __init__(self, outputs: int, pointers: int, pointer: str) -> None:
        self._reach = outputs, pointers
        self._pointer = pointer
        self.frames: list[int] = []
        """All visited frames, in the order of the video."""
        self.prompts: dict[int, bool] = {}
        """Frames with a prompt, the newest last, and whether an object starts there."""
        self.objects: dict[str, Trace] = {}

    def clear(self) -> None:
        """Forget every object and frame."""
        self.frames, self.prompts, self.objects = [], {}, {}

    def visit(self, frame_index: int) -> None:
        """Add a frame to the visited frames."""
        position = self._position(frame_index)
        if self.frames[position : position + 1] != [frame_index]:
            self.frames.insert(position, frame_index)

    def add_prompted(self, object_id: str, frame_index: int, output: Output, observation: Any) -> None:
        """Store the output of a prompt, replacing any other output of this object in this frame."""
        trace = self.objects.setdefault(object_id, Trace())
        before = self.frames[max(0, self._position(frame_index) - 1)]
        starts = before not in trace.tracked and (before == frame_index or before not in trace.prompted)
        self.prompts[frame_index] = starts or self.prompts.pop(frame_index, False)
        trace.tracked.pop(frame_index, None)
        trace.prompted.pop(frame_index, None)
        trace.prompted[frame_index] = output
        trace.observations[frame_index] = observation
        self._prune(trace, frame_index)

    def add_tracked(self, object_id: str, frame_index: int, output: Output) -> None:
        """Store the output of a tracked frame."""
        trace = self.objects[object_id]
        trace.tracked[frame_index] = output
        self._prune(trace, frame_index)

    def view(self, object_id: str, frame_index: int, most: int) -> View:
        """The memory attended to from a frame.

        Args:
            most: maximum number of prompted frames used as such; the others count as tracked, as in SAM 2.
        """
        trace = self.objects[object_id]
        current = self._position(frame_index)
        chosen = nearest(trace.prompted, frame_index, most)
        others = {
            frame: output for frame, output in trace.prompted.items() if frame not in chosen
        } | trace.tracked
        by_position = {self._position(frame): output for frame, output in others.items()}
        # A reduced output can only be this near where a pass starts far from any prompt.
        usable = {
            position: output
            for position, output in by_position.items()
            if abs(position - current) > self._reach[0] or len(output) > 1
        }
        return View(current, {self._position(frame): trace.prompted[frame] for frame in chosen}, usable)

    def _position(self, frame_index: int) -> int:
        return bisect_left(self.frames, frame_index)

    def _prune(self, trace: Trace, frame_index: int) -> None:
        starts = sorted(self.prompts, key=self.prompts.__getitem__)[-STARTS:]
        ends = [min(trace.tracked), max(trace.tracked)] if trace.tracked else []
        anchors = [self._position(frame) for frame in {frame_index, *ends, *starts}]
        outputs, pointers = self._reach
        kept = {}
        for frame, output in trace.tracked.items():
            position = self._position(frame)
            away = min(abs(position - anchor) for anchor in anchors)
            if away <= outputs:
                kept[frame] = output
            elif away <= pointers:
                kept[frame] = {self._pointer: output[self._pointer]}
        trace.tracked = kept


def nearest(frames: Collection[int], frame_index: int, most: int) -> list[int]:
    """Select the nearest frame before, the nearest from there on, then the nearest others; ``most`` in all.

    Equals ``select_closest_cond_frames`` of SAM 2. With at most ``most`` frames all are returned in their
    order.
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
