"""Sections of params.yaml about studies: each is named after the stage of its study."""

from typing import Annotated, Literal

from pydantic import Field

from gotowce_dagster.config.detector_settings import DescriberSettings, DetectorSettings, OpenSettings
from gotowce_dagster.config.settings import Section
from gotowce_dagster.core.safe_names import ReadablePath


class SegmentEverythingParams(Section):
    frames: int = Field(ge=1)
    input_px: int = Field(ge=64, multiple_of=32)
    points_per_side: int = Field(ge=2)
    least_predicted_iou: float = Field(ge=0, le=1)
    least_stability: float = Field(ge=0, le=1)
    superpixels: int = Field(ge=2)
    compactness: float = Field(gt=0)


class MarkColoursParams(Section):
    frames: int = Field(ge=1)
    background_px: int = Field(ge=100)
    percentiles: list[Annotated[int, Field(ge=0, le=100)]] = Field(min_length=1)


class CropSensitivityParams(Section):
    describers: dict[str, DescriberSettings] = Field(min_length=1)
    frames: int = Field(ge=1)
    steps: int = Field(ge=2)
    iterations: int = Field(ge=1)
    words: list[Annotated[str, Field(min_length=1)]] = Field(min_length=1)
    least_share: float = Field(gt=0, le=1)
    interval: float = Field(gt=0, lt=1)
    neighbours: int = Field(ge=1)
    language_model: list[Annotated[str, Field(min_length=1)]] = Field(min_length=1)
    seed: int


class VocabularyParams(Section):
    detectors: dict[str, OpenSettings]
    phrases: list[Annotated[str, Field(min_length=1)]]
    control: list[Annotated[str, Field(min_length=1)]]
    nearest: int = Field(ge=1)
    frames: int = Field(ge=1)
    min_confidence: float = Field(ge=0, le=1)
    lvis_categories: ReadablePath | None
    text_encoder: ReadablePath
    language_model: list[Annotated[str, Field(min_length=1)]] = Field(min_length=1)


class ComparisonParams(Section):
    detectors: dict[str, DetectorSettings] = Field(min_length=1)
    segmenters: list[str]
    truth: Literal["designator", "object"]
    truth_of: dict[str, Literal["designator", "object"]]
    frames: int = Field(ge=1)
    bootstrap: int = Field(ge=100)
    interval: float = Field(gt=0, lt=1)
    seed: int
    timeout_s: float = Field(gt=0)
    max_batch: int = Field(ge=1)
    batch_s: float = Field(ge=0)
    memory_mb: float = Field(gt=0)
    budget_frames: int = Field(ge=1)
    frames_shown: int = Field(ge=0)
    worst_shown: int = Field(ge=0)
    pictures_mb: float = Field(gt=0)
