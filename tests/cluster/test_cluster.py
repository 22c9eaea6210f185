"""A whole cluster: PostgreSQL, S3, a Ray head and two nodes, of which one is killed in the middle of work."""

import json
import os
import shutil
import time
from collections.abc import Generator, Iterator
from contextlib import contextmanager

import pytest

from gotowce_dagster.cluster.records import OF_VIDEO
from gotowce_dagster.intake.dvc_repo import DvcRepo
from tests.cluster.driver import STANDINS, Driver, StagesLog
from tests.cluster.machines import Machines, missing, wait_until
from tests.conftest import ROOT

pytestmark = [
    pytest.mark.integration,
    pytest.mark.timeout(2400),
    pytest.mark.skipif("CLUSTER" not in os.environ, reason="runs with `make test-cluster`: several minutes"),
    pytest.mark.skipif(missing() is not None, reason=missing() or ""),
]

PATIENCE_S = 1200


@contextmanager
def step(name: str) -> Generator[None]:
    """Report how long a part of the test takes; run pytest with -s to see it."""
    start = time.monotonic()
    yield
    print(f"{name}: {time.monotonic() - start:.0f} s", flush=True)


@pytest.fixture(scope="module")
def log(tmp_path_factory: pytest.TempPathFactory) -> StagesLog:
    return StagesLog(tmp_path_factory.mktemp("log") / "stages.jsonl")


@pytest.fixture(scope="module")
def driver(tmp_path_factory: pytest.TempPathFactory, log: StagesLog) -> Iterator[Driver]:
    """A driver with two nodes, A and B, on which masks take as long as it takes Dagster to miss a node."""
    folder = tmp_path_factory.mktemp("cluster")
    standins = {"PYTHONPATH": f"{ROOT}{os.pathsep}{STANDINS}", "STAGES_LOG": str(log.path)}
    machines = Machines(folder, standins | {"SECONDS_OF_STAGES": json.dumps({"masks": 60})})
    driver = Driver(folder / "project", machines)
    try:
        with step("storage and Ray"):
            machines.start_storage()
            machines.start_head()
            for name in "AB":
                machines.start_node(name)
        driver.make()
        os.environ.update(
            {name: driver.environment[name] for name in ("DAGSTER_HOME", "GOTOWCE_POSTGRES_URL")}
        )
        driver.start_daemon()
        yield driver
    finally:
        machines.stop()
        for file in folder.glob("*.log"):
            print(f"--- {file.name}\n{file.read_text(errors='replace')[-1500:]}")


def test_a_node_dies_and_the_other_goes_on(driver: Driver, log: StagesLog) -> None:
    videos = driver.add(range(1, 5))
    with step("until masks begin on A"):
        wait_until(lambda: log.begun_on("A", "masks", videos), "masks on A", PATIENCE_S)
    struck = log.begun_on("A", "masks", videos)
    assert struck
    driver.machines.kill("A")
    with step("until all are labelled by B"):
        wait_until(lambda: driver.are_done(videos), "all videos labelled", PATIENCE_S)

    # B pulled what A had made of that video; only its masks were begun twice.
    assert log.node_of("extracted_frames", struck) == "A"
    assert log.node_of("masks", struck) == "B"
    expected = {(stage, video): 1 for stage in OF_VIDEO for video in videos} | {("masks", struck): 2}
    assert log.begun(videos) == expected

    # The driver has the records and none of the data.
    assert not list(driver.paths.frames(struck).parent.glob("scene*"))
    locks = [f"videos/{video}/dvc.yaml" for video in videos]
    assert "Running stage" not in driver.run("dvc", "repro", "--allow-missing", "--dry", *locks)
    driver.run("dvc", "pull", *locks)
    assert driver.run("dvc", "status", *locks).strip().endswith("up to date.")

    # They are those of one machine.
    recorded = driver.entries(struck)
    (driver.paths.pipeline(struck) / "dvc.lock").unlink()
    shutil.rmtree(driver.root / ".dvc" / "cache" / "runs", ignore_errors=True)
    driver.run("dvc", "repro", "--force", f"videos/{struck}/dvc.yaml")
    assert dict(DvcRepo(driver.root).entries_in(f"videos/{struck}")) == recorded


def test_a_raylet_dies_and_nothing_is_computed_twice(driver: Driver, log: StagesLog) -> None:
    """The run goes on without Ray; Dagster calls it failed and launches another, which waits for it."""
    driver.machines.kill("A")
    driver.machines.start_node("A")
    videos = driver.add(range(5, 7))
    wait_until(lambda: log.begun_on("A", "masks", videos), "masks on A", PATIENCE_S)
    struck = log.begun_on("A", "masks", videos)
    assert struck
    driver.machines.kill("A", "raylet")
    with step("until both are labelled"):
        wait_until(lambda: driver.are_done(videos), "both videos labelled", PATIENCE_S)
    assert log.begun(videos) == {(stage, video): 1 for stage in OF_VIDEO for video in videos}
    assert log.node_of("masks", struck) == "A"
    assert len(driver.runs([struck])) > 1, "Dagster did not miss the node"
