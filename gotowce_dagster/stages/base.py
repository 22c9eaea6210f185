"""A stage: one step of the pipeline, the same function in Dagster, DVC and the command line."""

from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True)
class Stage:
    """An entry of the table of stages.

    ``run(project, video, progress)`` for a stage per video, ``run(project, progress)`` for a stage of the
    whole project.
    """

    name: str
    per_video: bool
    run: Callable[..., None]
    is_study: bool = False
    """Its result is a report outside the pipeline, computed on request only."""
    needs_models: bool = False
    """It cannot run without models that people must choose and fetch, so it is asked for by its own name."""
