"""The section ``review`` of params.yaml."""

from typing import Literal

from pydantic import Field

from gotowce_dagster.config.settings import Section
from gotowce_dagster.core.safe_names import ClassName


class DoubtParams(Section):
    """The weight of each kind of doubt; see review/choose.py."""

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
    """Review by people in Label Studio; see review/."""

    tasks: ReviewTasksParams
    audit: ReviewAuditParams
    assist: ReviewAssistParams
    video: ReviewVideoParams
    sensor: ReviewSensorParams
