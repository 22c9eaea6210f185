"""The preview function of each stage. No stage imports this folder."""

from collections.abc import Callable
from dataclasses import replace
from importlib import import_module
from typing import Any

from gotowce_dagster.config.project import Project
from gotowce_dagster.previews.base import Preview
from gotowce_dagster.previews.found_nothing import found_nothing
from gotowce_dagster.stages.table import STAGES


def _preview(name: str) -> Callable[..., Preview]:
    """Return ``preview`` of a module in this folder, imported on first use."""

    def preview(*arguments: Any) -> Preview:
        return import_module(f"gotowce_dagster.previews.{name}").preview(*arguments)

    return preview


PREVIEWS = {name: _preview(name) for name in STAGES}
"""Each stage has a module of its name here."""


def preview_of(project: Project, stage: str, video: str | None) -> Preview:
    """Build a stage's preview from its outputs on disk; the first note reports an empty result.

    Args:
        video: key of the video for a stage per video; None for a stage of the whole project.

    Raises:
        InputError: an output is missing, damaged or of a different version.
    """
    preview = PREVIEWS[stage](project) if video is None else PREVIEWS[stage](project, video)
    warning = found_nothing(project, stage, video)
    return replace(preview, notes=[warning, *preview.notes]) if warning else preview
