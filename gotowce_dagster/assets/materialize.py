"""Materialization of a stage: skip it if current, restore it from DVC, or run it; then commit it to DVC."""

import logging
import time
from collections.abc import Callable
from functools import partial
from typing import Any

import dagster as dg

from gotowce_dagster.assets.reporting import ProgressOf, number_metadata, preview_metadata
from gotowce_dagster.assets.versions import pipeline
from gotowce_dagster.cluster import node
from gotowce_dagster.cluster.node import COMPUTED
from gotowce_dagster.cluster.records import LOCK_ENTRY, latest
from gotowce_dagster.cluster.slices import is_slice, pictures
from gotowce_dagster.config.engines import choose_newly_used, engines_of, precision
from gotowce_dagster.config.project import Project
from gotowce_dagster.core.device import best_device
from gotowce_dagster.core.errors import GotowceError, MissingWeightsError, system_sentence
from gotowce_dagster.core.sources import require_pulled, tracked_files
from gotowce_dagster.intake import code_digests
from gotowce_dagster.intake.dvc_lockfile import fingerprint, output_digest
from gotowce_dagster.intake.dvc_remote import RemoteError
from gotowce_dagster.intake.dvc_repo import DvcRepo
from gotowce_dagster.intake.pipelines import stage_address, stage_name
from gotowce_dagster.previews.table import preview_of
from gotowce_dagster.stages.base import Stage
from gotowce_dagster.stages.table import STAGES

_logger = logging.getLogger(__name__)

LOCK_FINGERPRINT = "dvc_lock_entry"
_RAW_FILE = "data/raw/${file}"
_RETRIES, _FIRST_WAIT_S = 2, 30
"""Asked for here, because Dagster's own policy would start a step again that a human has interrupted."""


def materialize(
    context: dg.AssetExecutionContext, progress: ProgressOf, **callbacks: Callable[..., None]
) -> dg.MaterializeResult:
    """Bring the asset's stage up to date and describe its outputs.

    Args:
        callbacks: Passed to the stage's run, for stages that report more than progress.

    Raises:
        dagster.Failure: The stage failed; with its one-sentence error.
        dagster.RetryRequested: A download or a transfer failed, which may succeed in a while.
    """
    project = Project.find()
    stage = STAGES[context.asset_key.path[-1]]
    video = context.partition_key if stage.per_video else None
    name, address = stage_name(stage.name, video), stage_address(stage.name, video)
    repo = DvcRepo(project.paths.root)
    arguments = (project,) if video is None else (project, video)
    show = progress(context)
    run = partial(stage.run, *arguments, show, **callbacks)
    start = time.monotonic()
    try:
        if video is not None and is_slice(project.paths):
            how = node.bring_up_to_date(context.instance, project, stage.name, video, run)
            metadata = _node_metadata(context.instance, project, stage, video, repo.entry(address))
        else:
            _require_sources(project, stage, video)
            code_digests.refresh(project.paths)
            choose_newly_used(project.paths.engines, project.params)
            how = _bring_up_to_date(repo, address, run)
            if how != COMPUTED:
                show(1, 1)  # else its line would go on counting seconds
            metadata = lock_metadata(project, stage, video, repo.entry(address))
    except Exception as error:
        if (failure := dagster_error(error, context.retry_number)) is None:
            raise
        raise failure from error
    context.log.info(f"{name}: {how}")
    made = {"how": dg.MetadataValue.text(how), "seconds": number_metadata(time.monotonic() - start)}
    if how == COMPUTED and stage.name in project.engines:
        device, engines = best_device(), engines_of(stage.name, project.engines)
        made["device"] = dg.MetadataValue.text(device)
        if stage.name == "masks":
            precisions = ", ".join(f"{engine}: {precision(engine, device)}" for engine in engines.values())
            made["precision"] = dg.MetadataValue.text(precisions)
    return dg.MaterializeResult(
        data_version=dg.DataVersion(output_digest(repo.entry(address))), metadata=metadata | made
    )


def dagster_error(error: Exception, attempts: int) -> dg.Failure | dg.RetryRequested | None:
    """A failure with one sentence, or another try after a while; None for an unexpected error.

    Args:
        attempts: how often the step was tried before.
    """
    # A download of weights or a transfer may succeed a minute later; bad input stays bad.
    if isinstance(error, MissingWeightsError | RemoteError) and attempts < _RETRIES:
        _logger.warning("%s; the next try is in %d s", error, seconds := _FIRST_WAIT_S * 2**attempts)
        return dg.RetryRequested(max_retries=_RETRIES, seconds_to_wait=seconds)
    sentence = str(error) if isinstance(error, GotowceError) else system_sentence(error)
    return dg.Failure(sentence) if sentence else None


def lock_metadata(
    project: Project, stage: Stage, video: str | None, entry: dict[str, Any]
) -> dict[str, dg.MetadataValue]:
    """Metadata of a stage's outputs, made by Dagster or by DVC: preview, engines, digest."""
    engines = {
        "engine" if name == stage.name else f"{name}_engine": dg.MetadataValue.text(engine)
        for name, engine in engines_of(stage.name, project.engines).items()
    }
    return {
        **preview_metadata(
            preview_of(project, stage.name, video), pictures(project.paths, stage.name, video)
        ),
        **engines,
        "dvc_md5": dg.MetadataValue.text(output_digest(entry)),
        LOCK_FINGERPRINT: dg.MetadataValue.text(fingerprint(entry)),
    }


def _node_metadata(
    instance: dg.DagsterInstance, project: Project, stage: Stage, video: str, entry: dict[str, Any]
) -> dict[str, dg.MetadataValue]:
    """Metadata on a node of a cluster, with the whole lock entry for the driver.

    What another node has described is not drawn again, because that needs its inputs.
    """
    before = latest(instance, stage.name, video)
    mark = before.metadata.get(LOCK_FINGERPRINT) if before else None
    if before and mark and mark.value == fingerprint(entry):
        metadata = dict(before.metadata)
    else:
        node.pull_inputs(project, stage.name, video)
        metadata = lock_metadata(project, stage, video, entry)
    return metadata | {LOCK_ENTRY: dg.MetadataValue.json(entry)}


def _require_sources(project: Project, stage: Stage, video: str | None) -> None:
    """Check the sources of a stage. DVC cannot: a removed video has no stage in dvc.yaml any more.

    Raises:
        InputError: The project has no such video, or a source that the stage depends on is not pulled.
    """
    deps = pipeline(project.paths)[stage.name]["deps"]
    if video is not None:
        project.video(video)
        if _RAW_FILE in deps:
            project.raw(video)
    if "data/raw" in deps:
        project.require_raw()
    if "data/reviewed" in deps:
        require_pulled(tracked_files(project.paths.reviewed_videos))


def _bring_up_to_date(repo: DvcRepo, name: str, run: Callable[[], None]) -> str:
    if repo.is_current(name):
        return "current: nothing to compute"
    if repo.restore(name):
        how = "restored from DVC's run cache"
    else:
        run()
        how = COMPUTED
    repo.commit(name)
    return how
