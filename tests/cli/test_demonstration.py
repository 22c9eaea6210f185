import json
import logging
import os
import signal
from pathlib import Path

import dagster as dg
import pytest

from gotowce_dagster.assets.reporting import log_progress
from gotowce_dagster.cli import demonstration
from gotowce_dagster.config.project import Project
from gotowce_dagster.core.errors import InputError
from gotowce_dagster.stages.table import STAGES
from tests.cli.running import run


@pytest.mark.slow
@pytest.mark.parametrize("studies", [False, True], ids=["alone", "with the studies"])
def test_demo_speaks_json(
    clone: Project, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture, studies: bool
) -> None:
    jobs: list[str] = []
    monkeypatch.setattr(demonstration, "_execute", lambda instance, job, video: jobs.append(job) or [])
    assert run(monkeypatch, "demo", "--json", *(["--studies"] if studies else [])) == 0
    assert jobs == ["label_videos", "label_videos", "train_model", *(["run_studies"] if studies else [])]
    output = json.loads(capsys.readouterr().out)
    assert Path(output["report"]).name == "report.html"
    assert "not made" in output["stages"]["masks@naev_hostile_sample"]
    asked = [stage for stage in STAGES.values() if (studies and not stage.needs_models) or not stage.is_study]
    wanted = {stage.name for stage in asked}
    assert wanted == {name.partition("@")[0] for name in output["stages"]}


def test_a_stage_without_output_is_shown_with_its_reason(
    clone: Project, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
) -> None:
    monkeypatch.setattr(
        demonstration, "_previews", lambda project, studies: iter([("masks@a", {"not made": "no file"})])
    )
    demonstration._show(clone, studies=False)
    assert "not made: no file" in capsys.readouterr().out


@pytest.mark.slow
def test_what_a_stage_logs_is_shown_while_dagster_runs_it(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Dagster sets the level of its settings, WARNING, on the package's loggers when a run begins."""

    @dg.asset(required_resource_keys={"progress"})
    def trained(context: dg.AssetExecutionContext) -> None:
        context.resources.progress(context)(0, 3)
        logging.getLogger("gotowce_dagster.training.rounds").info("round 0: drawing crops")

    made = dg.Definitions(
        [trained], jobs=[dg.define_asset_job("train_in_rounds")], resources={"progress": log_progress}
    )
    monkeypatch.setattr(demonstration, "defs", lambda: made)
    settings = {"managed_python_loggers": ["gotowce_dagster"], "python_log_level": "WARNING"}
    with dg.instance_for_test(overrides={"python_logs": settings}) as instance:
        assert demonstration._execute(instance, "train_in_rounds", None) == []
    assert "round 0: drawing crops" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("wrapped", "expected"),
    [(True, "trained (train_in_rounds): a.mp4: not a video"), (False, "ValueError: unexpected")],
    ids=["a sentence for users", "a fault"],
)
def test_a_failed_step_is_named_with_its_reason(
    monkeypatch: pytest.MonkeyPatch, wrapped: bool, expected: str
) -> None:
    @dg.asset(required_resource_keys={"progress"})
    def trained() -> None:
        if not wrapped:
            raise ValueError("unexpected")
        try:
            raise InputError("a.mp4: not a video")
        except InputError as error:
            raise dg.Failure(str(error)) from error

    made = dg.Definitions(
        [trained], jobs=[dg.define_asset_job("train_in_rounds")], resources={"progress": log_progress}
    )
    monkeypatch.setattr(demonstration, "defs", lambda: made)
    with dg.DagsterInstance.ephemeral() as instance:
        (problem,) = demonstration._execute(instance, "train_in_rounds", None)
    assert problem.endswith(expected)
    assert "InputError" not in problem


def test_an_interrupted_step_ends_the_command(monkeypatch: pytest.MonkeyPatch) -> None:
    """Its job is neither tried again nor taken for done."""
    starts: list[int] = []

    @dg.asset(required_resource_keys={"progress"})
    def trained() -> None:
        starts.append(1)
        os.kill(os.getpid(), signal.SIGINT)

    made = dg.Definitions(
        [trained], jobs=[dg.define_asset_job("train_in_rounds")], resources={"progress": log_progress}
    )
    monkeypatch.setattr(demonstration, "defs", lambda: made)
    with dg.DagsterInstance.ephemeral() as instance, pytest.raises(KeyboardInterrupt):
        demonstration._execute(instance, "train_in_rounds", None)
    assert starts == [1]
