"""A video's tracks, pushed to a real Label Studio, corrected there, and pulled."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from gotowce_dagster.config.project import Project
from gotowce_dagster.core.boxes import BOX
from gotowce_dagster.core.errors import InputError
from gotowce_dagster.core.tables import MASKS, read_table, write_table
from gotowce_dagster.core.truth import read_truth
from gotowce_dagster.labels.followed import frame_rows, read_tracked
from gotowce_dagster.review.connection import Room, connect
from gotowce_dagster.review.regions import Size, percent_box
from gotowce_dagster.review.room import find_project, list_tasks
from gotowce_dagster.review.video_room import pull_video, push_video, save_truth, title_of, video_config
from gotowce_dagster.video.encode import write_video
from tests.review.conftest import Running
from tests.worlds import HEIGHT, WIDTH, box_at, make_world


@pytest.fixture
def room(label_studio: Running) -> Room:
    return connect(label_studio.server.connection)


@pytest.fixture
def world(label_studio: Running, tmp_path: Path) -> Project:
    """A video of 51 frames, every tenth sampled; the third sampled frame shows nothing."""
    made = make_world(
        label_studio.root / "data" / tmp_path.name,
        {"duel": ["hostile", "hostile", None, "neutral", "neutral", "neutral"]},
        review={"tasks": {"project": tmp_path.name}},
    )
    made.paths.raw.mkdir()
    write_video(made.paths.raw / "duel.mp4", np.zeros((51, HEIGHT, WIDTH, 3), np.uint8), fps=20)
    return made


def _task(room: Room, world: Project) -> dict[str, Any]:
    project = find_project(room.client, title_of(world))
    assert project is not None
    (task,) = list_tasks(room.client, project.id, ("id", "data", "predictions", "result"))
    return task


def _move_masks(world: Project, by: float) -> None:
    path = world.paths.masks("duel")
    masks = read_table(path, MASKS)
    write_table(masks.assign(x1=masks["x1"] + by), MASKS, path)


@pytest.mark.integration
def test_tracks_are_pushed_corrected_and_pulled(room: Room, world: Project) -> None:
    pushed = push_video(room, world, "duel")
    assert (pushed.done, pushed.objects) == ("created", 1)
    assert push_video(room, world, "duel").done == "unchanged"
    _move_masks(world, 0.5)
    assert push_video(room, world, "duel").done == "renewed"
    with pytest.raises(InputError, match="no submitted review"):
        save_truth(world, "duel")
    assert pull_video(room, world, "duel").file == ""

    task = _task(room, world)
    (prediction,) = task["predictions"]
    drawn = {
        "id": "drawn",
        "from_name": "box",
        "to_name": "video",
        "type": "videorectangle",
        "value": {
            "framesCount": 51,
            "duration": 2.55,
            "labels": ["neutral"],
            "sequence": [
                {"frame": frame, "enabled": frame == 11, "rotation": 0, "time": (frame - 1) / 20}
                | percent_box((x, 10, x + 12, 22), Size(WIDTH, HEIGHT))
                for frame, x in ((11, 20), (21, 40))
            ],
        },
    }
    annotation = room.client.annotations.create(task["id"], result=[*prediction["result"], drawn])
    pulled = pull_video(room, world, "duel")
    assert (pulled.reviews, pulled.objects, pulled.problems) == (1, 2, [])

    tracked = read_tracked(world.paths.reviewed_tracks("duel"))
    assert tracked is not None
    assert tracked.decision is not None
    rows = frame_rows(tracked.decision.tracks, tracked.frames)
    assert len(rows) == pulled.frames
    ours = rows[rows["object_id"] != "drawn"].set_index("frame_index")
    masks = read_table(world.paths.masks("duel"), MASKS)
    assert ours.index.tolist() == [*range(11), *range(30, 51)]
    assert np.abs(ours.loc[masks["frame_index"], BOX].to_numpy() - masks[BOX].to_numpy()).max() < 1e-9
    theirs = rows[rows["object_id"] == "drawn"]
    assert theirs["frame_index"].tolist() == list(range(10, 21))
    assert theirs["x1"].to_numpy() == pytest.approx(np.arange(20, 41, 2))

    assert save_truth(world, "duel") == len(masks) + 2
    truth = read_truth(world.paths.truth("duel"))
    (last,) = truth.loc[truth["frame_index"] == 50, BOX].to_numpy()
    assert last - box_at(5) == pytest.approx([0.5, 0, 0, 0])

    _move_masks(world, 0.5)
    assert push_video(room, world, "duel").done == "kept"
    room.client.annotations.delete(annotation.id)
    pull_video(room, world, "duel")
    tracked = read_tracked(world.paths.reviewed_tracks("duel"))
    assert tracked is not None
    assert [review.state for review in tracked.reviews] == ["withdrawn"]


@pytest.mark.integration
def test_a_video_that_was_never_pushed_cannot_be_pulled(room: Room, world: Project) -> None:
    with pytest.raises(InputError, match="push-video duel"):
        pull_video(room, world, "duel")


def test_the_page_offers_the_classes_and_the_frame_rate() -> None:
    from label_studio_sdk.label_interface import LabelInterface

    config = video_config(["hostile", 'a "b" <c>'])
    LabelInterface(config).validate()
    assert 'framerate="$fps"' in config
    assert list(LabelInterface(config).get_tag("label").labels) == ["hostile", 'a "b" <c>']
