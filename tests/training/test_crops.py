import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gotowce_dagster.config.params import CropParams
from gotowce_dagster.config.project import Project
from gotowce_dagster.core.progress import silent
from gotowce_dagster.core.tables import PROVENANCE, read_table
from gotowce_dagster.labels.export import read_objects
from gotowce_dagster.stages import yolo_dataset
from gotowce_dagster.training.crops import (
    Cutout,
    Proposed,
    Scene,
    crop_count,
    crop_scene,
    crop_side,
    of_other_games,
    paste,
    read_cutouts,
    write_crops,
)
from tests.worlds import make_world

PARAMS = CropParams(
    px=64, count=40, per_frame=40, erased=0.75, away=0.3, standouts=0, pasted=(1, 2), paste_scale=(0.7, 1.4),
    foreign=0.5, stretch=1.5, turn_deg=180, recolour=0.3, brightness=0.3,
)  # fmt: skip


def _scene(*boxes: tuple[float, float, float, float], doubtful: tuple = ()) -> Scene:
    image = np.full((96, 160, 3), 30, np.uint8)
    for box in (*boxes, *doubtful):
        x1, y1, x2, y2 = map(int, box)
        image[y1:y2, x1:x2] = 220
    return Scene(
        image,
        np.array(boxes, float).reshape(-1, 4),
        np.zeros(len(boxes), int),
        np.array(doubtful, float).reshape(-1, 4),
    )


@pytest.mark.parametrize(
    ("box", "kept", "is_bright"),
    [
        ((20, 20, 40, 36), [(10, 10, 30, 26)], True),
        ((0, 20, 18, 36), [], False),
        ((4, 20, 24, 36), [(0, 10, 14, 26)], True),
        ((100, 60, 120, 76), [], False),
    ],
    ids=["inside", "less than half inside: painted over", "cut, most inside", "outside"],
)
def test_targets_of_a_crop(box: tuple, kept: list, is_bright: bool) -> None:
    crop = crop_scene(_scene(box), 10, 10, 64)
    assert crop.image.shape == (64, 64, 3)
    assert crop.boxes.tolist() == [list(map(float, some)) for some in kept]
    assert (crop.image.max() > 200) == is_bright


@pytest.mark.parametrize(
    ("doubtful", "bright"),
    [((50, 50, 60, 60), False), ((30, 30, 60, 60), True)],
    ids=["alone: painted over", "on a target: left"],
)
def test_what_may_be_a_target_is_not_background(doubtful: tuple, bright: bool) -> None:
    crop = crop_scene(_scene((20, 20, 40, 36), doubtful=(doubtful,)), 0, 0, 64)
    assert len(crop.boxes) == 1
    assert (crop.image[45:, 45:].max() > 200) == bright


@given(seed=st.integers(0, 10_000), width=st.integers(4, 30), height=st.integers(4, 30))
def test_a_pasted_target_lies_in_its_box_and_touches_no_other(seed: int, width: int, height: int) -> None:
    scene = _scene((5, 5, 25, 25))
    dark = Scene(np.zeros_like(scene.image), scene.boxes, scene.classes)
    cutout = Cutout(
        np.full((height, width, 3), 255, np.uint8), np.ones((height, width), np.float32), class_id=3
    )
    pasted = paste(dark, cutout, PARAMS, np.random.default_rng(seed))
    assert dark.image.max() == 0, "the scene itself stays as it was"
    if len(pasted.boxes) == 1:
        return
    x1, y1, x2, y2 = pasted.boxes[1]
    assert pasted.classes.tolist() == [0, 3]
    assert x1 >= 0
    assert y1 >= 0
    assert x2 <= 160
    assert y2 <= 96
    assert max(5 - x2, x1 - 25) >= 3 or max(5 - y2, y1 - 25) >= 3
    bright = np.argwhere(pasted.image.max(axis=2) > 128)
    assert (bright.min(axis=0) >= [y1 - 1, x1 - 1]).all()
    assert (bright.max(axis=0) <= [y2, x2]).all()


def test_no_free_place_gives_the_scene_itself() -> None:
    full = _scene((0, 0, 160, 96))
    cutout = Cutout(np.full((8, 8, 3), 255, np.uint8), np.ones((8, 8), np.float32), 0)
    assert paste(full, cutout, PARAMS, np.random.default_rng(1)) is full


@pytest.mark.parametrize("seed", range(20))
def test_nothing_is_pasted_on_a_panel(seed: int) -> None:
    empty = Scene(np.zeros((96, 160, 3), np.uint8), np.zeros((0, 4)), np.zeros(0, int))
    cutout = Cutout(np.full((16, 16, 3), 255, np.uint8), np.ones((16, 16), np.float32), 0)
    hud = np.zeros((96, 160), bool)
    hud[:, 60:] = True
    pasted = paste(empty, cutout, PARAMS, np.random.default_rng(seed), hud)
    assert (pasted.boxes[:, 0] < 60).all()
    assert paste(empty, cutout, PARAMS, np.random.default_rng(seed), np.ones_like(hud)) is empty


def test_cutouts_of_other_games_have_a_class_of_this_one() -> None:
    ship, mech = (
        Cutout(np.zeros((8, 8, 3), np.uint8), np.ones((8, 8), np.float32), class_id) for class_id in (0, 1)
    )
    cutouts = {"this": [[ship]], "other": [[ship, mech], [mech]], "third": [[mech]]}
    assert of_other_games(cutouts, "this") == [[ship]]
    assert of_other_games(cutouts, "third") == [[mech], [mech]]


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Project:
    made = make_world(tmp_path_factory.mktemp("crops"), {"a": ["hostile"] * 40, "b": ["neutral"] * 30})
    yolo_dataset.run(made, silent)
    return made


def _provenance(project: Project) -> pd.DataFrame:
    return read_table(project.paths.dataset / "provenance.parquet", PROVENANCE)


def test_cutouts_are_the_training_targets(project: Project) -> None:
    rows = _provenance(project)
    train = rows[(rows["split"] == "train") & (rows["objects"] > 0)]
    found = read_cutouts(project.paths.dataset)
    assert {video: len(some) for video, some in found.items()} == train.groupby("video").size().to_dict()
    for cutout in found["a"]:
        solid = cutout.image[cutout.alpha == 1].astype(int)
        assert solid.shape[0] == 20 * 16
        assert np.abs(solid.mean(axis=0) - [255, 60, 40]).max() < 30, "JPEG smears a little"


def test_crops_are_of_their_split_and_show_what_their_labels_say(project: Project, tmp_path) -> None:
    rows = _provenance(project)
    told = write_crops(project.paths.dataset, rows, tmp_path, PARAMS, seed=1)
    assert told["split"].value_counts().to_dict() == {"train": 40, "val": 16}
    for split in ("train", "val"):
        of_split = set(rows.loc[rows["split"] == split, "frame_index"].astype(int))
        assert set(told.loc[told["split"] == split, "frame_index"]) <= of_split
    val = told[told["split"] == "val"]
    assert (val["pasted"] == 0).all()
    assert told.loc[told["split"] == "train", "pasted"].sum() >= 20
    (tmp_path / "data.yaml").write_text("names: {0: hostile, 1: neutral}\n")
    for row in told.to_dict("records"):
        picture, objects = read_objects(tmp_path, row["image"])
        assert picture.shape == (64, 64, 3)
        assert len(objects) == row["labels"] + row["pasted"]
        if row["split"] == "val":
            for x1, y1, x2, y2 in objects.xyxy.round().astype(int):
                assert picture[y1 + 2 : y2 - 2, x1 + 2 : x2 - 2].max(axis=2).mean() > 150
    again = write_crops(project.paths.dataset, rows, tmp_path / "again", PARAMS, seed=1)
    assert again.equals(told)
    one, two = (next((tmp_path / some).glob("images/train/000007.jpg")) for some in (".", "again"))
    assert one.read_bytes() == two.read_bytes()


def test_proposals_become_labels_or_are_painted_over(project: Project, tmp_path) -> None:
    rows = _provenance(project)
    plain = PARAMS.model_copy(update={"pasted": (0, 0), "away": 0.0, "px": 96})
    adopted = {
        (video, int(index)): Proposed(np.array([[150.0, 86, 158, 94]]), np.array([1]))
        for video, index in zip(rows["video"], rows["frame_index"], strict=True)
    }
    without = write_crops(project.paths.dataset, rows, tmp_path / "without", plain, seed=1)
    with_them = write_crops(project.paths.dataset, rows, tmp_path / "with", plain, seed=1, proposals=adopted)
    trains = with_them["split"] == "train"
    assert with_them.loc[trains, "labels"].sum() > without.loc[trains, "labels"].sum()
    assert with_them.loc[~trains, "labels"].tolist() == without.loc[~trains, "labels"].tolist()


def test_crops_are_larger_where_targets_are(project: Project) -> None:
    rows = _provenance(project)
    assert crop_side(project.paths.dataset, rows, PARAMS) == 64
    small = PARAMS.model_copy(update={"px": 32})
    assert crop_side(project.paths.dataset, rows, small) == 64, "targets are 20 pixels wide"


@pytest.mark.parametrize(
    ("count", "expected"), [(100, 21), (10, 10)], ids=["so many a frame", "no more than"]
)
def test_few_frames_give_few_crops(count: int, expected: int) -> None:
    rows = pd.DataFrame(
        {
            "split": ["train"] * 9 + ["val"] * 3,
            "kind": ["as-is"] * 8 + ["erased"] + ["as-is"] * 3,
            "objects": [1] * 7 + [0, 1] + [1] * 3,
        }
    )
    params = PARAMS.model_copy(update={"count": count, "per_frame": 3})
    assert crop_count(rows, params) == expected
