"""The folder of a finished training: its model, scores and settings, read without a model library."""

import json
from pathlib import Path
from typing import Any

import yaml

from gotowce_dagster.core.errors import InputError


def read_metrics(model: Path) -> dict[str, float]:
    """The scores of a finished model on the validation frames, from its folder.

    Raises:
        InputError: there is no finished model.
    """
    return json.loads(_of_model(model, "metrics.json"))


def read_arguments(model: Path) -> dict[str, Any]:
    """The settings of a finished model, from its folder.

    Raises:
        InputError: there is no finished model.
    """
    return yaml.safe_load(_of_model(model, "args.yaml"))


def _of_model(model: Path, name: str) -> str:
    if not (model / name).exists():
        raise InputError(f"{model / name}: does not exist; run finetuned_model first")
    return (model / name).read_text(encoding="utf-8")


def model_file(folder: Path, stem: str = "best") -> Path:
    """A model in the folder of a finished training: the file STEM.pt, or the folder STEM."""
    inside = folder / stem
    return inside if inside.is_dir() else folder / f"{stem}.pt"


def has_no_weights(engine: str | Path) -> bool:
    """Whether a training starts from an architecture without weights."""
    return Path(engine).suffix == ".yaml"
