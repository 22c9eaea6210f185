"""The shared part of propagators with a video model like SAM 2: the steps of a frame, and the memory."""

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
    """A video model's output for one object in one frame."""

    logits: Any
    """Mask logits, a tensor (1, 1, h, w) at the resolution of the model."""
    predicted_iou: float
    object_score: float
    output: Output
    """What later frames attend to."""


class Streaming(ABC):
    """A propagator that takes frames as they arrive and keeps only what its model attends to.

    Frames without tracked objects count as elapsed time if ``step`` is called for them with no objects, which
    costs nothing.
    """

    name: str

    def __init__(self, weights: str, device: str, memory: Memory, max_prompted: int) -> None:
        self.weights = weights
        self.device = device
        self._memory = memory
        self._max_prompted = max_prompted
        self._encoded: tuple[int, Any] | None = None

    @abstractmethod
    def _encode(self, image: np.ndarray) -> Any:
        """Encode a frame once for all objects."""

    @abstractmethod
    def _decode_prompt(self, frame: Any, prompt: Prompt, shape: tuple[int, int]) -> Decoded:
        """Decode the prompted object, without memory."""

    @abstractmethod
    def _track(self, frame: Any, views: list[View], reverse: bool) -> list[Decoded]:
        """Decode objects from their memories."""

    def begin(self) -> None:
        """Forget every object and frame."""
        self._memory.clear()
        self._encoded = None

    def prompt(
        self, frame_index: int, image: np.ndarray, prompts: dict[str, Prompt]
    ) -> dict[str, Observation]:
        """Segment prompted objects in a frame, without memory; see base.Propagator."""
        self._memory.visit(frame_index)
        if not prompts:
            return {}
        with inference(self.device):
            frame = self._frame(frame_index, image)
            decoded = {
                name: self._decode_prompt(frame, prompt, image.shape[:2]) for name, prompt in prompts.items()
            }
            found = _observe(decoded, image.shape[:2])
        for name, one in decoded.items():
            self._memory.add_prompted(name, frame_index, one.output, _packed(found[name]))
        return found

    def step(
        self, frame_index: int, image: np.ndarray, objects: Collection[str], reverse: bool = False
    ) -> dict[str, Observation]:
        """Track prompted objects by their memory; see base.Propagator."""
        self._memory.visit(frame_index)
        traces = {name: self._memory.objects[name] for name in objects}
        found = {
            name: _unpacked(trace.observations[frame_index], image.shape[:2])
            for name, trace in traces.items()
            if frame_index in trace.prompted
        }
        if unprompted := [name for name in objects if name not in found]:
            views = [self._memory.view(name, frame_index, self._max_prompted) for name in unprompted]
            with inference(self.device):
                frame = self._frame(frame_index, image)
                decoded = dict(zip(unprompted, self._track(frame, views, reverse), strict=True))
                found |= _observe(decoded, image.shape[:2])
            for name, one in decoded.items():
                self._memory.add_tracked(name, frame_index, one.output)
        return found

    def forget(self, object_id: str) -> None:
        """Drop all memory of one object."""
        self._memory.objects.pop(object_id, None)

    def save(self, path: Path) -> None:
        """Save all memory; see base.Propagator."""
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
        """Restore what ``save`` wrote.

        Raises:
            InputError: the file is damaged, or was saved with other weights.
        """
        import torch

        self.begin()
        try:
            state = torch.load(path, map_location=self.device, weights_only=True)
            weights, frames, prompts, objects = (
                state[key] for key in ("weights", "frames", "prompts", "objects")
            )
        except (RuntimeError, UnpicklingError, EOFError, KeyError) as error:
            reason = type(error).__name__
            raise InputError(f"{path}: not the saved memory of a propagator ({reason}); remove it") from None
        if weights != self.weights:
            raise InputError(f"{path}: saved with the weights {weights}, not with {self.weights}; remove it")
        self._memory.frames, self._memory.prompts = frames, prompts
        self._memory.objects = {name: Trace(**trace) for name, trace in objects.items()}

    def _frame(self, frame_index: int, image: np.ndarray) -> Any:
        """The features of a frame; only those of the last one are cached."""
        if self._encoded is None or self._encoded[0] != frame_index:
            self._encoded = None
            self._encoded = frame_index, self._encode(image)
        return self._encoded[1]


def _observe(decoded: dict[str, Decoded], shape: tuple[int, int]) -> dict[str, Observation]:
    """Resize masks to the frame and compute their stability."""
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


def _unpacked(packed: dict[str, Any], shape: tuple[int, int]) -> Observation:
    mask = rle.decode(packed["mask"], *shape)
    return Observation(mask, packed["predicted_iou"], packed["object_score"], packed["stability"])
