"""Runs whose process was killed: recognised when the next one starts, and their pool slots freed.

Dagster's own run monitoring cannot tell: it needs a daemon, which `dagster job execute` and `gotowce demo` do
without, and a launcher that looks after its processes, which the default one does not. So every run holds a
lock on a file below DAGSTER_HOME while its process lives. The kernel drops the lock when the process dies,
however it dies. A run without such a file, for instance one on another machine, is left alone.
"""

import contextlib
import fcntl
import logging
import os
import tempfile
import threading
from collections.abc import Generator, Iterator
from pathlib import Path
from typing import Any, cast

import dagster as dg

_logger = logging.getLogger(__name__)

_UNFINISHED = [dg.DagsterRunStatus.STARTING, dg.DagsterRunStatus.STARTED, dg.DagsterRunStatus.CANCELING]
_EVERY_S = 15.0


@contextlib.contextmanager
def alive(instance: dg.DagsterInstance, run_id: str, every_s: float = _EVERY_S) -> Generator[None]:
    """Show that a run lives, from now until its process ends; while the block runs, look for dead ones.

    Again and again, because the run that holds the slot this one waits for may be killed only then.
    """
    _hold(_file(instance, run_id))
    release_dead_runs(instance)
    done = threading.Event()

    def watch() -> None:
        while not done.wait(every_s):
            try:
                release_dead_runs(instance)
            except Exception:
                _logger.exception("looking for killed runs failed; the next look is in %g s", every_s)

    watcher = threading.Thread(target=watch, name="dead-runs", daemon=True)
    watcher.start()
    try:
        yield
    finally:
        done.set()
        watcher.join()


def release_dead_runs(instance: dg.DagsterInstance) -> list[str]:
    """Mark runs as failed whose process is gone, and free the pool slots of all that have ended.

    Returns:
        The ids of the runs that were marked.
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
                    latest, "Its process was killed. Run it again: what was done is not done twice."
                )
            _logger.warning("run %s (%s) was killed; it is marked as failed", run.run_id, run.job_name)
            dead.append(run.run_id)
    _free_slots(instance)
    _forget_finished(instance)
    return dead


def _hold(path: Path) -> None:
    """Lock a file for as long as this process lives; nobody sees it without its lock."""
    path.parent.mkdir(parents=True, exist_ok=True)
    opened, name = tempfile.mkstemp(dir=path.parent, prefix=".")
    fcntl.flock(opened, fcntl.LOCK_EX)
    Path(name).replace(path)


def _forget_finished(instance: dg.DagsterInstance) -> None:
    """Remove the files of runs that have ended and of processes that died before they showed theirs."""
    for path in _folder(instance).glob("*"):
        run = instance.get_run_by_id(path.name)
        if (run is None or run.is_finished) and not _is_locked(path):
            path.unlink(missing_ok=True)


def _free_slots(instance: dg.DagsterInstance) -> None:
    """Free the pool slots of runs that have ended or were deleted."""
    storage = instance.event_log_storage
    if not storage.supports_global_concurrency_limits:
        return
    for run_id in storage.get_concurrency_run_ids():
        run = instance.get_run_by_id(run_id)
        # A run that was marked as failed by hand may still be at work.
        if (run is None or run.is_finished) and not _is_locked(_file(instance, run_id)):
            storage.free_concurrency_slots_for_run(run_id)


@contextlib.contextmanager
def _locked_if_dead(instance: dg.DagsterInstance, run_id: str) -> Generator[bool]:
    """Whether a run's process is gone for certain; if so nobody else takes it up while the block runs."""
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


class _WatchedExecutor(dg.Executor):
    """Runs a plan as another executor does, while its run shows that it lives."""

    def __init__(self, inner: dg.Executor) -> None:
        self._inner = inner

    @property
    def retries(self) -> Any:
        return self._inner.retries

    @property
    def step_dependency_config(self) -> Any:
        return self._inner.step_dependency_config

    def execute(self, plan_context: Any, execution_plan: Any) -> Iterator[dg.DagsterEvent]:
        with alive(plan_context.instance, plan_context.run_id):
            yield from self._inner.execute(plan_context, execution_plan)


def _create(context: dg.InitExecutorContext) -> dg.Executor:
    create = dg.in_process_executor.executor_creation_fn
    assert create is not None
    return _WatchedExecutor(create(context))


watched_in_process_executor = dg.ExecutorDefinition(
    "in_process",
    config_schema=cast(Any, dg.in_process_executor.config_schema),
    executor_creation_fn=_create,
    description="All steps in one process, as Dagster's own; a run that is killed blocks no other one.",
)
