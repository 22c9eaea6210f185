"""Sections of params.yaml about studies: each is named after the stage of its study."""

from typing import Annotated, Literal

from pydantic import Field, field_validator, model_validator

from gotowce_dagster.config.detector_settings import (
    DescriberSettings,
    DetectorSettings,
    HostedSettings,
    InputSettings,
    OpenSettings,
)
from gotowce_dagster.config.settings import Section
from gotowce_dagster.core.safe_names import ReadablePath

Words = Annotated[str, Field(min_length=1)]
Target = Literal["designator", "object"]


class SegmentEverythingParams(Section):
    frames: int = Field(ge=1)
    input_px: int = Field(ge=64, multiple_of=32)
    points_per_side: int = Field(ge=2)
    least_predicted_iou: float = Field(ge=0, le=1)
    least_stability: float = Field(ge=0, le=1)
    tile_px: int = Field(ge=64)
    tile_overlap: float = Field(ge=0, lt=1)
    tile_points_per_side: int = Field(ge=1)
    size_bins: list[Annotated[float, Field(ge=0)]] = Field(min_length=2)
    found_iou: float = Field(gt=0, le=1)
    interval: float = Field(gt=0, lt=1)
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
    words: list[Words] = Field(min_length=1)
    least_share: float = Field(gt=0, le=1)
    interval: float = Field(gt=0, lt=1)
    neighbours: int = Field(ge=1)
    language_model: list[Words] = Field(min_length=1)
    seed: int


class VocabularyParams(Section):
    detectors: dict[str, OpenSettings]
    phrases: list[Words]
    control: list[Words]
    nearest: int = Field(ge=1)
    frames: int = Field(ge=1)
    min_confidence: float = Field(ge=0, le=1)
    lvis_categories: ReadablePath | None
    text_encoder: ReadablePath
    language_model: list[Words] = Field(min_length=1)


class MeasuringParams(Section):
    """How detectors are measured on the same frames; see comparison/."""

    truth: Target
    truth_of: dict[str, Target]
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
    pictures_mb: float = Field(gt=0)


class ComparisonParams(MeasuringParams):
    detectors: dict[str, DetectorSettings] = Field(min_length=1)
    segmenters: list[str]
    worst_shown: int = Field(ge=0)


class PromptInputsParams(MeasuringParams):
    detectors: dict[str, DetectorSettings] = Field(min_length=1)
    inputs: dict[Words, InputSettings | None] = Field(min_length=2)
    baseline: str

    @model_validator(mode="after")
    def _with_baseline(self) -> "PromptInputsParams":
        if self.baseline not in self.inputs:
            raise ValueError(f"baseline: {self.baseline!r} is none of the inputs {', '.join(self.inputs)}")
        return self

    @field_validator("detectors")
    @classmethod
    def _without_input(cls, detectors: dict[str, DetectorSettings]) -> dict[str, DetectorSettings]:
        if own := [name for name, settings in detectors.items() if settings.input]:
            raise ValueError(
                f"{', '.join(own)}: remove `input` here; every detector is shown all of `inputs`"
            )
        return detectors


class RoundParams(Section):
    """A turn of a dialogue with a hosted model; see detectors/hosted/dialogue.py."""

    name: Words
    asks: Literal["boxes", "count"]
    prompt: Words
    """``{phrases}`` becomes the model's phrases, ``{measure}`` the unit of coordinates."""


class DialogueParams(Section):
    models: dict[str, HostedSettings] = Field(min_length=1)
    rounds: list[RoundParams] = Field(min_length=1)
    truth: Target
    frames: int = Field(ge=1)
    bootstrap: int = Field(ge=100)
    interval: float = Field(gt=0, lt=1)
    seed: int
    frames_shown: int = Field(ge=0)
    pictures_mb: float = Field(gt=0)

    @model_validator(mode="after")
    def _possible(self) -> "DialogueParams":
        if self.rounds[0].asks != "boxes":
            raise ValueError("rounds: the first must ask for boxes, because the later ones are about them")
        names = [one.name for one in self.rounds]
        if twice := sorted({name for name in names if names.count(name) > 1}):
            raise ValueError(f"rounds: {', '.join(twice)} occurs twice; rename one of them")
        if changed := [name for name, model in self.models.items() if model.input or model.refine]:
            raise ValueError(
                f"models.{changed[0]}: remove `input` and `refine`; a dialogue is about whole frames, and "
                "refining is one of its rounds"
            )
        return self
