"""Assets of the whole project: dataset, model, evaluation."""

import dagster as dg

from gotowce_dagster.assets.stage_asset import Callbacks, stage_asset

GROUP = "model"


def _observe_epochs(context: dg.AssetExecutionContext) -> Callbacks:
    """Log the metrics of each epoch as an observation of the asset."""

    def observe(epoch: int, metrics: dict[str, float]) -> None:
        values = {name: dg.MetadataValue.float(float(value)) for name, value in metrics.items()}
        context.log_event(dg.AssetObservation(context.asset_key, metadata={"epoch": epoch, **values}))

    return {"on_epoch": observe}


yolo_dataset = stage_asset("yolo_dataset", GROUP)
finetuned_model = stage_asset("finetuned_model", GROUP, _observe_epochs)
evaluation = stage_asset("evaluation", GROUP)
