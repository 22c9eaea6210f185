"""Studies: experiments whose result is a report, not training data."""

import dagster as dg

from gotowce_dagster.assets.materialize import materialize
from gotowce_dagster.assets.reporting import ProgressOf
from gotowce_dagster.assets.videos import raw_videos

GROUP = "studies"


@dg.asset(
    deps=[raw_videos],
    group_name=GROUP,
    kinds={"pytorch"},
    pool="gpu",
    retry_policy=dg.RetryPolicy(max_retries=2, delay=30, backoff=dg.Backoff.EXPONENTIAL),
)
def segment_everything(
    context: dg.AssetExecutionContext, progress: dg.ResourceParam[ProgressOf]
) -> dg.MaterializeResult:
    """Segmentation without prompts by SAM 2 and superpixels: segments, seconds, and best fit."""
    return materialize(context, progress)


@dg.asset(
    deps=[raw_videos],
    group_name=GROUP,
    kinds={"html"},
    pool="gpu",
    retry_policy=dg.RetryPolicy(max_retries=2, delay=30, backoff=dg.Backoff.EXPONENTIAL),
)
def detector_comparison(
    context: dg.AssetExecutionContext, progress: dg.ResourceParam[ProgressOf]
) -> dg.MaterializeResult:
    """Comparison of all detectors in params.yaml on the same frames: accuracy, seconds, memory, cost."""
    return materialize(context, progress)
