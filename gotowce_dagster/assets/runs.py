"""Cleanup of killed runs: detect them when the next run starts, and free their pool slots.

Dagster's own run monitoring cannot do this: it needs a daemon, which `dagster job execute` and `gotowce demo`
do not have, and a launcher that monitors its processes, which the default one does not. So every run locks a
file below DAGSTER_HOME while its process lives. The kernel releases the lock when the process dies, however
it dies. A run without such a file, for example on another machine, is left alone.
"""

import contextlib
import fcntl
import logging
import os
import tempfile
import threading
import time
from collections.abc import Generator, Iterator
from pathlib import Path
from typing import Any, cast

import dagster as dg
from dagster._core.execution.plan.instance_concurrency_context import InstanceConcurrencyContext

from gotowce_dagster.cluster.claims import claimed
from gotowce_dagster.cluster.records import video_of
from gotowce_dagster.cluster.slices import is_slice
from gotowce_dagster.config.project import Project
from gotowce_dagster.core.background import in_background

_logger = logging.getLogger(__name__)

_UNFINISHED = [dg.DagsterRunStatus.STARTING, dg.DagsterRunStatus.STARTED, dg.DagsterRunStatus.CANCELING]
_EVERY_S = 15.0


@contextlib.contextmanager
def alive(instance: dg.DagsterInstance, run_id: str, every_s: float | None = None) -> Generator[None]:
    """Mark a run as alive until its process ends, and release dead runs periodically inside the block.

    Periodically, because the run that holds the slot this one waits for may be killed later; by default every
    fifteen seconds.
    """
    _hold(_file(instance, run_id))
    release_dead_runs(instance)

    every_s = every_s or _EVERY_S

    def watch(stopped: threading.Event) -> None:
        while not stopped.wait(every_s):
            try:
                release_dead_runs(instance)
            except Exception:
                _logger.exception("check for killed runs failed; the next check is in %g s", every_s)

    with in_background(watch, "dead-runs"):
        yield


def release_dead_runs(instance: dg.DagsterInstance) -> list[str]:
    """Mark runs without a process as failed, and free the pool slots of all finished runs.

    Returns:
        The ids of the marked runs.
    """
    dead = []
    for run in instance.get_runs(dg.RunsFilter(statuses=_UNFINISHED)):
        with _locked_if_dead(instance, run.run_id) as is_dead:
            latest = instance.get_run_by_id(run.run_id) if is_dead else None
            if latest is None or latest.is_finished:
                continue
            if latest.status == dg.DagsterRunStatus.CANCELING:
                instance.report_run_canceled(latest, "Its process is gone.")
            else:
                instance.report_run_failed(
                    latest, "Its process was killed. Run it again: finished stages are not repeated."
                )
            _logger.warning("run %s (%s) was killed; it is marked as failed", run.run_id, run.job_name)
            dead.append(run.run_id)
    _free_slots(instance)
    _forget_finished(instance)
    return dead


def _hold(path: Path) -> None:
    """Create a file that is locked from its first appearance until this process ends."""
    path.parent.mkdir(parents=True, exist_ok=True)
    opened, name = tempfile.mkstemp(dir=path.parent, prefix=".")
    fcntl.flock(opened, fcntl.LOCK_EX)
    Path(name).replace(path)


def _forget_finished(instance: dg.DagsterInstance) -> None:
    """Remove the lock files of finished runs, and those of processes that died while creating theirs."""
    for path in _folder(instance).glob("*"):
        run = instance.get_run_by_id(path.name)
        if (run is None or run.is_finished) and not _is_locked(path):
            path.unlink(missing_ok=True)


def _free_slots(instance: dg.DagsterInstance) -> None:
    """Free the pool slots of finished and deleted runs."""
    storage = instance.event_log_storage
    if not storage.supports_global_concurrency_limits:
        return
    for run_id in storage.get_concurrency_run_ids():
        run = instance.get_run_by_id(run_id)
        # A run that was marked as failed by hand may still be running.
        if (run is None or run.is_finished) and not _is_locked(_file(instance, run_id)):
            storage.free_concurrency_slots_for_run(run_id)


@contextlib.contextmanager
def _locked_if_dead(instance: dg.DagsterInstance, run_id: str) -> Generator[bool]:
    """Whether a run's process is certainly dead; if so, no other process handles it inside the block."""
    path = _file(instance, run_id)
    try:
        opened = os.open(path, os.O_RDWR)
    except FileNotFoundError:
        yield False
        return
    try:
        fcntl.flock(opened, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        os.close(opened)
        yield False
        return
    try:
        yield True
        path.unlink(missing_ok=True)
    finally:
        os.close(opened)


def _is_locked(path: Path) -> bool:
    try:
        opened = os.open(path, os.O_RDWR)
    except FileNotFoundError:
        return False
    try:
        fcntl.flock(opened, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return True
    finally:
        os.close(opened)
    return False


def _folder(instance: dg.DagsterInstance) -> Path:
    return Path(instance.root_directory) / "alive"


def _file(instance: dg.DagsterInstance, run_id: str) -> Path:
    return _folder(instance) / run_id


def alone_in_cluster(
    instance: dg.DagsterInstance, run: dg.DagsterRun
) -> contextlib.AbstractContextManager[None]:
    """On a node of a cluster, wait until no other run works on the same video; elsewhere do nothing."""
    video = video_of(run)
    if video is None or not is_slice(Project.find().paths):
        return contextlib.nullcontext()
    return claimed(instance, video, run.run_id)


@contextlib.contextmanager
def sleeping_waits() -> Generator[None]:
    """Let steps that wait for a slot of their pool sleep until they ask for it again.

    Dagster 1.13 computes the seconds until then as ``min([0, ...])``, never above zero, and so asks without a
    pause: a run that waits for the device takes a whole core from the one that uses it.
    """

    def seconds(self: Any) -> float:
        return max(0.0, min(self._pending_timeouts.values(), default=0.0) - time.time())

    usual = InstanceConcurrencyContext.interval_to_next_pending_claim_check
    InstanceConcurrencyContext.interval_to_next_pending_claim_check = seconds
    try:
        yield
    finally:
        InstanceConcurrencyContext.interval_to_next_pending_claim_check = usual


class _WatchedExecutor(dg.Executor):
    """Wraps another executor and marks the run as alive while it executes."""

    def __init__(self, inner: dg.Executor) -> None:
        self._inner = inner

    @property
    def retries(self) -> Any:
        return self._inner.retries

    @property
    def step_dependency_config(self) -> Any:
        return self._inner.step_dependency_config

    def execute(self, plan_context: Any, execution_plan: Any) -> Iterator[dg.DagsterEvent]:
        instance, run = plan_context.instance, plan_context.dagster_run
        with alive(instance, run.run_id), alone_in_cluster(instance, run), sleeping_waits():
            yield from self._inner.execute(plan_context, execution_plan)


def _create(context: dg.InitExecutorContext) -> dg.Executor:
    create = dg.in_process_executor.executor_creation_fn
    assert create is not None
    return _WatchedExecutor(create(context))


watched_in_process_executor = dg.ExecutorDefinition(
    "in_process",
    config_schema=cast(Any, dg.in_process_executor.config_schema),
    executor_creation_fn=_create,
    description="All steps in one process, like Dagster's own; a killed run blocks no other run.",
)
