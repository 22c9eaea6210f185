"""Assets of the whole project: dataset, model, evaluation."""

import dagster as dg

from gotowce_dagster.assets.materialize import materialize
from gotowce_dagster.assets.reporting import ProgressOf
from gotowce_dagster.assets.review import reviewed_labels
from gotowce_dagster.assets.videos import (
    cleaned_labels,
    designator_detections,
    extracted_frames,
    masks,
    raw_videos,
)

GROUP = "model"


@dg.asset(
    deps=[extracted_frames, designator_detections, masks, cleaned_labels, reviewed_labels],
    group_name=GROUP,
    kinds={"yolo"},
)
def yolo_dataset(
    context: dg.AssetExecutionContext, progress: dg.ResourceParam[ProgressOf]
) -> dg.MaterializeResult:
    """YOLO dataset of accepted and reviewed labels, with leak-free splits."""
    return materialize(context, progress)


@dg.asset(
    deps=[yolo_dataset],
    group_name=GROUP,
    kinds={"yolo", "pytorch"},
    pool="gpu",
    retry_policy=dg.RetryPolicy(max_retries=2, delay=30, backoff=dg.Backoff.EXPONENTIAL),
)
def finetuned_model(
    context: dg.AssetExecutionContext, progress: dg.ResourceParam[ProgressOf]
) -> dg.MaterializeResult:
    """YOLO detector fine-tuned on the dataset; an interrupted training resumes at its last epoch."""

    def observe(epoch: int, metrics: dict[str, float]) -> None:
        values = {name: dg.MetadataValue.float(float(value)) for name, value in metrics.items()}
        context.log_event(dg.AssetObservation(context.asset_key, metadata={"epoch": epoch, **values}))

    return materialize(context, progress, on_epoch=observe)


@dg.asset(
    deps=[
        raw_videos,
        extracted_frames,
        designator_detections,
        masks,
        cleaned_labels,
        reviewed_labels,
        yolo_dataset,
        finetuned_model,
    ],
    group_name=GROUP,
    kinds={"html"},
    pool="gpu",
    retry_policy=dg.RetryPolicy(max_retries=2, delay=30, backoff=dg.Backoff.EXPONENTIAL),
)
def evaluation(
    context: dg.AssetExecutionContext, progress: dg.ResourceParam[ProgressOf]
) -> dg.MaterializeResult:
    """Report on detections, labels and model, evaluated against ground truth and held-out frames."""
    return materialize(context, progress)
