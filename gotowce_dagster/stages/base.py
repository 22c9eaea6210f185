"""What a stage is: one step of the pipeline, the same function under Dagster, DVC and the command line."""

from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np


@dataclass(frozen=True)
class Preview:
    """What people look at after a stage: a few numbers, notes, and a picture. Made from its outputs alone."""

    numbers: dict[str, float | int | str]
    picture: np.ndarray | None = None
    """RGB uint8 (H, W, 3), a contact sheet or a plot."""
    notes: list[str] = field(default_factory=list)
    """What went wrong or is worth a look, in sentences."""
    more: dict[str, np.ndarray] = field(default_factory=dict)
    """Further pictures by name."""


@dataclass(frozen=True)
class Stage:
    """A row of the table of stages.

    ``run(project, video, progress)`` and ``preview(project, video)`` for a stage per video;
    ``run(project, progress)`` and ``preview(project)`` for one of the whole project.
    """

    name: str
    per_video: bool
    run: Callable[..., None]
    preview: Callable[..., Preview]
