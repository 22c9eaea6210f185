from pathlib import Path

import numpy as np
import pytest

from gotowce_dagster.config.project import Project
from gotowce_dagster.core.errors import InputError
from gotowce_dagster.core.tables import LABELS, MASKS, read_table, write_table
from gotowce_dagster.pictures.targets import AMBER, GREEN, RED
from gotowce_dagster.previews.table import preview_of
from gotowce_dagster.stages import cleaned_labels
from tests.worlds import make_world


@pytest.fixture
def world(tmp_path: Path) -> Project:
    """Six frames with a target; one mask is missing, one fills its designator, one is uncertain."""
    made = make_world(tmp_path, {"a": ["hostile"] * 6})
    masks = read_table(made.paths.masks("a"), MASKS).drop(index=1).astype({"stability": float})
    masks.loc[2, "fill"] = 0.95
    masks.loc[3, "stability"] = 0.2
    write_table(masks, MASKS, made.paths.masks("a"))
    return made


def test_every_detection_is_judged(world: Project) -> None:
    cleaned_labels.run(world, "a")
    labels = read_table(world.paths.labels("a"), LABELS).set_index("frame_index")
    assert labels["verdict"].tolist() == ["accept", "reject", "reject", "reject", "accept", "accept"]
    assert labels.loc[10, "reasons"].tolist() == ["no_mask"]
    assert "room" in labels.loc[20, "reasons"]
    assert labels.loc[30, "reasons"].tolist() == ["stability"]
    assert labels.loc[0, "quality"] > 0.3 > labels.loc[30, "quality"]


def test_preview_counts_by_verdict_and_reason(world: Project) -> None:
    cleaned_labels.run(world, "a")
    shown = preview_of(world, "cleaned_labels", "a")
    assert (shown.numbers["accept"], shown.numbers["review"], shown.numbers["reject"]) == (3, 0, 3)
    assert shown.numbers["because_no_mask"] == 1
    assert any("stability" in note and "threshold" in note for note in shown.notes)
    assert shown.picture is not None
    colours = {tuple(pixel) for pixel in shown.picture.reshape(-1, 3)[::3]}
    assert {GREEN, RED} <= colours
    assert AMBER not in colours


def test_a_video_without_detections(tmp_path: Path) -> None:
    world = make_world(tmp_path, {"a": [None] * 3})
    cleaned_labels.run(world, "a")
    assert read_table(world.paths.labels("a"), LABELS).empty
    shown = preview_of(world, "cleaned_labels", "a")
    assert (shown.numbers["accept"], shown.picture) == (0, None)


def test_an_unknown_rule_writes_nothing(tmp_path: Path) -> None:
    beauty = {"mode": "on", "threshold": 0.5, "fails": "reject", "why": "not fair"}
    world = make_world(tmp_path, {"a": ["hostile"]}, cleaned_labels={"rules": {"beauty": beauty}})
    world.paths.labels("a").unlink()
    with pytest.raises(InputError, match="no rule named beauty"):
        cleaned_labels.run(world, "a")
    assert not world.paths.labels("a").exists()


def test_the_same_input_gives_the_same_bytes(world: Project) -> None:
    cleaned_labels.run(world, "a")
    first = world.paths.labels("a").read_bytes()
    cleaned_labels.run(world, "a")
    assert np.array_equal(np.frombuffer(first, np.uint8), np.fromfile(world.paths.labels("a"), np.uint8))
