"""What a fresh process is told to measure, as a file between two processes."""

from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict

JOB, EVENTS, LOG = "job.json", "events.jsonl", "log.txt"
"""Files in the folder of a job: what is asked, what is answered line by line, and what libraries print."""


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Picture(_Part):
    """A frame that was decoded once for all."""

    video: str
    frame_index: int
    file: Path
    """Lossless."""
    profile: Path
    designators: list[tuple[float, float, float, float]] = []
    """xyxy in pixels, known to be there: what a segmenter is told, and a detector is not."""

    @property
    def frame(self) -> tuple[str, int]:
        return self.video, self.frame_index


class Limits(_Part):
    """How far the search for the best number of pictures at once goes."""

    max_batch: int
    """Pictures at once."""
    batch_s: float
    """Seconds, about."""
    memory_mb: float
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
