"""What the propagators with a video model of SAM 2's kind share: the course of a frame, and the memory."""

from abc import ABC, abstractmethod
from collections.abc import Collection
from dataclasses import asdict, dataclass
from pathlib import Path
from pickle import UnpicklingError
from typing import Any

import numpy as np

from gotowce_dagster.core import rle
from gotowce_dagster.core.device import inference
from gotowce_dagster.core.errors import InputError
from gotowce_dagster.core.files import fresh_file
from gotowce_dagster.propagation.base import Observation
from gotowce_dagster.propagation.memory import Memory, Output, Trace, View
from gotowce_dagster.segmenters.prompts import Prompt

_STABILITY_SHIFT = 1.0


@dataclass(frozen=True)
class Decoded:
    """What a video model makes of one object in one frame."""

    logits: Any
    """Tensor (1, 1, h, w) of the mask, at the model's own size."""
    predicted_iou: float
    object_score: float
    output: Output
    """What it will look back on."""


class Streaming(ABC):
    """A propagator that takes frames as they come and keeps only what its model looks back on.

    Frames that no object is carried through count as time gone by if ``step`` is told of them, with no
    objects, which costs nothing.
    """

    name: str

    def __init__(self, weights: str, device: str, memory: Memory, most_told: int) -> None:
        self.weights = weights
        self.device = device
        self._memory = memory
        self._most_told = most_told
        self._encoded: tuple[int, Any] | None = None

    @abstractmethod
    def _encode(self, image: np.ndarray) -> Any:
        """Whatever the model makes of a frame alone, for all objects."""

    @abstractmethod
    def _ask(self, frame: Any, prompt: Prompt, shape: tuple[int, int]) -> Decoded:
        """The object that a prompt tells of, without any memory."""

    @abstractmethod
    def _follow(self, frame: Any, views: list[View], reverse: bool) -> list[Decoded]:
        """The objects that the memories tell of."""

    def begin(self) -> None:
        """Forget every object and frame."""
        self._memory.clear()
        self._encoded = None

    def prompt(
        self, frame_index: int, image: np.ndarray, prompts: dict[str, Prompt]
    ) -> dict[str, Observation]:
        """Find objects anew in a frame, without memory; see base.Propagator."""
        self._memory.visit(frame_index)
        if not prompts:
            return {}
        with inference(self.device):
            frame = self._frame(frame_index, image)
            decoded = {name: self._ask(frame, prompt, image.shape[:2]) for name, prompt in prompts.items()}
            found = _observe(decoded, image.shape[:2])
        for name, one in decoded.items():
            self._memory.tell(name, frame_index, one.output, _packed(found[name]))
        return found

    def step(
        self, frame_index: int, image: np.ndarray, objects: Collection[str], reverse: bool = False
    ) -> dict[str, Observation]:
        """Find known objects by memory; see base.Propagator."""
        self._memory.visit(frame_index)
        traces = {name: self._memory.objects[name] for name in objects}
        found = {
            name: _unpacked(trace.answers[frame_index], image.shape[:2])
            for name, trace in traces.items()
            if frame_index in trace.told
        }
        if open_ := [name for name in objects if name not in found]:
            views = [self._memory.view(name, frame_index, self._most_told) for name in open_]
            with inference(self.device):
                frame = self._frame(frame_index, image)
                decoded = dict(zip(open_, self._follow(frame, views, reverse), strict=True))
                found |= _observe(decoded, image.shape[:2])
            for name, one in decoded.items():
                self._memory.see(name, frame_index, one.output)
        return found

    def forget(self, object_id: str) -> None:
        """Drop all memory of one object."""
        self._memory.objects.pop(object_id, None)

    def save(self, path: Path) -> None:
        """Write all memory; see base.Propagator."""
        import torch

        state = {
            "weights": self.weights,
            "frames": self._memory.frames,
            "prompts": self._memory.prompts,
            "objects": {name: vars(trace) for name, trace in self._memory.objects.items()},
        }
        with fresh_file(path) as new:
            torch.save(state, new)

    def load(self, path: Path) -> None:
        """Take up what ``save`` wrote.

        Raises:
            InputError: the file is damaged, or of other weights.
        """
        import torch

        self.begin()
        try:
            state = torch.load(path, map_location=self.device, weights_only=True)
            weights, frames, prompts, objects = (
                state[key] for key in ("weights", "frames", "prompts", "objects")
            )
        except (RuntimeError, UnpicklingError, EOFError, KeyError) as error:
            reason = str(error).partition("\n")[0] or "it is empty"
            raise InputError(f"{path}: not the memory of a propagation ({reason}); remove it") from None
        if weights != self.weights:
            raise InputError(f"{path}: the memory of {weights}, not of {self.weights}; remove it")
        self._memory.frames, self._memory.prompts = frames, prompts
        self._memory.objects = {name: Trace(**trace) for name, trace in objects.items()}

    def _frame(self, frame_index: int, image: np.ndarray) -> Any:
        """The encoded frame; of the last one only is it kept."""
        if self._encoded is None or self._encoded[0] != frame_index:
            self._encoded = None
            self._encoded = frame_index, self._encode(image)
        return self._encoded[1]


def _observe(decoded: dict[str, Decoded], shape: tuple[int, int]) -> dict[str, Observation]:
    """Masks at the size of the frame, and their scores."""
    import torch
    from torch.nn.functional import interpolate

    logits = torch.cat([one.logits.float() for one in decoded.values()])
    large = interpolate(logits, shape, mode="bilinear", align_corners=False)[:, 0]
    masks = (large > 0).cpu().numpy()
    strict, lax = (
        (large > shift).sum((1, 2)).cpu().numpy() for shift in (_STABILITY_SHIFT, -_STABILITY_SHIFT)
    )
    stability = strict / np.maximum(lax, 1)
    return {
        name: Observation(mask, one.predicted_iou, one.object_score, float(stable))
        for (name, one), mask, stable in zip(decoded.items(), masks, stability, strict=True)
    }


def _packed(observation: Observation) -> dict[str, Any]:
    return asdict(observation) | {"mask": rle.encode(observation.mask)}


def _unpacked(answer: dict[str, Any], shape: tuple[int, int]) -> Observation:
    mask = rle.decode(answer["mask"], *shape)
    return Observation(mask, answer["predicted_iou"], answer["object_score"], answer["stability"])
