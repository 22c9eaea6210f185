"""The stages of the pipeline, in order."""

from collections.abc import Callable
from importlib import import_module
from typing import Any

from gotowce_dagster.core.errors import InputError
from gotowce_dagster.stages.base import Stage


def _run(name: str) -> Callable[..., None]:
    """The function ``run`` of a stage's module, which is imported when the stage runs."""

    def run(*arguments: Any, **callbacks: Any) -> None:
        import_module(f"gotowce_dagster.stages.{name}").run(*arguments, **callbacks)

    return run


_OF_VIDEOS = ("extracted_frames", "designator_detections", "masks", "cleaned_labels")
_OF_PROJECT = ("yolo_dataset", "finetuned_model", "evaluation")
_STUDIES = (
    "segment_everything",
    "detector_comparison",
    "mark_colours",
    "crop_sensitivity",
    "vocabulary",
    "prompt_inputs",
    "dialogue",
)
_NEED_MODELS = ("crop_sensitivity", "dialogue")

STAGES = {
    stage.name: stage
    for stage in (
        *(Stage(name, True, _run(name)) for name in _OF_VIDEOS),
        *(Stage(name, False, _run(name)) for name in _OF_PROJECT),
        *(
            Stage(name, False, _run(name), is_study=True, needs_models=name in _NEED_MODELS)
            for name in _STUDIES
        ),
    )
}


def stage_named(name: str, video: str | None) -> Stage:
    """The stage to run on a video, or on the whole project if ``video`` is None.

    Raises:
        InputError: no stage has that name, or it does not run on that.
    """
    if name not in STAGES:
        raise InputError(f"no stage named {name!r}; expected one of {', '.join(STAGES)}")
    stage = STAGES[name]
    if stage.per_video != (video is not None):
        raise InputError(
            f"{name} runs {'on one video: name it' if stage.per_video else 'on the whole project'}"
        )
    return stage
