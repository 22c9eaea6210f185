"""The protocol of a training engine, and the checkpoints that all engines share.

Each epoch leaves one folder ``epoch-NNNNN``, written atomically: the last and the best model, history.csv and
state.json. Only then the folder before it is removed, so that a kill costs one epoch at most.
"""

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import supervision as sv

from gotowce_dagster.config.params import TrainingParams
from gotowce_dagster.core.progress import Progress

OnEpoch = Callable[[int, Mapping[str, float]], None]
"""Called after each epoch with its number, from 1, and its losses and scores."""

OnBatch = Callable[[int, int, int, float], None]
"""Called after each batch with its epoch, from 1, the images done and in total, and the epoch's mean loss."""

Look = Callable[[np.ndarray, int, bool], sv.Detections]
"""A model as a function of an RGB uint8 image (H, W, 3), the side of its input in pixels, and whether smaller
images are enlarged to it; returns boxes with confidence and ``data["class_name"]``."""


@dataclass(frozen=True)
class State:
    """Progress of a training."""

    epoch: int = 0
    """Epochs done."""
    stopped: bool = False
    """Whether all epochs are done, or the scores have not improved for ``patience`` epochs."""
    seconds: float = 0.0
    """Spent in training, over all runs."""


@dataclass(frozen=True)
class Run:
    """Inputs, folders and callbacks of a training."""

    dataset: Path
    """Folder with data.yaml, images and labels; only read."""
    weights: str | Path
    """Weights to start from, or the name of an architecture."""
    params: TrainingParams
    place: Path
    """Folder of the checkpoints."""
    device: str
    progress: Progress
    """Called with epochs done and in total."""
    on_epoch: OnEpoch
    on_batch: OnBatch
    before: State = field(default_factory=State)
    """Progress at which to resume."""


class Engine(Protocol):
    """Trains, saves and runs a detector."""

    name: str
    """Its name in params.yaml."""
    libraries: tuple[str, ...]
    """Packages whose versions affect the result, the engine's own first."""
    suffix: str
    """Suffix of a model's file; empty if a model is a folder."""
    fixed_scale: bool
    """Whether a model that was trained on crops needs inputs of their size."""

    def check(self, weights: Path) -> None:
        """Raises: InputError: the weights are damaged, or not of this engine."""
        ...

    def arguments(self, weights: str | Path, params: TrainingParams, device: str) -> dict[str, Any]:
        """The settings of a training, for args.yaml and the model card."""
        ...

    def train(self, run: Run) -> None:
        """Train from ``run.before`` until all epochs are done or the scores stop improving.

        Raises:
            InputError: the weights or a checkpoint are damaged.
        """
        ...

    def save(self, checkpoint: Path, target: Path, arguments: Mapping[str, Any]) -> None:
        """Copy a checkpoint's model for inference, without dates and folder names of this machine."""
        ...

    def load(self, weights: Path) -> Look:
        """Raises: InputError: the weights are damaged, or not of this engine."""
        ...


def epoch_folder(place: Path, number: int) -> Path:
    """Folder of an epoch's checkpoint."""
    return place / f"epoch-{number:05d}"


def read_state(place: Path) -> State:
    """Progress of the training in a work folder."""
    done = sorted(place.glob("epoch-*/state.json"))
    return State(**json.loads(done[-1].read_text(encoding="utf-8"))) if done else State()
