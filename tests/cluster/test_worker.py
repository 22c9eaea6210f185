"""Runs on nodes as Ray starts them, with SQLite instead of PostgreSQL and without Ray."""

import json
import os
import subprocess
import sys
import time
from pathlib import Path

import dagster as dg
import pytest
from dagster._cli.api import ExecuteRunArgs
from dagster._core.definitions.reconstruct import ReconstructableRepository

from gotowce_dagster.cluster.records import OF_VIDEO, report_slice
from gotowce_dagster.cluster.slices import take
from gotowce_dagster.config.project import Project
from gotowce_dagster.definitions import defs
from tests.cluster.driver import STANDINS, StagesLog
from tests.cluster.projects import make_driver
from tests.conftest import ROOT

pytestmark = [pytest.mark.integration, pytest.mark.timeout(900)]

VIDEO = "scene_1"


def launch(
    instance: dg.DagsterInstance, driver: Project, node: str, folder: Path
) -> tuple[str, subprocess.Popen]:
    """Start a run of the video on a node as the launcher does; its id and process."""
    repository = ReconstructableRepository.for_module("gotowce_dagster.definitions", "defs", str(ROOT))
    origin = repository.get_reconstructable_job("label_videos").get_python_origin()
    run = instance.create_run_for_job(
        defs().resolve_job_def("label_videos"), tags={"dagster/partition": VIDEO}, job_code_origin=origin
    )
    report_slice(instance, run, take(driver, VIDEO))
    arguments = ExecuteRunArgs(origin, run.run_id, instance.get_ref(), True).get_command_args()[-1]
    environment = os.environ | {
        "GOTOWCE_NODE": node,
        "GOTOWCE_SCRATCH": str(folder / node),
        "PYTHONPATH": f"{ROOT}{os.pathsep}{STANDINS}",
        "STAGES_LOG": str(folder / "stages.jsonl"),
        "HELD_STAGES": json.dumps({"masks": str(folder / "go on")}),
    }
    command = [sys.executable, "-m", "gotowce_dagster.cluster.worker", arguments]
    with (folder / f"{node}.log").open("w") as output:
        process = subprocess.Popen(
            command, cwd=folder, env=environment, stdout=output, stderr=subprocess.STDOUT
        )
    return run.run_id, process


def test_a_run_that_ray_has_lost_goes_on_and_nothing_is_computed_twice(
    clone: Project, tmp_path: Path
) -> None:
    """Its raylet was killed: Dagster calls it failed and launches another, which waits for it."""
    driver, log = make_driver(clone, tmp_path, videos=1), StagesLog(tmp_path / "stages.jsonl")
    (tmp_path / "dagster").mkdir()
    with dg.DagsterInstance.local_temp(str(tmp_path / "dagster")) as instance:
        instance.add_dynamic_partitions("videos", [VIDEO])
        lost, first = launch(instance, driver, "A", tmp_path)
        while not log.begun_on("A", "masks", [VIDEO]):
            assert first.poll() is None
            time.sleep(0.2)
        run = instance.get_run_by_id(lost)
        assert run is not None
        instance.report_run_failed(run, "its raylet is gone")
        again, second = launch(instance, driver, "B", tmp_path)
        while "waiting for another run of this video" not in (tmp_path / "B.log").read_text():
            assert second.poll() is None
            time.sleep(0.2)
        (tmp_path / "go on").touch()
        assert (first.wait(600), second.wait(600)) == (0, 0)
        finished = instance.get_run_by_id(again)
    assert finished is not None
    assert finished.status == dg.DagsterRunStatus.SUCCESS
    assert log.begun([VIDEO]) == {(stage, VIDEO): 1 for stage in OF_VIDEO}
    assert {log.node_of(stage, VIDEO) for stage in OF_VIDEO} == {"A"}
    assert not list(tmp_path.glob("[AB]/*")), "a slice is removed after its run"
