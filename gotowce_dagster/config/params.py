"""params.yaml, typed. The only source of anything that changes an output, and the only place that reads it.

One section a stage. What a number means stands beside it in params.yaml.
"""

import os
from itertools import pairwise
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator

from gotowce_dagster.config.detector_settings import DescriberSettings, DetectorSettings, OpenSettings
from gotowce_dagster.core.errors import InputError
from gotowce_dagster.core.safe_names import ClassName, ReadablePath
from gotowce_dagster.core.validation import in_words
from gotowce_dagster.core.yaml_files import read_yaml


class Section(BaseModel):
    """A part of params.yaml: unknown keys are refused, values cannot change, numbers are finite.

    Strict: text such as ``yes`` is no truth value and ``"2"`` no number, as DVC reads them.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, allow_inf_nan=False)


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
    """How several detectors agree; see labels/consensus.py."""

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
        """The model is made from these detections, so they must not depend on it in turn."""
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
    """Those of a detector, and of the one that it looks around."""
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
    """One rule of labels/rules.py: whether it counts, from which score on, and what failing it means."""

    mode: Literal["off", "score", "on"]
    threshold: float = Field(ge=0, le=1)
    fails: Literal["review", "reject"]
    why: str = Field(min_length=1)


class LabelsParams(Section):
    rules: dict[str, RuleParams]


class DatasetParams(Section):
    seed: int
    split_by: Literal["auto", "recording", "blocks"]
    shares: dict[str, float]
    cycle_s: float = Field(gt=0)
    gap_s: float = Field(ge=0)
    near_duplicate_bits: int = Field(ge=0, le=64)
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
    """Self-training: a model labels what nobody has marked, and the next one learns from that."""

    count: int = Field(ge=0)
    least_gain: float = Field(ge=0)
    frames: int = Field(ge=1)
    hold: int = Field(ge=2)
    adopt: float = Field(gt=0, le=1)
    doubt: float = Field(gt=0, le=1)
    box_iou: float = Field(ge=0, le=1)
    smallest: float = Field(ge=0)
    small: float = Field(ge=0)


_FOLDERS = {
    "rfdetr": "a folder such as Roboflow/rf-detr-nano",
    "dfine": "a folder such as ustc-community/dfine-nano-coco",
}
"""What the engines of transformers start from."""


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
    max_truth_frames: int = Field(ge=1)
    videos_shown: int = Field(ge=0)
    worst_shown: int = Field(ge=0)
    pictures_mb: float = Field(gt=0)


class DoubtParams(Section):
    """How much each kind of doubt weighs in review/choose.py."""

    verdict: float = Field(ge=0)
    quality: float = Field(ge=0)
    disagreement: float = Field(ge=0)
    temporal: float = Field(ge=0)


class RankingParams(Section):
    frames: int = Field(ge=1)
    seconds: float = Field(gt=0)
    confidence: float = Field(gt=0, le=1)
    iou: float = Field(gt=0, le=1)
    box_iou: float = Field(ge=0, le=1)


class ReviewTasksParams(Section):
    project: str = Field(min_length=3)
    select: Literal["all", "doubtful"]
    doubtful: int = Field(ge=0)
    audit_share: float = Field(ge=0, le=1)
    seed: int
    verdicts: list[Literal["accept", "review", "reject"]] = Field(min_length=1)
    doubt: DoubtParams
    disagreement: list[str]
    temporal: list[str]
    masks: Literal["bitmask", "polygon"]
    polygon_px: float = Field(gt=0)
    classes: list[ClassName]
    batch: int = Field(ge=1, le=1000)
    ranking: RankingParams


class ReviewAuditParams(Section):
    interval: float = Field(gt=0, lt=1)
    error_px: float = Field(ge=0)
    error_mask_iou: float = Field(ge=0, le=1)


class ReviewAssistParams(Section):
    click_px: int = Field(ge=8)
    remembered: int = Field(ge=2)


class ReviewVideoParams(Section):
    tolerance_px: float = Field(ge=0)


class ReviewSensorParams(Section):
    every_s: int = Field(ge=5)
    at_least: int = Field(ge=1)
    max_error_rate: float = Field(ge=0, le=1)


class ReviewParams(Section):
    """What concerns people who review: see review/."""

    tasks: ReviewTasksParams
    audit: ReviewAuditParams
    assist: ReviewAssistParams
    video: ReviewVideoParams
    sensor: ReviewSensorParams


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
