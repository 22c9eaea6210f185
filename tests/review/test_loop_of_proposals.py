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
from gotowce_dagster.core.boxes import BOX
from gotowce_dagster.core.tables import PROVENANCE, TAUGHT, read_table
from gotowce_dagster.labels.export import read_objects
from gotowce_dagster.labels.reviews import FIRST_PROPOSAL
from tests.assets.test_one_pipeline import change
from tests.review.conftest import Desk, Running
from tests.review.test_loop import labelled, repro
from tests.review.test_proposals import write_proposals
from tests.shipped import params

pytestmark = [pytest.mark.integration, pytest.mark.timeout(900)]

_SHIPPED = params().finetuned_model
assert _SHIPPED.crops is not None
IN_ROUNDS = {
    "batch": 8,
    "crops": _SHIPPED.crops.model_dump(mode="json") | {"px": 64, "count": 32},
    "rounds": _SHIPPED.rounds.model_dump(mode="json") | {"frames": 6},
}
"""A training in rounds that takes seconds."""


@pytest.fixture(scope="module")
def desk(label_studio: Running, template: Path) -> Iterator[Desk]:
    with labelled(label_studio, template, "proposing") as made:
        yield made


def test_proposed_targets_are_asked_about_and_learned(desk: Desk) -> None:
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
        assert "by the model of round 0" in task["data"]["context"]
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

    change(world, finetuned_model=IN_ROUNDS)
    assert repro(world, "finetuned_model") == ["finetuned_model"]
    trained_on = sorted(rows.loc[rows["split"] == "train", "frame_index"])
    assert trained_on, "some of the three are in the training split"
    boxes = read_table(world.paths.model / "provenance.parquet", TAUGHT)
    judged = boxes[boxes["frame_index"].isin(trained_on)]
    for origin, use, box in (
        ("reviewed with proposals", "label", ship),
        ("rejected", "background", nothing),
    ):
        some = judged[judged["origin"] == origin]
        assert sorted(some["frame_index"]) == trained_on
        assert set(some["use"]) == {use}
        assert set(some["round"]) == {0}, "from the first round on"
        assert some[BOX].to_numpy() == pytest.approx(np.array([box] * len(some)), abs=0.01)
    assert set(judged["origin"]) == {"reviewed with proposals", "rejected"}, "what was judged is not proposed"
    taught = pd.read_csv(world.paths.model / "rounds.csv")
    assert taught["labels_reviewed"].tolist() == [len(trained_on)] * len(taught)
    crops = pd.read_csv(world.paths.model / "crops.csv")
    of_judged = crops[(crops["split"] == "train") & crops["frame_index"].isin(trained_on)]
    assert of_judged["labels"].sum() > 0, "the last round was trained on crops of the judged targets"
