"""Frames of a comparison and their ground truth."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import supervision as sv

from gotowce_dagster.comparison.footage import Footage, sample
from gotowce_dagster.core.boxes import BOX
from gotowce_dagster.core.errors import InputError
from gotowce_dagster.pictures.read import read_rgb
from gotowce_dagster.video.decode import read_frames
from tests.support.synthetic import Scene, write_scene

COLUMNS = ["frame_index", *BOX, "label"]
TRUTH = pd.DataFrame(
    [
        (2, 10, 10, 50, 50, "designator"),
        (2, 20, 20, 30, 30, "object"),
        (2, 60, 60, 99, 99, "designator"),
        (5, 10, 10, 50, 50, "designator_partial"),
        (7, np.nan, np.nan, np.nan, np.nan, "none"),
        (9, 20, 20, 30, 30, "object"),
    ],
    columns=COLUMNS,
)


@pytest.fixture(scope="module")
def video(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("footage") / "clip.mp4"
    write_scene(path, Scene(frames=12, size=(320, 240)))
    return path


def footage(video: Path, name: str, truth: pd.DataFrame | None) -> Footage:
    return Footage(name, video, Path(f"{name}.toml"), truth)


def test_frames_with_ground_truth_come_first_and_are_lossless(video: Path, tmp_path: Path) -> None:
    made = sample([footage(video, "a", TRUTH), footage(video, "b", None)], 9, tmp_path)
    assert [picture.frame for picture in made.pictures] == [("a", 2), ("a", 5), ("a", 7), ("a", 9)]
    assert made.notes == ["b: left out, because it has no ground truth and other videos have"]
    (frame,) = read_frames(video, [5])
    assert np.array_equal(read_rgb(made.pictures[1].file), frame.rgb())


@pytest.mark.parametrize(
    ("count", "expected"),
    [(4, {"a": [3, 9], "b": [3, 9]}), (3, {"a": [3, 9], "b": [6]}), (1, {"a": [6], "b": [6]})],
    ids=["even", "one more", "at least one a video"],
)
def test_without_ground_truth_frames_are_evenly_spaced(
    video: Path, tmp_path: Path, count: int, expected: dict[str, list[int]]
) -> None:
    made = sample([footage(video, "a", None), footage(video, "b", None)], count, tmp_path)
    chosen = pd.DataFrame([p.frame for p in made.pictures]).groupby(0)[1].apply(list).to_dict()
    assert chosen == expected
    assert made.notes == []


def test_missing_frames_are_reported(video: Path, tmp_path: Path) -> None:
    late = pd.DataFrame([(3, 1, 1, 9, 9, "object"), (99, 1, 1, 9, 9, "object")], columns=COLUMNS)
    made = sample([footage(video, "a", late)], 9, tmp_path)
    assert [picture.frame_index for picture in made.pictures] == [3]
    assert made.notes == ["a: frame 99 was left out, because it cannot be decoded"]
    with pytest.raises(InputError, match="no frame to compare on in a"):
        sample([footage(video, "a", late[1:])], 9, tmp_path)


@pytest.mark.parametrize(
    ("frame", "against", "expected"),
    [
        (2, "designator", (2, 0)),
        (5, "designator", (0, 1)),
        (7, "designator", (0, 0)),
        (9, "designator", None),
        (2, "object", (1, 0)),
        (7, "object", None),
    ],
    ids=["both", "half hidden", "no object", "not looked at", "object", "there may be an unmarked one"],
)
def test_ground_truth_of_a_frame(
    video: Path, tmp_path: Path, frame: int, against: str, expected: tuple[int, int] | None
) -> None:
    made = sample([footage(video, "a", TRUTH)], 9, tmp_path)
    case = made.case(("a", frame), against, sv.Detections.empty())
    assert (case and (len(case.truth), len(case.ignored))) == expected


def test_segmenters_get_designators_with_a_ground_truth_object(video: Path, tmp_path: Path) -> None:
    (picture,) = sample([footage(video, "a", TRUTH)], 9, tmp_path).designated()
    assert (picture.frame_index, picture.designators) == (2, [(10, 10, 50, 50)])
