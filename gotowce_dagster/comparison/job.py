"""Job file: the input of a measuring process."""

from pathlib import Path
from typing import Annotated, Any

from pydantic import AfterValidator, BaseModel, ConfigDict, Field

from gotowce_dagster.core.safe_names import SafeName

JOB, EVENTS, LOG = "job.json", "events.jsonl", "log.txt"
"""Files in the folder of a job: its input, its results as JSON lines, and the output of libraries."""


Box = tuple[float, float, float, float]


def _without_dots(path: Path) -> Path:
    """Refuse ``..``; otherwise any path is allowed, because one of our own processes wrote the file."""
    if ".." in path.parts:
        raise ValueError(f"{path} leads out of its folder; expected a path without ..")
    return path


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


class Picture(_Part):
    """A decoded frame, shared by all contenders."""

    video: SafeName
    frame_index: int = Field(ge=0)
    file: Annotated[Path, AfterValidator(_without_dots)]
    """Lossless image file."""
    profile: Annotated[Path, AfterValidator(_without_dots)]
    designators: list[Box] = []
    """Ground-truth designators, xyxy in pixels: the prompt of segmenters; detectors do not see it."""

    @property
    def frame(self) -> tuple[str, int]:
        return self.video, self.frame_index


class Limits(_Part):
    """Limits of the search for the best batch size."""

    max_batch: int = Field(ge=0)
    """Largest batch size."""
    batch_s: float = Field(ge=0)
    """Approximate time of the search, in seconds."""
    memory_mb: float = Field(gt=0)
    """Memory of the process, in megabytes."""


class Job(_Part):
    """One detector or segmenter, and the frames to process."""

    maker: str
    """``module:function`` that builds a subjects.Subject from (name, settings, profile)."""
    name: str
    settings: dict[str, Any]
    by_profile: bool
    """Whether it must be rebuilt for every profile."""
    pictures: list[Picture]
    """Frames, sorted by profile."""
    limits: Limits
