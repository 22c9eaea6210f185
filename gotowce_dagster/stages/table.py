"""The stages in order: opening this page tells the pipeline."""

from gotowce_dagster.stages import (
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
from gotowce_dagster.stages.base import Stage

STAGES = {
    stage.name: stage
    for stage in (
        Stage("extracted_frames", True, extracted_frames.run),
        Stage("designator_detections", True, designator_detections.run),
        Stage("masks", True, masks.run),
        Stage("cleaned_labels", True, cleaned_labels.run),
        Stage("yolo_dataset", False, yolo_dataset.run),
        Stage("finetuned_model", False, finetuned_model.run),
        Stage("evaluation", False, evaluation.run),
        Stage("segment_everything", False, segment_everything.run, is_study=True),
        Stage("detector_comparison", False, detector_comparison.run, is_study=True),
    )
}
