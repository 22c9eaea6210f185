"""The asset of a stage: bring it up to date through DVC and describe its outputs."""

from collections.abc import Callable, Mapping, Sequence

import dagster as dg

from gotowce_dagster.assets.materialize import materialize
from gotowce_dagster.assets.partitions import VIDEOS
from gotowce_dagster.assets.reporting import ProgressOf
from gotowce_dagster.stages.table import STAGES

Callbacks = Mapping[str, Callable[..., None]]


def no_callbacks(context: dg.AssetExecutionContext) -> Callbacks:
    """The callbacks of a stage that reports nothing but its progress."""
    return {}


def stage_asset(
    name: str,
    description: str,
    deps: Sequence[dg.AssetsDefinition],
    *,
    group: str,
    kinds: set[str],
    uses_gpu: bool = False,
    callbacks: Callable[[dg.AssetExecutionContext], Callbacks] = no_callbacks,
) -> dg.AssetsDefinition:
    """Define the asset of a stage; a stage of one video has a partition per video.

    Args:
        name: the stage's name in stages/table.py.
        deps: the assets whose outputs or videos the stage reads.
        kinds: tags that Dagster shows as icons.
        uses_gpu: steps that use the GPU wait for each other, and try again when weights cannot be fetched.
        callbacks: what the stage reports besides its progress, by the name of the run's argument.
    """

    @dg.asset(
        name=name,
        description=description,
        deps=deps,
        partitions_def=VIDEOS if STAGES[name].per_video else None,
        group_name=group,
        kinds=kinds,
        pool="gpu" if uses_gpu else None,
        retry_policy=dg.RetryPolicy(max_retries=2, delay=30, backoff=dg.Backoff.EXPONENTIAL)
        if uses_gpu
        else None,
    )
    def asset(
        context: dg.AssetExecutionContext, progress: dg.ResourceParam[ProgressOf]
    ) -> dg.MaterializeResult:
        return materialize(context, progress, **callbacks(context))

    return asset
