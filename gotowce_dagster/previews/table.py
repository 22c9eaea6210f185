"""The preview of each stage. Nothing that a stage runs comes here."""

from collections.abc import Callable
from dataclasses import replace

from gotowce_dagster.config.project import Project
from gotowce_dagster.previews import (
    cleaned_labels,
    designator_detections,
    detector_comparison,
    evaluation,
    extracted_frames,
    finetuned_model,
    masks,
    segment_everything,
    yolo_dataset,
)
from gotowce_dagster.previews.base import Preview
from gotowce_dagster.previews.found_nothing import found_nothing

PREVIEWS: dict[str, Callable[..., Preview]] = {
    "extracted_frames": extracted_frames.preview,
    "designator_detections": designator_detections.preview,
    "masks": masks.preview,
    "cleaned_labels": cleaned_labels.preview,
    "yolo_dataset": yolo_dataset.preview,
    "finetuned_model": finetuned_model.preview,
    "evaluation": evaluation.preview,
    "segment_everything": segment_everything.preview,
    "detector_comparison": detector_comparison.preview,
}


def preview_of(project: Project, stage: str, video: str | None) -> Preview:
    """A stage's preview, made from its outputs as they are on disk; what it lacks is its first note.

    Args:
        video: its key, for a stage per video; None for a stage of the whole project.

    Raises:
        InputError: an output is missing, damaged or of another version.
    """
    preview = PREVIEWS[stage](project) if video is None else PREVIEWS[stage](project, video)
    warning = found_nothing(project, stage, video)
    return replace(preview, notes=[warning, *preview.notes]) if warning else preview
