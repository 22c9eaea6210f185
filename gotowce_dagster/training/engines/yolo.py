"""The engine ``yolo``: ultralytics."""

import json
import shutil
import time
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import supervision as sv
import yaml

from gotowce_dagster.config.params import TrainingParams
from gotowce_dagster.core.device import all_threads, best_device
from gotowce_dagster.core.errors import InputError
from gotowce_dagster.core.files import fresh_dir, link_or_copy, remove
from gotowce_dagster.core.offline import keep_offline
from gotowce_dagster.training.engines.base import Look, Run, State, epoch_folder

_STRIDE = 32
"""Sides of the model's input are multiples of this, pixels."""

_DATASET_SUFFIXES = frozenset({".txt", ".jpg", ".jpeg", ".png"})


class Yolo:
    """A YOLO of ultralytics, in one file."""

    name: str = "yolo"
    libraries: tuple[str, ...] = ("ultralytics", "torch")
    suffix: str = ".pt"
    fixed_scale: bool = False

    def check(self, weights: Path) -> None:
        """Raises: InputError: the file is damaged, or no checkpoint of ultralytics."""
        _read_checkpoint(weights)

    def arguments(self, weights: str | Path, params: TrainingParams, device: str) -> dict[str, Any]:
        """The arguments of ultralytics' trainer, without folder names of this machine."""
        import torch

        is_random = str(weights).endswith(".yaml")
        return {
            "imgsz": params.imgsz,
            "epochs": params.epochs,
            "patience": params.patience,
            "batch": params.batch,
            # By default, ultralytics accumulates gradients over 64 images: few images would give one step.
            "nbs": params.batch,
            "warmup_epochs": 1.0,
            # Random layers must not be frozen, because they would stay random.
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

    def train(self, run: Run) -> None:
        """Run ultralytics' trainer from ``run.before``."""
        _train(run, self.arguments(run.weights, run.params, run.device))

    def save(self, checkpoint: Path, target: Path, arguments: Mapping[str, Any]) -> None:
        """Copy a checkpoint's model for inference: half precision, no optimizer, dates or folder names."""
        import torch

        keep_offline()
        from ultralytics.utils.torch_utils import strip_optimizer

        # Makes the classes of this file known to torch, which strip_optimizer's own loading then accepts.
        _read_checkpoint(checkpoint)
        shutil.copyfile(checkpoint, target)
        strip_optimizer(str(target))
        content = _read_checkpoint(target)
        for key in ("date", "git", "train_results"):
            content.pop(key, None)
        content["train_args"] = dict(arguments)
        content["model"].args = dict(arguments)
        content["model"].__dict__.pop("pt_path", None)
        torch.save(content, target)

    def load(self, weights: Path) -> Look:
        """Raises: InputError: the file is damaged, or holds something else than a model of ultralytics."""
        import torch

        keep_offline()
        from ultralytics import YOLO

        threads = all_threads()
        try:
            model = YOLO(weights)
        except Exception as error:
            # A damaged or malicious file can raise anything.
            why = " ".join(str(error).split())
            raise InputError(f"{weights}: not a model of ultralytics ({why}); train it again") from None
        device = best_device()
        if device == "cpu":
            inner: Any = model.model
            inner.to(memory_format=torch.channels_last)

        def look(image: np.ndarray, side: int, enlarge: bool) -> sv.Detections:
            bgr = np.ascontiguousarray(image[:, :, ::-1])
            size = side if enlarge else min(side, -(-max(image.shape[:2]) // _STRIDE) * _STRIDE)
            (result,) = model.predict(bgr, imgsz=size, conf=0.001, device=device, verbose=False)
            # The first call has chosen a device, and with it one thread less.
            torch.set_num_threads(threads)
            return sv.Detections.from_ultralytics(result)

        return look


def _read_checkpoint(path: Path) -> dict[str, Any]:
    """A checkpoint of ultralytics: tensors and classes it knows, nothing else is unpickled.

    Raises:
        InputError: the file is damaged or contains something else.
    """
    keep_offline()
    from ultralytics.nn.tasks import torch_safe_load

    try:
        return torch_safe_load(str(path), safe_only=True)[0]
    except Exception as error:
        # A damaged or malicious file can raise anything.
        why = " ".join(str(error).split())
        raise InputError(f"{path}: not a checkpoint of ultralytics ({why}); name another one") from None


def _train(run: Run, arguments: Mapping[str, Any]) -> None:
    keep_offline()
    from ultralytics.models.yolo.detect import DetectionTrainer

    class FineTuning(DetectionTrainer):
        """Its name must not contain "Trainer", because to such classes ultralytics attaches its loggers."""

        def final_eval(self) -> None:
            """The best epoch's scores are known; validating it again would add nothing."""

    place, before = run.place, run.before
    folder = place / "run"
    remove(folder)
    overrides = {**arguments, "model": str(run.weights), "data": str(_view(run.dataset, place / "view"))}
    overrides |= {"project": str(place), "save_dir": str(folder)}
    rows = []
    if before.epoch:
        _read_checkpoint(epoch_folder(place, before.epoch) / "last.pt")
        shutil.copytree(epoch_folder(place, before.epoch), folder / "weights")
        rows = pd.read_csv(folder / "weights" / "history.csv").to_dict("records")
        overrides["resume"] = str(folder / "weights" / "last.pt")
    threads = all_threads()
    trainer = FineTuning(overrides=overrides)
    start = time.monotonic()
    done = 0

    def begin(trainer: Any) -> None:
        nonlocal done
        done = 0

    def count(trainer: Any) -> None:
        nonlocal done
        done += 1
        total = len(trainer.train_loader.dataset)
        images = min(done * trainer.batch_size, total)
        run.on_batch(trainer.epoch + 1, images, total, sum(map(float, trainer.tloss.values())))

    def keep(trainer: Any) -> None:
        """After an epoch's checkpoint is written."""
        state = State(trainer.epoch + 1, bool(trainer.stop), before.seconds + time.monotonic() - start)
        row = _row(trainer)
        rows.append({"epoch": state.epoch, "seconds": round(state.seconds, 1), **row})
        with fresh_dir(epoch_folder(place, state.epoch)) as new:
            for file in (trainer.last, trainer.best):
                shutil.copyfile(file, new / file.name)
            pd.DataFrame(rows).to_csv(new / "history.csv", index=False, lineterminator="\n")
            (new / "state.json").write_text(json.dumps(asdict(state)), encoding="utf-8")
        for older in set(place.glob("epoch-*")) - {epoch_folder(place, state.epoch)}:
            remove(older)
        run.on_epoch(state.epoch, row)
        run.progress(state.epoch, trainer.epochs)

    trainer.add_callback("on_train_start", lambda trainer: _begin(trainer, threads))
    trainer.add_callback("on_train_epoch_start", begin)
    trainer.add_callback("on_train_batch_end", count)
    trainer.add_callback("on_model_save", keep)
    trainer.train()


def _begin(trainer: Any, threads: int) -> None:
    """Undo what ultralytics does on a CPU: it leaves one core idle, and takes the slower functions."""
    import torch

    torch.set_num_threads(threads)
    if trainer.device.type != "cpu":
        return
    # A fifth less time, for convolutions then need no reordering of input. The averaged model validates.
    for model in (trainer.model, trainer.ema.ema):
        model.to(memory_format=torch.channels_last)
    if isinstance(trainer.optimizer, torch.optim.AdamW):
        for group in trainer.optimizer.param_groups:
            group.update(fused=True, foreach=False)


def _row(trainer: Any) -> dict[str, float]:
    """The metrics of an epoch under names that need no quoting: train_box_loss, precision, mAP50, lr ..."""
    measures = {**trainer.label_loss_items(trainer.tloss), **trainer.metrics, "lr": trainer.lr["lr/pg0"]}
    clean = {
        name.removeprefix("metrics/").replace("(B)", "").replace("/", "_").replace("-", "_"): float(value)
        for name, value in measures.items()
    }
    return {name: round(value, 6) for name, value in clean.items()} | {"fitness": float(trainer.fitness)}


def _view(dataset: Path, view: Path) -> Path:
    """Link the dataset's files into the work folder, because ultralytics writes its caches beside the labels.

    Only images, labels and class names are taken over: ultralytics unpickles a cache beside the labels, and
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
