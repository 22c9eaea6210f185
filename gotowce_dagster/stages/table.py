"""The stages of the pipeline, in order."""

from collections.abc import Callable
from importlib import import_module
from typing import Any

from gotowce_dagster.stages.base import Stage


def _run(name: str) -> Callable[..., None]:
    """The function ``run`` of a stage's module, which is imported when the stage runs."""

    def run(*arguments: Any, **callbacks: Any) -> None:
        import_module(f"gotowce_dagster.stages.{name}").run(*arguments, **callbacks)

    return run


STAGES = {
    name: Stage(name, per_video, _run(name))
    for name, per_video in {
        "extracted_frames": True,
        "designator_detections": True,
        "masks": True,
        "cleaned_labels": True,
        "yolo_dataset": False,
        "finetuned_model": False,
        "evaluation": False,
        "segment_everything": False,
        "detector_comparison": False,
    }.items()
}
