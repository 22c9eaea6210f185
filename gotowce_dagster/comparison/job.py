"""What a fresh process is told to measure, as a file between two processes."""

from pathlib import Path
from typing import Annotated, Any

from pydantic import AfterValidator, BaseModel, ConfigDict, Field

from gotowce_dagster.core.safe_names import SafeName

JOB, EVENTS, LOG = "job.json", "events.jsonl", "log.txt"
"""Files in the folder of a job: what is asked, what is answered line by line, and what libraries print."""


Box = tuple[float, float, float, float]


def _without_dots(path: Path) -> Path:
    """Both processes run on one machine and one of them made the file, so it may lie anywhere."""
    if ".." in path.parts:
        raise ValueError(f"{path} leads out of its folder; expected a path without ..")
    return path


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


class Picture(_Part):
    """A frame that was decoded once for all."""

    video: SafeName
    frame_index: int = Field(ge=0)
    file: Annotated[Path, AfterValidator(_without_dots)]
    """Lossless."""
    profile: Annotated[Path, AfterValidator(_without_dots)]
    designators: list[Box] = []
    """xyxy in pixels, known to be there: what a segmenter is told, and a detector is not."""

    @property
    def frame(self) -> tuple[str, int]:
        return self.video, self.frame_index


class Limits(_Part):
    """How far the search for the best number of pictures at once goes."""

    max_batch: int = Field(ge=0)
    """Pictures at once."""
    batch_s: float = Field(ge=0)
    """Seconds, about."""
    memory_mb: float = Field(gt=0)
    """Of the process."""


class Job(_Part):
    """One detector or segmenter, and the frames it is to look at."""

    maker: str
    """``module:function`` that makes a subjects.Subject of (name, settings, profile)."""
    name: str
    settings: dict[str, Any]
    by_profile: bool
    """It must be made anew for every profile."""
    pictures: list[Picture]
    """In order of their profiles."""
    limits: Limits
