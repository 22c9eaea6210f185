"""Fine-tune a detector, so that an interruption at any moment costs at most one epoch.

Training runs in a work folder named by a fingerprint of the dataset, the parameters and the starting weights.
After each epoch the engine (engines/) writes a checkpoint atomically into a folder of its own, and only then
removes the previous one. A later run with the same fingerprint resumes from it, and a finished training is
not repeated.
"""

import hashlib
import json
import logging
import time
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

import pandas as pd

from gotowce_dagster.config.params import TrainingParams
from gotowce_dagster.core.device import best_device
from gotowce_dagster.core.digests import content_sha256
from gotowce_dagster.core.files import remove
from gotowce_dagster.core.progress import LINE_EVERY_S, Progress
from gotowce_dagster.training.engines.base import OnBatch, OnEpoch, Run, State, epoch_folder, read_state
from gotowce_dagster.training.engines.registry import ENGINES

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Trained:
    """A finished training."""

    weights: Path
    """The best epoch's model."""
    history: pd.DataFrame
    """One row per epoch."""
    arguments: dict[str, Any]
    """The engine's settings, without folder names of this machine."""
    state: State
    device: str


def finetune(
    dataset: Path,
    weights: str | Path,
    params: TrainingParams,
    work: Path,
    *,
    progress: Progress,
    on_epoch: OnEpoch,
) -> Trained:
    """Train, or resume training, until all epochs are done or the metrics stop improving.

    Args:
        dataset: folder with data.yaml; only read.
        weights: weights of the engine to start from, or for yolo the name of an architecture (.yaml): random
            weights.
        work: folder for unfinished work; that of other datasets or parameters is removed at the end.
        progress: called with the epochs done.

    Raises:
        InputError: the starting weights, or a checkpoint to resume from, are damaged or of another model.
    """
    engine = ENGINES[params.engine]
    place = work / fingerprint(dataset, weights, params)
    place.mkdir(parents=True, exist_ok=True)
    device = best_device()
    state = read_state(place)
    progress(state.epoch, params.epochs)
    if not state.stopped:
        if not state.epoch and Path(weights).exists():
            engine.check(Path(weights))
        run = Run(
            dataset=dataset,
            weights=weights,
            params=params,
            place=place,
            device=device,
            progress=progress,
            on_epoch=on_epoch,
            on_batch=_lines(params.epochs),
            before=state,
        )
        engine.train(run)
        state = read_state(place)
    progress(params.epochs, params.epochs)
    for other in work.iterdir():
        if other != place:
            remove(other)
    remove(place / "run")
    folder = epoch_folder(place, state.epoch)
    return Trained(
        weights=folder / f"best{engine.suffix}",
        history=pd.read_csv(folder / "history.csv"),
        arguments=engine.arguments(weights, params, device)
        | {"model": Path(weights).name, "data": "data.yaml"},
        state=state,
        device=device,
    )


def fingerprint(dataset: Path, weights: str | Path, params: TrainingParams) -> str:
    """Digest of all inputs of a training, including every byte of the dataset, as 16 hex digits."""
    # Crops and rounds determine the dataset, which is part of the digest; another round keeps earlier ones.
    settings = params.model_dump(exclude={"weights", "least_map50", "workers", "crops", "rounds", "tile_px"})
    library = version(ENGINES[params.engine].libraries[0])
    digest = hashlib.blake2b(json.dumps([settings, library]).encode(), digest_size=8)
    files = sorted(path for path in dataset.rglob("*") if path.is_file())
    for path in files:
        digest.update(path.relative_to(dataset).as_posix().encode() + b"\0")
        digest.update(path.read_bytes())
    start = Path(weights)
    digest.update((content_sha256(start) if start.exists() else str(weights)).encode())
    return digest.hexdigest()


def _lines(epochs: int) -> OnBatch:
    """Log the progress of an epoch every few seconds."""
    last = time.monotonic()

    def line(epoch: int, done: int, images: int, loss: float) -> None:
        nonlocal last
        if time.monotonic() - last >= LINE_EVERY_S:
            last = time.monotonic()
            _log.info("epoch %d of %d: image %d of %d, loss %.3g", epoch, epochs, done, images, loss)

    return line
