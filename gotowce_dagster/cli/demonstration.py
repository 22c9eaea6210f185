"""Run the whole pipeline on two sample clips, with Dagster and DVC."""

import os
from collections.abc import Iterator, Mapping
from itertools import groupby
from pathlib import Path
from uuid import uuid4

import dagster as dg

from gotowce_dagster.assets.runs import alive
from gotowce_dagster.cli.console import note as show_note
from gotowce_dagster.cli.console import number, progress_bars, show_log, show_table
from gotowce_dagster.config.project import Project
from gotowce_dagster.core.errors import GotowceError
from gotowce_dagster.core.memory import give_back
from gotowce_dagster.core.progress import Progress
from gotowce_dagster.definitions import defs
from gotowce_dagster.intake import shipped
from gotowce_dagster.intake import videos as intake
from gotowce_dagster.intake.pipelines import stage_name
from gotowce_dagster.previews.base import Preview
from gotowce_dagster.previews.table import preview_of
from gotowce_dagster.segmenters.registry import forget_models
from gotowce_dagster.stages.table import STAGES

_QUIET = {"loggers": {"console": {"config": {"log_level": "CRITICAL"}}}}


def run(project: Project, *, quiet: bool = False, studies: bool = False) -> Path:
    """Add the samples, label, train and evaluate; print a summary of each stage.

    Current outputs are not recomputed. A video that fails does not stop the others.

    Args:
        quiet: Print no table; see numbers.
        studies: Run the studies too that need no other models, which takes minutes more.

    Returns:
        The path of the report.

    Raises:
        GotowceError: A step failed; the message names the step and the reason.
        KeyboardInterrupt: The run was interrupted.
    """
    samples = shipped.samples()
    for clip in sorted(samples.glob("*.mp4")):
        for truth in ("truth.csv", "complete.csv"):
            intake.add(project, clip, truth=samples / truth)
    intake.sync(project)
    project = Project(project.paths)
    os.environ.setdefault("DAGSTER_HOME", str(project.paths.root / ".dagster"))
    with dg.DagsterInstance.get() as instance:
        instance.add_dynamic_partitions("videos", list(project.videos))
        problems = [
            problem for video in project.videos for problem in _execute(instance, "label_videos", video)
        ]
        # Evaluation loads its segmenter again in a second, but training would need its memory on top.
        forget_models()
        give_back()
        for job in ("train_model", "run_studies") if studies else ("train_model",):
            problems += _execute(instance, job, None)
    if not quiet:
        _show(project, studies)
    if problems:
        raise GotowceError("; ".join(problems))
    return project.paths.evaluation / "report.html"


def run_job(project: Project, job: str) -> list[str]:
    """Run a job of the whole project in this process; returns one sentence per failed step."""
    os.environ.setdefault("DAGSTER_HOME", str(project.paths.root / ".dagster"))
    with dg.DagsterInstance.get() as instance:
        return _execute(instance, job, None)


def _execute(instance: dg.DagsterInstance, job: str, video: str | None) -> list[str]:
    """Run a job in this process; returns one sentence per failed step.

    Raises:
        KeyboardInterrupt: A step was interrupted. The same job goes on where it stopped.
    """
    what = f"{job} {video}" if video else job
    run_id = str(uuid4())
    with progress_bars() as start, alive(instance, run_id):

        def progress(context: dg.AssetExecutionContext) -> Progress:
            show_log()  # Dagster has set the level of dagster.yaml when the run began
            return start(stage_name(context.asset_key.path[-1], video))

        result = (
            defs()
            .resolve_job_def(job)
            .execute_in_process(
                run_id=run_id,
                run_config=_QUIET,
                instance=instance,
                partition_key=video,
                raise_on_error=False,
                resources={"progress": progress},
            )
        )
    for event in result.all_events:
        if event.event_type_value == "ASSET_CHECK_EVALUATION":
            check = event.asset_check_evaluation_data
            if not check.passed:
                show_note(f"{what}: check {check.check_name}: {check.description}")
    failures = [event for event in result.all_events if event.is_step_failure]
    if any(_is_interrupt(event) for event in failures):
        raise KeyboardInterrupt
    return [f"{event.step_key} ({what}): {_reason(event)}" for event in failures]


def _is_interrupt(event: dg.DagsterEvent) -> bool:
    """Whether a step was stopped by SIGINT or SIGTERM, which Dagster turns into a failure of the step."""
    error = event.step_failure_data.error
    return bool(error) and error.cls_name == dg.DagsterExecutionInterruptedError.__name__


def _reason(event: dg.DagsterEvent) -> str:
    failure = event.step_failure_data
    if (by_stage := failure.user_failure_data) and by_stage.description:
        return by_stage.description  # the sentence alone, without the class of the error
    error = failure.error
    if error is None:
        return "no reason given"
    return (error.cause or error).message.strip()


def numbers(project: Project, *, studies: bool = False) -> dict[str, Mapping[str, float | int | str]]:
    """Numbers of each stage, by its name in dvc.yaml; `not made` has the reason if it has no output."""
    return {
        name: preview if isinstance(preview, dict) else preview.numbers
        for name, preview in _previews(project, studies)
    }


def _previews(project: Project, studies: bool) -> Iterator[tuple[str, Preview | dict[str, str]]]:
    """The preview of each stage and video, or the reason why it has no output.

    A study that has none is left out, unless it was asked for.
    """
    for stage in STAGES.values():
        is_asked = studies and not stage.needs_models
        if stage.is_study and not is_asked and not project.paths.study(stage.name).exists():
            continue
        for video in project.videos if stage.per_video else [None]:
            try:
                yield stage_name(stage.name, video), preview_of(project, stage.name, video)
            except (GotowceError, FileNotFoundError) as error:
                yield stage_name(stage.name, video), {"not made": str(error)}


def _show(project: Project, studies: bool) -> None:
    """Print a table with one line per stage and video."""
    rows, notes = [], []
    for name, preview in _previews(project, studies):
        if isinstance(preview, dict):
            rows.append([name, f"not made: {preview['not made']}"])
            continue
        rows.append([name, _summary(preview.numbers)])
        notes += [f"{name}: {note}" for note in preview.notes]
    show_table("Results by stage", ["stage", "result"], rows)
    for note in notes:
        show_note(note)


def _summary(numbers: Mapping[str, float | int | str]) -> str:
    """Format numbers as text; those named ``who: what`` get one line per ``who``."""
    lines = []
    for who, items in groupby(numbers.items(), key=lambda item: item[0].rpartition(": ")[0]):
        parts = ", ".join(f"{what.rpartition(': ')[2]} {number(value)}" for what, value in items)
        lines.append(f"{who}: {parts}" if who else parts)
    return "\n".join(lines)
