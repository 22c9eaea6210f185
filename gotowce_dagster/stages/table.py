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
        Stage("extracted_frames", True, extracted_frames.run, extracted_frames.preview),
        Stage("designator_detections", True, designator_detections.run, designator_detections.preview),
        Stage("masks", True, masks.run, masks.preview),
        Stage("cleaned_labels", True, cleaned_labels.run, cleaned_labels.preview),
        Stage("yolo_dataset", False, yolo_dataset.run, yolo_dataset.preview),
        Stage("finetuned_model", False, finetuned_model.run, finetuned_model.preview),
        Stage("evaluation", False, evaluation.run, evaluation.preview),
        Stage("segment_everything", False, segment_everything.run, segment_everything.preview),
        Stage("detector_comparison", False, detector_comparison.run, detector_comparison.preview),
    )
}
