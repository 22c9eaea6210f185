"""Push and pull thousands of tasks in batches, each exactly once."""

from typing import Any

import numpy as np
import pytest

from gotowce_dagster.core.boxes import BOX
from gotowce_dagster.core.tables import LABELS, read_table
from gotowce_dagster.review.connection import connect
from gotowce_dagster.review.room import find_project
from tests.review.conftest import Desk, Running
from tests.worlds import make_world

pytestmark = [pytest.mark.integration, pytest.mark.timeout(600)]

_COUNT = 2_000


def test_two_thousand_tasks(label_studio: Running) -> None:
    shown = ["hostile", "neutral"] * (_COUNT // 2)
    world = make_world(label_studio.root / "data" / "thousands", {"duel": shown})
    connection = label_studio.server.connection
    desk = Desk(connect(connection), connection.token, world, "thousands")
    reported: list[int] = []
    every: dict[str, Any] = {"select": "all", "batch": 500}
    pushed = desk.push(lambda done, total: reported.append(done), **every)
    assert (pushed.created, pushed.problems) == (_COUNT, [])
    assert reported == sorted(reported)
    again = desk.push(**every)
    assert (again.created, again.renewed, again.unchanged) == (0, 0, _COUNT)

    project = find_project(desk.room.client, desk.title)
    assert project is not None
    everything: Any = {"all": True, "excluded": []}
    desk.room.client.actions.create(
        id="predictions_to_annotations", project=project.id, selected_items=everything
    )
    assert desk.pull().frames == _COUNT
    assert desk.pull().videos == []

    labels = read_table(world.paths.labels("duel"), LABELS).sort_values("frame_index")
    pulled = desk.reviewed("duel")
    assert list(pulled) == labels["frame_index"].tolist()
    reviews = [review for frame in pulled.values() for review in frame.reviews]
    found = [thing for review in reviews for thing in review.objects]
    assert np.abs([thing.box for thing in found] - labels[BOX].to_numpy()).max() < 1e-6
    assert [thing.rle for thing in found] == labels["rle"].tolist()
    assert [thing.class_name for thing in found] == labels["class_name"].tolist()
    assert {change.kind for review in reviews for change in review.changes} == {"none"}
    desk.room.client.projects.delete(project.id)
