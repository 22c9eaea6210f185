"""The training engines by name. A new one is a file, a name in config/training_params.py, and a line here."""

from pathlib import Path

from gotowce_dagster.config.params import TrainingParams
from gotowce_dagster.core.errors import InputError
from gotowce_dagster.core.files import read_json
from gotowce_dagster.training.engines.base import Engine
from gotowce_dagster.training.engines.dfine import DFine
from gotowce_dagster.training.engines.rfdetr import RfDetr
from gotowce_dagster.training.engines.yolo import Yolo

_ALL: tuple[Engine, ...] = (Yolo(), RfDetr(), DFine())
ENGINES = {engine.name: engine for engine in _ALL}

_BY_MODEL_TYPE = {RfDetr.model_type: "rfdetr", DFine.model_type: "dfine"}
"""Engines of folders, by ``model_type`` in their config.json."""


def engine_of(weights: Path) -> Engine:
    """The engine that made a model.

    Raises:
        InputError: no engine makes such models.
    """
    if not weights.is_dir():
        return ENGINES["yolo"]
    config = read_json(weights / "config.json", "train the model again")
    model_type = config.get("model_type") if isinstance(config, dict) else None
    if model_type not in _BY_MODEL_TYPE:
        known = ", ".join(_BY_MODEL_TYPE)
        raise InputError(f"{weights}: a model of the type {model_type!r}; expected one of {known}")
    return ENGINES[_BY_MODEL_TYPE[model_type]]


def tile_side(params: TrainingParams, crop_px: int) -> int:
    """Side in pixels of the tiles into which frames are cut for a trained model; 0: whole frames.

    Args:
        crop_px: side of the crops it was trained on; 0: it was trained on whole frames.
    """
    return params.tile_px or (crop_px if ENGINES[params.engine].fixed_scale else 0)
