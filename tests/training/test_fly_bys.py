from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from gotowce_dagster.config.project import Project
from gotowce_dagster.core.boxes import BOX
from gotowce_dagster.core.errors import InputError
from gotowce_dagster.core.progress import silent
from gotowce_dagster.core.tables import FLY_BYS, PROVENANCE, read_table, write_table
from gotowce_dagster.stages import yolo_dataset
from gotowce_dagster.training.fly_bys import fly_by, read_fly_bys
from tests.worlds import box_at, make_world

ELSEWHERE = np.array([2.0, 70, 14, 76])


@pytest.mark.parametrize(
    ("box", "is_one"),
    [([10, 10, 22, 18], True), ([11, 9, 24, 18], True), ([0, 0, 40, 40], False), ([60, 10, 72, 18], False)],
    ids=["the same", "a little off", "a ship around it", "elsewhere"],
)
def test_which_boxes_are_around_a_fly_by(box: list[float], is_one: bool) -> None:
    assert fly_by(np.array([box], float), np.array([[10.0, 10, 22, 18]])).tolist() == [is_one]


def test_without_boxes_or_fly_bys() -> None:
    none = np.zeros((0, 4))
    assert fly_by(none, np.ones((2, 4))).tolist() == []
    assert fly_by(np.ones((2, 4)), none).tolist() == [False, False]


def _world(root: Path, flying: dict[int, np.ndarray]) -> Project:
    """A video of 30 frames, every tenth of the recording, and what flies by in them, by place."""
    project = make_world(root, {"a": ["hostile"] * 30})
    rows = [(10 * place, *box) for place, boxes in flying.items() for box in boxes.tolist()]
    table = pd.DataFrame(rows, columns=["frame_index", *BOX])
    write_table(table, FLY_BYS, project.paths.fly_bys("a"))
    yolo_dataset.run(project, silent)
    return project


def test_a_dataset_has_those_of_its_training_frames_but_no_targets(tmp_path: Path) -> None:
    every = dict.fromkeys(range(30), ELSEWHERE[None])
    every[4] = np.stack([ELSEWHERE, box_at(4)])
    project = _world(tmp_path, every)
    rows = read_table(project.paths.dataset / "provenance.parquet", PROVENANCE)
    trained = set(rows.loc[rows["split"] == "train", "frame_index"])
    assert 0 < len(trained) < 30
    found = read_fly_bys(project.paths.dataset)
    assert set(found) == {("a", index) for index in trained}
    assert all(boxes.tolist() == [ELSEWHERE.tolist()] for boxes in found.values())


def test_where_targets_fly_by_it_proves_nothing(tmp_path: Path) -> None:
    project = _world(tmp_path, {place: np.stack([ELSEWHERE, box_at(place)]) for place in range(30)})
    assert read_fly_bys(project.paths.dataset) == {}


def test_a_dataset_of_before_says_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"fly_bys\.csv: does not exist; run yolo_dataset again"):
        read_fly_bys(tmp_path)
