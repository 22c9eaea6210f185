"""What a stage is: one step of the pipeline, the same function under Dagster, DVC and the command line."""

from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True)
class Stage:
    """A row of the table of stages.

    ``run(project, video, progress)`` for a stage per video; ``run(project, progress)`` for one of the whole
    project.
    """

    name: str
    per_video: bool
    run: Callable[..., None]
    is_study: bool = False
    """Its result is a report beside the pipeline, made only when asked for."""
    needs_models: bool = False
    """It cannot run without models that people must choose and fetch, so it is asked for by its own name."""
