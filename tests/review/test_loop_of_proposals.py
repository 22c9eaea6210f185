"""Targets that nobody marked: proposed by a model, judged in a real Label Studio, taught."""

import json
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from typer.testing import CliRunner

from gotowce_dagster.cli.main import app
from gotowce_dagster.config.project import Project
from gotowce_dagster.core.tables import PROVENANCE, read_table
from gotowce_dagster.labels.export import read_objects
from gotowce_dagster.labels.reviews import FIRST_PROPOSAL
from tests.assets.test_one_pipeline import change
from tests.review.conftest import Desk, Running
from tests.review.test_loop import labelled, repro
from tests.review.test_proposals import write_proposals

pytestmark = [pytest.mark.integration, pytest.mark.timeout(900)]


@pytest.fixture(scope="module")
def desk(label_studio: Running, template: Path) -> Iterator[Desk]:
    with labelled(label_studio, template, "proposing") as made:
        yield made


def test_proposed_targets_are_asked_about_and_taught(desk: Desk) -> None:
    """In three frames the ship wears no mark: a model proposes it, and something that is none."""
    change(desk.world, review={"tasks": {"project": "proposals", "audit_share": 0.0}})
    world = Project(desk.world.paths)
    ship, nothing = (300.0, 200.0, 340.0, 230.0), (20.0, 300.0, 50.0, 330.0)
    unmarked = (52, 56, 60)
    write_proposals(
        world,
        *(("scene_1", index, ship, "painted over", 3) for index in unmarked),
        *(("scene_1", index, nothing, "adopted", 1) for index in unmarked),
    )
    done = CliRunner().invoke(app, ["review", "push", "--ranked-by", "proposals", "--json"])
    assert done.exit_code == 0, done.output
    assert json.loads(done.stdout)["proposals"] == 6
    asked = Desk(desk.room, desk.token, world, "proposals").tasks("predictions")
    tasks = [task for task in asked if task["data"]["frame_index"] in unmarked]
    assert len(tasks) == 3
    for task in tasks:
        (first, second) = task["predictions"][0]["result"]
        assert "not marked in the video" in task["data"]["context"]
        desk.say(task, "accept", [first])
        assert second["id"] == f"box-{FIRST_PROPOSAL + 1}"
    assert CliRunner().invoke(app, ["review", "pull"]).exit_code == 0
    assert repro(world, "yolo_dataset") == ["yolo_dataset"]
    rows = read_table(world.paths.dataset / "provenance.parquet", PROVENANCE)
    rows = rows[rows["frame_index"].isin(unmarked)]
    assert len(rows), "some of the three are in the dataset"
    assert set(rows["kind"]) == {"as-is"}
    assert set(rows["origin"]) == {"reviewed with proposals"}
    for image in rows["image"]:
        (box,) = read_objects(world.paths.dataset, image)[1].xyxy
        assert box == pytest.approx(ship, abs=0.01)
    refused = pd.read_csv(world.paths.dataset / "rejected.csv")
    assert sorted(refused["frame_index"]) == sorted(rows["frame_index"])
    assert refused[["x1", "y1", "x2", "y2"]].to_numpy() == pytest.approx(np.array([nothing] * len(refused)))
