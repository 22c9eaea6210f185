"""Sections of params.yaml about the dataset, training and evaluation."""

from typing import Annotated, Literal

from pydantic import Field, field_validator, model_validator

from gotowce_dagster.config.settings import Section


class DatasetParams(Section):
    seed: int
    split_by: Literal["auto", "recording", "blocks"]
    shares: dict[str, float]
    cycle_s: float = Field(gt=0)
    gap_s: float = Field(ge=0)
    near_duplicate_bits: int | None = Field(ge=0, le=64)
    negative_share: float = Field(ge=0, lt=1)
    unknown_frames: int = Field(ge=0)
    polygons: bool

    @field_validator("shares")
    @classmethod
    def _whole(cls, shares: dict[str, float]) -> dict[str, float]:
        whole = set(shares) == {"train", "val", "test"} and abs(sum(shares.values()) - 1) < 1e-6
        if not whole or min(shares.values()) <= 0:
            raise ValueError(f"expected train, val and test, each above 0, together 1, not {shares}")
        return shares


class CropParams(Section):
    """Training on crops around targets at native scale; see training/crops.py."""

    px: int = Field(ge=64, multiple_of=32)
    count: int = Field(ge=8)
    per_frame: int = Field(ge=1)
    erased: float = Field(ge=0, le=1)
    away: float = Field(ge=0, le=1)
    standouts: int = Field(ge=0)
    pasted: Annotated[tuple[int, int], Field(strict=False)]
    paste_scale: Annotated[tuple[float, float], Field(strict=False)]
    foreign: float = Field(ge=0, le=1)
    marked: float = Field(ge=0, le=1)
    stretch: float = Field(ge=1)
    turn_deg: float = Field(ge=0, le=180)
    recolour: float = Field(ge=0, le=1)
    brightness: float = Field(ge=0, lt=1)

    @model_validator(mode="after")
    def _ordered(self) -> "CropParams":
        for name, (low, high) in {"pasted": self.pasted, "paste_scale": self.paste_scale}.items():
            if low > high or low < 0 or (name == "paste_scale" and low <= 0):
                raise ValueError(f"{name}: expected the smallest first, none negative, got {[low, high]}")
        return self


class RoundsParams(Section):
    """Self-training: a model proposes labels for unlabelled objects, and the next one is trained on them."""

    count: int = Field(ge=0)
    least_gain: float = Field(ge=0)
    frames: int = Field(ge=1)
    hold: int = Field(ge=2)
    adopt: float = Field(gt=0, le=1)
    doubt: float = Field(gt=0, le=1)
    faint: float = Field(ge=0, le=1)
    box_iou: float = Field(ge=0, le=1)
    smallest: float = Field(ge=0)
    small: float = Field(ge=0)


_FOLDERS = {
    "rfdetr": "a folder such as Roboflow/rf-detr-nano",
    "dfine": "a folder such as ustc-community/dfine-nano-coco",
}
"""Weights that the engines of transformers start from, for messages."""


class TrainingParams(Section):
    engine: Literal["yolo", "rfdetr", "dfine"]
    weights: list[str] = Field(min_length=1)
    seed: int
    epochs: int = Field(ge=1)
    patience: int = Field(ge=1)
    imgsz: int = Field(ge=32, multiple_of=32)
    crops: CropParams | None
    rounds: RoundsParams
    tile_px: int = Field(ge=0, multiple_of=32)
    batch: int = Field(ge=1)
    learning_rate: float = Field(gt=0, lt=1)
    freeze: int = Field(ge=0)
    mosaic: float = Field(ge=0, le=1)
    close_mosaic: int = Field(ge=0)
    scale: float = Field(ge=0, lt=1)
    workers: int = Field(ge=0)
    least_map50: float = Field(ge=0, le=1)

    @model_validator(mode="after")
    def _of_one_engine(self) -> "TrainingParams":
        """The engines of transformers start from folders, and do not combine images."""
        is_yolo = self.engine == "yolo"
        if wrong := [name for name in self.weights if name.endswith((".pt", ".yaml")) != is_yolo]:
            other = (
                "a .pt file or a .yaml architecture, such as yolo26n.pt" if is_yolo else _FOLDERS[self.engine]
            )
            raise ValueError(f"weights: {wrong[0]} is not of the engine {self.engine}; name {other}")
        if not is_yolo and (self.mosaic or self.close_mosaic):
            raise ValueError(f"mosaic: only the engine yolo combines images; set it to 0 for {self.engine}")
        return self


class EvaluationParams(Section):
    confidence: float = Field(ge=0, le=1)
    least_precision: float = Field(gt=0, le=1)
    max_truth_frames: int = Field(ge=1)
    videos_shown: int = Field(ge=0)
    worst_shown: int = Field(ge=0)
    pictures_mb: float = Field(gt=0)
