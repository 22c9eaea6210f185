"""Assets of the whole project: dataset, model, evaluation."""

import dagster as dg

from gotowce_dagster.assets.review import reviewed_labels
from gotowce_dagster.assets.stage_asset import Callbacks, stage_asset
from gotowce_dagster.assets.videos import (
    cleaned_labels,
    designator_detections,
    extracted_frames,
    masks,
    raw_videos,
)

GROUP = "model"


def _observe_epochs(context: dg.AssetExecutionContext) -> Callbacks:
    """Log the metrics of each epoch as an observation of the asset."""

    def observe(epoch: int, metrics: dict[str, float]) -> None:
        values = {name: dg.MetadataValue.float(float(value)) for name, value in metrics.items()}
        context.log_event(dg.AssetObservation(context.asset_key, metadata={"epoch": epoch, **values}))

    return {"on_epoch": observe}


yolo_dataset = stage_asset(
    "yolo_dataset",
    "YOLO dataset of accepted and reviewed labels, with leak-free splits.",
    [extracted_frames, designator_detections, masks, cleaned_labels, reviewed_labels],
    group=GROUP,
    kinds={"yolo"},
)

finetuned_model = stage_asset(
    "finetuned_model",
    "YOLO detector fine-tuned on the dataset; an interrupted training resumes at its last epoch.",
    [yolo_dataset],
    group=GROUP,
    kinds={"yolo", "pytorch"},
    uses_gpu=True,
    callbacks=_observe_epochs,
)

evaluation = stage_asset(
    "evaluation",
    "Report on detections, labels and model, evaluated against ground truth and held-out frames.",
    [
        raw_videos,
        extracted_frames,
        designator_detections,
        masks,
        cleaned_labels,
        reviewed_labels,
        yolo_dataset,
        finetuned_model,
    ],
    group=GROUP,
    kinds={"html"},
    uses_gpu=True,
)
