"""The studies: experiments whose result is a page, not training data."""

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
    """What SAM 2 and superpixels find without any prompt: pieces, seconds, and the fit of the best piece."""
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
    """Every detector of params.yaml on the same frames: accuracy with intervals, seconds, memory, money."""
    return materialize(context, progress)
