"""Fine-tuning a YOLO detector so that a kill at any moment costs one epoch at most.

Everything happens in a work folder named by a fingerprint of the dataset, the parameters and the starting
weights. After each epoch the checkpoint is copied into a folder of its own, whole or not at all, and only
then the one before it is removed. A later run with the same fingerprint goes on from there, and one that
was finished is not trained again.
"""

import hashlib
import json
import shutil
import time
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

import pandas as pd
import yaml

from gotowce_dagster.config.params import TrainingParams
from gotowce_dagster.core.device import all_threads, best_device
from gotowce_dagster.core.errors import InputError
from gotowce_dagster.core.files import fresh_dir, link_or_copy, remove
from gotowce_dagster.core.offline import keep_offline
from gotowce_dagster.core.progress import Progress

OnEpoch = Callable[[int, Mapping[str, float]], None]
"""Called after each epoch with its number, from 1, and its losses and scores."""


_DATASET_SUFFIXES = frozenset({".txt", ".jpg", ".jpeg", ".png"})


@dataclass(frozen=True)
class State:
    """How far a training has come."""

    epoch: int = 0
    """Epochs done."""
    stopped: bool = False
    """The last one is done, or the scores have not improved for ``patience`` epochs."""
    seconds: float = 0.0
    """Spent in training, over all runs."""


@dataclass(frozen=True)
class Trained:
    """A finished training."""

    weights: Path
    """The best epoch's model."""
    history: pd.DataFrame
    """One row an epoch."""
    arguments: dict[str, Any]
    """What ultralytics was told, without the names of this machine's folders."""
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
    """Train, or go on training, until the epochs are done or nothing improves any more.

    Args:
        dataset: folder with data.yaml; only read.
        weights: a .pt file to start from, or the name of an architecture (.yaml): random weights.
        work: folder for unfinished work; what is there of other datasets or parameters is removed at the end.
        progress: told epochs.

    Raises:
        InputError: the weights to start from, or a checkpoint to go on from, are damaged or something else.
    """
    place = work / fingerprint(dataset, weights, params)
    place.mkdir(parents=True, exist_ok=True)
    device = best_device()
    arguments = _arguments(weights, params, device)
    state = read_state(place)
    progress(state.epoch, params.epochs)
    if not state.stopped:
        if not state.epoch and Path(weights).is_file():
            _read_checkpoint(Path(weights))
        data = _view(dataset, place / "view")
        told = {**arguments, "model": str(weights), "data": str(data)}
        _train(place, told, state, progress=progress, on_epoch=on_epoch)
        state = read_state(place)
    progress(params.epochs, params.epochs)
    for other in work.iterdir():
        if other != place:
            remove(other)
    remove(place / "run")
    return Trained(
        weights=_epoch(place, state.epoch) / "best.pt",
        history=pd.read_csv(_epoch(place, state.epoch) / "history.csv"),
        arguments=arguments | {"model": Path(weights).name, "data": "data.yaml"},
        state=state,
        device=device,
    )


def fingerprint(dataset: Path, weights: str | Path, params: TrainingParams) -> str:
    """What decides a training's outcome, as 16 hex digits: every byte of the dataset among it."""
    # Crops and rounds decide the dataset, which counts by itself: a further round leaves the others done.
    told = params.model_dump(exclude={"weights", "least_map50", "workers", "crops", "rounds", "tile_px"})
    digest = hashlib.blake2b(json.dumps([told, version("ultralytics")]).encode(), digest_size=8)
    files = sorted(path for path in dataset.rglob("*") if path.is_file())
    for path in files:
        digest.update(path.relative_to(dataset).as_posix().encode() + b"\0")
        digest.update(path.read_bytes())
    start = Path(weights)
    digest.update(start.read_bytes() if start.is_file() else str(weights).encode())
    return digest.hexdigest()


def read_state(place: Path) -> State:
    """How far the training in a work folder has come."""
    done = sorted(place.glob("epoch-*/state.json"))
    return State(**json.loads(done[-1].read_text(encoding="utf-8"))) if done else State()


def read_metrics(model: Path) -> dict[str, float]:
    """The scores of a finished model on the validation frames, from its folder.

    Raises:
        InputError: there is no finished model.
    """
    return json.loads(_of_model(model, "metrics.json"))


def read_arguments(model: Path) -> dict[str, Any]:
    """What ultralytics was told for a finished model, from its folder.

    Raises:
        InputError: there is no finished model.
    """
    return yaml.safe_load(_of_model(model, "args.yaml"))


def _of_model(model: Path, name: str) -> str:
    if not (model / name).exists():
        raise InputError(f"{model / name}: does not exist; run finetuned_model first")
    return (model / name).read_text(encoding="utf-8")


def portable(weights: Path, target: Path, arguments: Mapping[str, Any]) -> None:
    """Copy a checkpoint as a model to use: half precision, without optimizer, dates and folder names."""
    import torch

    keep_offline()
    from ultralytics.utils.torch_utils import strip_optimizer

    # Makes the classes of this file known to torch, which strip_optimizer's own loading then accepts.
    _read_checkpoint(weights)
    shutil.copyfile(weights, target)
    strip_optimizer(str(target))
    content = _read_checkpoint(target)
    for key in ("date", "git", "train_results"):
        content.pop(key, None)
    content["train_args"] = dict(arguments)
    content["model"].args = dict(arguments)
    content["model"].__dict__.pop("pt_path", None)
    torch.save(content, target)


def _read_checkpoint(path: Path) -> dict[str, Any]:
    """A checkpoint of ultralytics: tensors and classes it knows, nothing else is unpickled.

    Raises:
        InputError: the file is damaged or holds something else.
    """
    keep_offline()
    from ultralytics.nn.tasks import torch_safe_load

    try:
        return torch_safe_load(str(path), safe_only=True)[0]
    except Exception as error:
        # What a damaged or rogue file raises is anything.
        why = " ".join(str(error).split())
        raise InputError(f"{path}: not a checkpoint of ultralytics ({why}); name another one") from None


def has_no_weights(engine: str | Path) -> bool:
    """Whether what a training starts from is an architecture without weights."""
    return Path(engine).suffix == ".yaml"


def _arguments(weights: str | Path, params: TrainingParams, device: str) -> dict[str, Any]:
    import torch

    is_random = str(weights).endswith(".yaml")
    return {
        "imgsz": params.imgsz,
        "epochs": params.epochs,
        "patience": params.patience,
        "batch": params.batch,
        # ultralytics gathers gradients up to 64 images before a step: on a small dataset, one step an epoch.
        "nbs": params.batch,
        "warmup_epochs": 1.0,
        # Random layers must not be frozen: they would stay random.
        "freeze": None if is_random or not params.freeze else params.freeze,
        "close_mosaic": params.close_mosaic,
        "mosaic": params.mosaic,
        "scale": params.scale,
        "seed": params.seed,
        "deterministic": True,
        "device": device.replace("cuda", "0"),
        # bf16 needs no trial run with downloaded weights, as fp16 does; without it, full precision.
        "amp": "bf16" if device == "cuda" and torch.cuda.is_bf16_supported(False) else False,
        "workers": params.workers,
        "plots": False,
        "verbose": False,
    }


def _train(
    place: Path, arguments: Mapping[str, Any], before: State, *, progress: Progress, on_epoch: OnEpoch
) -> None:
    """Run ultralytics' trainer from where ``place`` stands."""
    keep_offline()
    from ultralytics.models.yolo.detect import DetectionTrainer

    class FineTuning(DetectionTrainer):
        """Its name lacks "Trainer" on purpose: to those, ultralytics attaches every logger it finds."""

        def final_eval(self) -> None:
            """The best epoch's scores are known; validating it again would add nothing."""

    run = place / "run"
    remove(run)
    overrides = {**arguments, "project": str(place), "save_dir": str(run)}
    rows = []
    if before.epoch:
        _read_checkpoint(_epoch(place, before.epoch) / "last.pt")
        shutil.copytree(_epoch(place, before.epoch), run / "weights")
        rows = pd.read_csv(run / "weights" / "history.csv").to_dict("records")
        overrides["resume"] = str(run / "weights" / "last.pt")
    threads = all_threads()
    trainer = FineTuning(overrides=overrides)
    start = time.monotonic()

    def keep(trainer: Any) -> None:
        """After an epoch's checkpoint is written."""
        state = State(trainer.epoch + 1, bool(trainer.stop), before.seconds + time.monotonic() - start)
        row = _row(trainer)
        rows.append({"epoch": state.epoch, "seconds": round(state.seconds, 1), **row})
        with fresh_dir(_epoch(place, state.epoch)) as new:
            for file in (trainer.last, trainer.best):
                shutil.copyfile(file, new / file.name)
            pd.DataFrame(rows).to_csv(new / "history.csv", index=False, lineterminator="\n")
            (new / "state.json").write_text(json.dumps(asdict(state)), encoding="utf-8")
        for older in set(place.glob("epoch-*")) - {_epoch(place, state.epoch)}:
            remove(older)
        on_epoch(state.epoch, row)
        progress(state.epoch, trainer.epochs)

    def use_all_cores(trainer: Any) -> None:
        """Undo what ultralytics does on a CPU: it leaves one core idle."""
        import torch

        torch.set_num_threads(threads)
        if trainer.device.type == "cpu":
            # A fifth less time, for convolutions then need no reordering of their input.
            trainer.model.to(memory_format=torch.channels_last)

    trainer.add_callback("on_train_start", use_all_cores)
    trainer.add_callback("on_model_save", keep)
    trainer.train()


def _epoch(place: Path, number: int) -> Path:
    """Where the checkpoint of an epoch lies."""
    return place / f"epoch-{number:05d}"


def _row(trainer: Any) -> dict[str, float]:
    """An epoch's numbers under names that need no quoting: train_box_loss, precision, mAP50, lr ..."""
    told = {**trainer.label_loss_items(trainer.tloss), **trainer.metrics, "lr": trainer.lr["lr/pg0"]}
    clean = {
        name.removeprefix("metrics/").replace("(B)", "").replace("/", "_").replace("-", "_"): float(value)
        for name, value in told.items()
    }
    return {name: round(value, 6) for name, value in clean.items()} | {"fitness": float(trainer.fitness)}


def _view(dataset: Path, view: Path) -> Path:
    """Lay the dataset out anew beside the work, for ultralytics writes its caches among the labels.

    Only what a dataset is made of comes along: ultralytics unpickles a cache that lies among the labels, and
    runs a ``download`` that data.yaml names.

    Returns:
        The view's data.yaml.
    """
    with fresh_dir(view) as new:
        named = yaml.safe_load((dataset / "data.yaml").read_text(encoding="utf-8"))
        known = {key: named[key] for key in ("train", "val", "test", "names") if key in named}
        (new / "data.yaml").write_text(yaml.safe_dump(known, sort_keys=False, allow_unicode=True), "utf-8")
        for source in sorted(path for kind in ("labels", "images") for path in (dataset / kind).rglob("*")):
            copy = new / source.relative_to(dataset)
            if source.is_dir():
                copy.mkdir(parents=True, exist_ok=True)
            elif source.suffix in _DATASET_SUFFIXES:
                copy.parent.mkdir(parents=True, exist_ok=True)
                link_or_copy(source, copy) if source.suffix != ".txt" else shutil.copyfile(source, copy)
    return view / "data.yaml"
