"""The common part of the engines of ``transformers``: detection transformers in the hub's folder format.

Their boxes are fractions of the input, so a model that was trained on crops finds targets only in inputs of
that size: it searches larger frames in tiles. Order, augmentation and noise of an epoch follow from the seed
and its number, so an interrupted training ends like an uninterrupted one.
"""

import json
import shutil
import time
from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pandas as pd
import supervision as sv

from gotowce_dagster.config.params import TrainingParams
from gotowce_dagster.core.detections import from_boxes
from gotowce_dagster.core.device import all_threads, best_device
from gotowce_dagster.core.errors import InputError, MissingWeightsError
from gotowce_dagster.core.files import fresh_dir, link_or_copy, remove
from gotowce_dagster.core.hub_models import DETECTORS, load_folder
from gotowce_dagster.labels.export import class_names, read_objects
from gotowce_dagster.training.engines.base import Look, Run, State, epoch_folder
from gotowce_dagster.training.engines.scores import scores
from gotowce_dagster.training.engines.varied import varied

_GREY = 114
_LEAST_CONFIDENCE = 0.001
_BACKBONE = 0.1
"""Learning rate of the backbone relative to that of the other layers."""
_WEIGHT_DECAY = 1e-4
_LONGEST_GRADIENT = 0.1
_LAST_RATE = 0.01
"""Final learning rate relative to the configured one."""


class Detr(ABC):
    """A detection transformer of ``transformers``."""

    libraries: tuple[str, ...] = ("transformers", "torch")
    suffix: str = ""
    fixed_scale: bool = True
    name: str
    model_type: str
    """In config.json; see hub_models.DETECTORS."""
    losses: ClassVar[Mapping[str, str]]
    """Losses of the last layer by their name in ``transformers``, and their names in the history."""

    @abstractmethod
    def stride(self, config: Any) -> int:
        """The side of the input is a multiple of this, pixels."""

    def check(self, weights: Path) -> None:
        """Raises: InputError: the folder is damaged, or of another model."""
        self._open(weights)

    def arguments(self, weights: str | Path, params: TrainingParams, device: str) -> dict[str, Any]:
        """The settings of a training."""
        return {
            "engine": self.name,
            **{
                key: getattr(params, key)
                for key in ("imgsz", "epochs", "patience", "batch", "learning_rate", "scale", "seed")
            },
            "freeze_backbone": params.freeze > 0,
            "device": device,
        }

    def save(self, checkpoint: Path, target: Path, arguments: Mapping[str, Any]) -> None:
        """Copy a checkpoint's model: configuration and tensors alone."""
        shutil.copytree(checkpoint, target)

    def load(self, weights: Path) -> Look:
        """Raises: InputError: the folder is damaged, or of another model."""
        import torch

        torch.set_num_threads(all_threads())
        model, processor = self._open(weights)
        device = best_device()
        return self._look(model.to(device).eval(), processor, device)

    def train(self, run: Run) -> None:
        """Train from where ``run.before`` stands."""
        import torch

        torch.set_num_threads(all_threads())
        torch.manual_seed(run.params.seed)
        before, names = run.before, class_names(run.dataset)
        folder = epoch_folder(run.place, before.epoch)
        start = folder / "last" if before.epoch else Path(run.weights)
        model, processor = self._open(start, names)
        optimizer = _optimizer(model.to(run.device), run.params)
        rows: list[dict[str, float]] = []
        if before.epoch:
            optimizer.load_state_dict(_read_optimizer(folder / "optimizer.pt"))
            rows = pd.read_csv(folder / "history.csv").to_dict("records")
        begun = time.monotonic()
        for number in range(before.epoch + 1, run.params.epochs + 1):
            row = self._epoch(run, model, processor, optimizer, number)
            row |= self._validate(run, model, processor)
            best = max([float(past["fitness"]) for past in rows], default=-1.0)
            is_best = row["fitness"] >= best
            since = number - _best_epoch([*rows, {"epoch": number, **row}])
            stopped = number == run.params.epochs or since >= run.params.patience
            state = State(number, stopped, before.seconds + time.monotonic() - begun)
            rows.append({"epoch": number, "seconds": round(state.seconds, 1), **row})
            _keep(run.place, state, model, processor, optimizer, rows=rows, is_best=is_best)
            run.on_epoch(number, row)
            run.progress(number, run.params.epochs)
            if stopped:
                return

    def _open(self, folder: Path, names: Mapping[int, str] | None = None) -> tuple[Any, Any]:
        """The model and its processor; for other classes than its own, their layers are random.

        Raises:
            InputError: the folder is damaged, or of another model.
        """
        settings: dict[str, Any] = {"use_safetensors": True}
        if names is not None:
            numbers = {name: number for number, name in names.items()}
            settings |= {"id2label": dict(names), "label2id": numbers, "ignore_mismatched_sizes": True}
        try:
            model, processor = load_folder(*DETECTORS[self.model_type], folder, **settings)
        except MissingWeightsError as error:
            raise InputError(f"not a model of the engine {self.name}: {error}") from None
        if model.config.model_type != self.model_type:
            raise InputError(f"{folder}: a model of the type {model.config.model_type!r}, not of {self.name}")
        return model, processor

    def _epoch(self, run: Run, model: Any, processor: Any, optimizer: Any, number: int) -> dict[str, float]:
        """Train on each image once; returns the mean losses and the last learning rate."""
        import torch

        params = run.params
        images = _images(run.dataset, "train")
        rng = np.random.default_rng([params.seed, number])
        torch.manual_seed(int(rng.integers(2**31)))
        order = rng.permutation(len(images))
        batches = -(-len(images) // params.batch)
        side = self._side(model, params.imgsz)
        sums: dict[str, float] = {}
        done = 0
        model.train()
        for step in range(batches):
            some = [images[place] for place in order[step * params.batch : (step + 1) * params.batch]]
            rate = _rate((number - 1) * batches + step, batches, params)
            for group in optimizer.param_groups:
                group["lr"] = group["base"] * rate
            pixels, labels = _batch(run.dataset, some, processor, side, scale=params.scale, rng=rng)
            output = model(
                pixel_values=pixels.to(run.device),
                labels=[{key: value.to(run.device) for key, value in one.items()} for one in labels],
            )
            if not torch.isfinite(output.loss):
                raise InputError(
                    f"the loss of epoch {number} is not finite; lower finetuned_model.learning_rate"
                )
            optimizer.zero_grad(set_to_none=True)
            output.loss.backward()
            torch.nn.utils.clip_grad_norm_(model.parameters(), _LONGEST_GRADIENT)
            optimizer.step()
            for name, value in self._parts(output).items():
                sums[name] = sums.get(name, 0.0) + value * len(some)
            done += len(some)
            run.on_batch(number, done, len(images), sum(sums.values()) / done)
        losses = {f"train_{name}_loss": round(value / len(images), 6) for name, value in sums.items()}
        return losses | {"lr": params.learning_rate * rate}

    def _parts(self, output: Any) -> dict[str, float]:
        """The parts of the loss: those of the last layer by kind, and the sum of all others."""
        parts = {
            name: float(output.loss_dict[key].detach())
            for key, name in self.losses.items()
            if key in output.loss_dict
        }
        return parts | {"other": float(output.loss.detach()) - sum(parts.values())}

    def _validate(self, run: Run, model: Any, processor: Any) -> dict[str, float]:
        look = self._look(model.eval(), processor, run.device)
        found, truth = [], []
        for image in _images(run.dataset, "val"):
            picture, objects = read_objects(run.dataset, image)
            found.append(look(picture, run.params.imgsz, True))
            truth.append(objects)
        measures = scores(found, truth)
        return {name: round(value, 6) for name, value in measures.items()} | {"fitness": measures["mAP50_95"]}

    def _look(self, model: Any, processor: Any, device: str) -> Look:
        import torch

        names = {int(number): name for number, name in model.config.id2label.items()}

        def look(image: np.ndarray, side: int, enlarge: bool) -> sv.Detections:
            shown = image if enlarge else _padded(image, side)
            pixels = _pixels([shown], processor, self._side(model, side)).to(device)
            # Not in bfloat16: it moves boxes by pixels.
            with torch.inference_mode():
                output = model(pixel_values=pixels)
            (answer,) = processor.post_process_object_detection(
                output, threshold=_LEAST_CONFIDENCE, target_sizes=[shown.shape[:2]]
            )
            height, width = image.shape[:2]
            boxes = answer["boxes"].float().cpu().numpy().clip(0, [width, height, width, height])
            kept = np.flatnonzero((boxes[:, 2:] > boxes[:, :2]).all(axis=1))
            numbers = answer["labels"].cpu().numpy()[kept]
            return from_boxes(
                boxes[kept],
                answer["scores"].float().cpu().numpy()[kept],
                class_id=numbers,
                class_name=[names[int(number)] for number in numbers],
            )

        return look

    def _side(self, model: Any, side: int) -> int:
        """The next larger side that the model accepts."""
        stride = self.stride(model.config)
        return -(-side // stride) * stride


def _images(dataset: Path, split: str) -> list[str]:
    """The images of a split, as paths below the dataset.

    Raises:
        InputError: there are none.
    """
    found = sorted(path.relative_to(dataset).as_posix() for path in (dataset / "images" / split).iterdir())
    if not found:
        raise InputError(f"{dataset}: the split {split} has no images; add videos or reviews")
    return found


def _batch(
    dataset: Path,
    images: list[str],
    processor: Any,
    side: int,
    *,
    scale: float,
    rng: np.random.Generator,
) -> tuple[Any, list[dict[str, Any]]]:
    """Augmented images and their objects as training targets: boxes cx, cy, w, h, fractions of the image."""
    import torch

    pictures, labels = [], []
    for name in images:
        image, objects = read_objects(dataset, name)
        picture, boxes, kept = varied(image, objects.xyxy, scale, rng)
        size = np.array([picture.shape[1], picture.shape[0]] * 2, np.float32)
        middle = np.concatenate([(boxes[:, :2] + boxes[:, 2:]) / 2, boxes[:, 2:] - boxes[:, :2]], axis=1)
        numbers = np.asarray(objects.class_id, np.int64).reshape(-1)[kept]
        labels.append(
            {
                "boxes": torch.from_numpy((middle / size).astype(np.float32)),
                "class_labels": torch.from_numpy(numbers),
            }
        )
        pictures.append(picture)
    return _pixels(pictures, processor, side), labels


def _pixels(images: list[np.ndarray], processor: Any, side: int) -> Any:
    """Images as the model's input: stretched to a square and normalised, float (n, 3, side, side)."""
    size = {"height": side, "width": side}
    return processor(images=images, size=size, do_pad=False, return_tensors="pt")["pixel_values"]


def _padded(image: np.ndarray, side: int) -> np.ndarray:
    """The image at the top left of a grey square; a larger one stays as it is."""
    height, width = image.shape[:2]
    below, right = max(side - height, 0), max(side - width, 0)
    return np.pad(image, ((0, below), (0, right), (0, 0)), constant_values=_GREY)


def _optimizer(model: Any, params: TrainingParams) -> Any:
    """AdamW with a lower learning rate in the backbone, and without its frozen layers."""
    import torch

    backbone, rest = [], []
    for name, tensor in model.named_parameters():
        if "backbone" in name and params.freeze:
            tensor.requires_grad_(False)
        if tensor.requires_grad:
            (backbone if "backbone" in name else rest).append(tensor)
    groups = [{"params": rest, "base": params.learning_rate}]
    if backbone:
        groups.append({"params": backbone, "base": params.learning_rate * _BACKBONE})
    return torch.optim.AdamW(groups, lr=params.learning_rate, weight_decay=_WEIGHT_DECAY)


def _rate(step: int, batches: int, params: TrainingParams) -> float:
    """Learning rate of a step relative to the configured one: it rises in the first epoch and then falls."""
    if step < batches and params.epochs > 1:
        return (step + 1) / batches
    return 1 - (1 - _LAST_RATE) * step / max(batches * params.epochs - 1, 1)


def _read_optimizer(path: Path) -> Any:
    """Raises: InputError: the file is damaged, or holds more than tensors."""
    import torch

    try:
        return torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:
        # A damaged or malicious file can raise anything.
        why = " ".join(str(error).split())
        raise InputError(
            f"{path}: damaged ({why}); remove its folder, and the training begins anew"
        ) from None


def _best_epoch(rows: list[dict[str, float]]) -> int:
    """The epoch with the highest fitness, the last of equal ones."""
    return int(max(reversed(rows), key=lambda row: row["fitness"])["epoch"])


def _keep(
    place: Path,
    state: State,
    model: Any,
    processor: Any,
    optimizer: Any,
    *,
    rows: list[dict[str, float]],
    is_best: bool,
) -> None:
    """Write an epoch's checkpoint, then remove the one before."""
    import torch

    with fresh_dir(epoch_folder(place, state.epoch)) as new:
        model.save_pretrained(new / "last")
        processor.save_pretrained(new / "last")
        best = new / "last" if is_best else epoch_folder(place, state.epoch - 1) / "best"
        for file in _files(best):
            (new / "best").mkdir(exist_ok=True)
            link_or_copy(file, new / "best" / file.name)
        torch.save(optimizer.state_dict(), new / "optimizer.pt")
        pd.DataFrame(rows).to_csv(new / "history.csv", index=False, lineterminator="\n")
        (new / "state.json").write_text(json.dumps(asdict(state)), encoding="utf-8")
    for older in set(place.glob("epoch-*")) - {epoch_folder(place, state.epoch)}:
        remove(older)


def _files(folder: Path) -> Iterator[Path]:
    yield from sorted(path for path in folder.iterdir() if path.is_file())
