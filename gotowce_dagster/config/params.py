"""params.yaml, typed. The only source of anything that changes an output, and the only place that reads it.

One section per stage; params.yaml explains each number beside it. The sections about training, review and
studies have files of their own.
"""

import os
from itertools import pairwise
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Field, ValidationError, field_validator, model_validator

from gotowce_dagster.config.detector_settings import DetectorSettings
from gotowce_dagster.config.review_params import (
    DoubtParams,
    RankingParams,
    ReviewAssistParams,
    ReviewAuditParams,
    ReviewParams,
    ReviewSensorParams,
    ReviewTasksParams,
    ReviewVideoParams,
)
from gotowce_dagster.config.settings import Section
from gotowce_dagster.config.study_params import (
    ComparisonParams,
    CropSensitivityParams,
    DialogueParams,
    MarkColoursParams,
    MeasuringParams,
    PromptInputsParams,
    SegmentEverythingParams,
    VocabularyParams,
)
from gotowce_dagster.config.training_params import (
    CropParams,
    DatasetParams,
    EvaluationParams,
    RoundsParams,
    TrainingParams,
)
from gotowce_dagster.core.errors import InputError
from gotowce_dagster.core.safe_names import ClassName
from gotowce_dagster.core.validation import in_words
from gotowce_dagster.core.yaml_files import read_yaml

__all__ = [
    "ComparisonParams",
    "ConsensusParams",
    "CropParams",
    "CropSensitivityParams",
    "DatasetParams",
    "DetectionsParams",
    "DialogueParams",
    "DoubtParams",
    "EvaluationParams",
    "FramesParams",
    "GateParams",
    "LabelsParams",
    "MarkColoursParams",
    "MasksParams",
    "MeasuringParams",
    "Params",
    "PromptInputsParams",
    "PropagationParams",
    "RankingParams",
    "ReviewAssistParams",
    "ReviewAuditParams",
    "ReviewParams",
    "ReviewSensorParams",
    "ReviewTasksParams",
    "ReviewVideoParams",
    "RoundsParams",
    "RuleParams",
    "Section",
    "SegmentEverythingParams",
    "TrainingParams",
    "VocabularyParams",
    "read_params",
]


class FramesParams(Section):
    fps: float = Field(ge=0)
    jpeg_quality: int = Field(ge=1, le=100)
    duplicate_bits: int = Field(ge=0, le=64)
    duplicate_change: float = Field(ge=0, le=255)
    stall_s: float = Field(gt=0)
    cut_change: float = Field(ge=0, le=255)
    cut_ratio: float = Field(ge=1)
    cut_similarity: float = Field(ge=-1, le=1)


class ConsensusParams(Section):
    """Consensus of several detectors; see detectors/consensus.py."""

    iou: float = Field(gt=0, le=1)
    quorum: int = Field(ge=1)
    weights: dict[str, Annotated[float, Field(gt=0)]]


class DetectionsParams(Section):
    detectors: dict[str, DetectorSettings] = Field(min_length=1)
    max_per_frame: float = Field(gt=0)
    consensus: ConsensusParams | None

    @field_validator("detectors")
    @classmethod
    def _not_our_own_output(cls, detectors: dict[str, DetectorSettings]) -> dict[str, DetectorSettings]:
        """The fine-tuned model depends on these detections, so they must not depend on it."""
        for name, settings in detectors.items():
            for weights in _all_weights(settings):
                parts = Path(os.path.normpath(weights)).parts
                if ("data", "model") in pairwise(parts):
                    raise ValueError(
                        f"{name}: {weights} is made from the detections, and training replaces it while they "
                        "stay; copy it first, for instance to data/weights/round1.pt, and name the copy"
                    )
        return detectors

    @model_validator(mode="after")
    def _possible(self) -> "DetectionsParams":
        consensus, count = self.consensus, len(self.detectors)
        if consensus is None or count == 1:
            return self
        if consensus.quorum > count:
            raise ValueError(f"consensus.quorum: {consensus.quorum} of {count} detectors can never agree")
        if unknown := sorted(set(consensus.weights) - set(self.detectors)):
            raise ValueError(f"consensus.weights: no detector is named {', '.join(unknown)}")
        return self


def _all_weights(settings: DetectorSettings) -> tuple[str, ...]:
    """Weights of a detector, and of the one around whose boxes it crops."""
    crop = settings.input.crop if settings.input else None
    return (*settings.needs, *(_all_weights(crop.around) if crop and crop.around else ()))


class GateParams(Section):
    """One gate of propagation/gates.py: below ``sure`` a mask is doubtful, below ``lost`` it is lost."""

    sure: float
    lost: float


class PropagationParams(Section):
    engine: list[str] = Field(min_length=1)
    fps: float = Field(gt=0)
    input_px: int = Field(ge=64, multiple_of=32)
    chunk: int = Field(ge=16)
    max_conditioning: int = Field(ge=1)
    trust: float = Field(ge=0, le=1)
    give_up_s: float = Field(gt=0)
    usual_frames: int = Field(ge=1)
    track_px: int = Field(ge=64, multiple_of=32)
    jump_change: float = Field(ge=0, le=255)
    jump_similarity: float = Field(ge=-1, le=1)
    point_class: ClassName
    gates: dict[str, GateParams]


class MasksParams(Section):
    mode: Literal["image", "video"]
    segmenter: list[str] = Field(min_length=1)
    crop_scales: list[float] = Field(min_length=1)
    second_look: float = Field(ge=0, le=1)
    input_px: int = Field(ge=64, multiple_of=32)
    min_on_screen: float = Field(ge=0, le=1)
    min_area_px: int = Field(ge=1)
    min_piece: float = Field(ge=0, le=1)
    max_hole: float = Field(ge=0, le=1)
    near: float = Field(ge=0)
    alike: float = Field(gt=0, le=1)
    majority: float = Field(gt=0, le=1)
    min_voters: int = Field(ge=1)
    doubt: float = Field(ge=0, le=1)
    mark_band: float = Field(ge=0, le=0.5)
    mark_arm: float = Field(ge=0, le=0.5)
    link_gap_s: float = Field(gt=0)
    link_speed: float = Field(gt=0)
    propagation: PropagationParams


class RuleParams(Section):
    """One rule of labels/rules.py: whether it is applied, its threshold, and the verdict if it fails."""

    mode: Literal["off", "score", "on"]
    threshold: float = Field(ge=0, le=1)
    fails: Literal["review", "reject"]
    why: str = Field(min_length=1)


class LabelsParams(Section):
    rules: dict[str, RuleParams]


_MOVED = {
    "review_tasks": "review.tasks",
    "reviewed_labels": "review.audit",
    "review_assist": "review.assist",
    "review_video": "review.video",
    "reviews": "review.sensor",
}


class Params(Section):
    """The whole file; each field is named after its stage."""

    extracted_frames: FramesParams
    designator_detections: DetectionsParams
    masks: MasksParams
    cleaned_labels: LabelsParams
    review: ReviewParams
    yolo_dataset: DatasetParams
    finetuned_model: TrainingParams
    evaluation: EvaluationParams
    segment_everything: SegmentEverythingParams
    detector_comparison: ComparisonParams
    mark_colours: MarkColoursParams
    crop_sensitivity: CropSensitivityParams
    vocabulary: VocabularyParams
    prompt_inputs: PromptInputsParams
    dialogue: DialogueParams

    @model_validator(mode="before")
    @classmethod
    def _not_moved(cls, content: Any) -> Any:
        """Refuse sections of earlier versions by name."""
        if moved := [f"{old} is now {new}" for old, new in _MOVED.items() if old in (content or ())]:
            raise ValueError(f"{', '.join(moved)}: move these sections and keep their values")
        return content


def read_params(path: Path) -> Params:
    """Read and check params.yaml.

    Raises:
        InputError: naming the file and every field that is missing, unknown or out of range.
    """
    content = read_yaml(path)
    try:
        return Params.model_validate(content)
    except ValidationError as error:
        raise InputError(f"{path}: {in_words(error, content)}") from None
