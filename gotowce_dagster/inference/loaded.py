"""A trained model with the settings it was trained with."""

from dataclasses import dataclass
from pathlib import Path

from gotowce_dagster.core.device import best_device
from gotowce_dagster.core.digests import content_sha256
from gotowce_dagster.core.trust import require_trusted
from gotowce_dagster.training.engines.registry import engine_of
from gotowce_dagster.training.model import Predict, load_trained
from gotowce_dagster.training.model_folder import model_file, read_arguments


@dataclass(frozen=True)
class LoadedModel:
    """A model and its inference settings."""

    predict: Predict
    weights: Path
    sha256: str
    imgsz: int
    """Long side of its input for a whole frame, pixels."""
    tile_px: int
    """Side of the tiles of larger frames; 0: whole frames."""
    device: str
    library: str = "ultralytics"
    """Package that runs it."""
    crop_px: int = 0
    """Side of the crops it was trained on, so that it gets frames at their own size; 0: on whole frames."""

    @property
    def input(self) -> str:
        """What it gets of a frame, in words."""
        if self.tile_px:
            return f"tiles of {self.tile_px} px"
        return "whole frames at their own size" if self.crop_px else f"whole frames at {self.imgsz} px"

    def record(self) -> dict[str, str | int]:
        """The weights and settings, for the record of a run."""
        return {
            "weights": str(self.weights),
            "sha256": self.sha256,
            "imgsz": self.imgsz,
            "tile_px": self.tile_px,
            "crop_px": self.crop_px,
            "device": self.device,
        }


def open_model(folder: Path) -> LoadedModel:
    """Load a model from a folder written by the stage finetuned_model.

    Raises:
        InputError: it is missing, damaged, or not trusted (core/trust.py).
    """
    arguments = read_arguments(folder)
    weights = model_file(folder)
    require_trusted(weights)
    return LoadedModel(
        predict=load_trained(folder, weights),
        weights=weights,
        sha256=content_sha256(weights),
        imgsz=arguments["imgsz"],
        tile_px=arguments.get("tile_px", 0),
        crop_px=arguments.get("crop_px", 0),
        device=best_device(),
        library=engine_of(weights).libraries[0],
    )
