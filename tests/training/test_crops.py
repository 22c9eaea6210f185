from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from gotowce_dagster.config.project import Project
from gotowce_dagster.core.boxes import BOX
from gotowce_dagster.core.progress import silent
from gotowce_dagster.core.tables import PROVENANCE, read_table
from gotowce_dagster.labels.export import read_objects
from gotowce_dagster.pictures.read import read_rgb
from gotowce_dagster.pictures.write import write_picture
from gotowce_dagster.stages import yolo_dataset
from gotowce_dagster.training import crops
from gotowce_dagster.training.crops import (
    Proposed,
    crop_count,
    crop_scene,
    crop_side,
    write_crops,
)
from gotowce_dagster.training.fly_bys import FILE
from gotowce_dagster.training.pasting import read_cutouts
from tests.training.scenes import PARAMS, scene_of
from tests.worlds import HEIGHT, WIDTH, make_world


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
    crop = crop_scene(scene_of(box), 10, 10, 64)
    assert crop.image.shape == (64, 64, 3)
    assert crop.boxes.tolist() == [list(map(float, some)) for some in kept]
    assert (crop.image.max() > 200) == is_bright


@pytest.mark.parametrize(
    ("doubtful", "bright"),
    [((50, 50, 60, 60), False), ((30, 30, 60, 60), True)],
    ids=["alone: painted over", "on a target: left"],
)
def test_what_may_be_a_target_is_not_background(doubtful: tuple, bright: bool) -> None:
    crop = crop_scene(scene_of((20, 20, 40, 36), doubtful=(doubtful,)), 0, 0, 64)
    assert len(crop.boxes) == 1
    assert (crop.image[45:, 45:].max() > 200) == bright


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
    made = write_crops(project.paths.dataset, rows, tmp_path, PARAMS, seed=1)
    columns = ["image", "split", "video", "frame_index", "kind", "x", "y", "labels", "pasted"]
    assert made.columns.tolist() == columns
    assert all(column in str(write_crops.__doc__) for column in columns)
    assert made["split"].value_counts().to_dict() == {"train": 40, "val": 16}
    for split in ("train", "val"):
        of_split = set(rows.loc[rows["split"] == split, "frame_index"].astype(int))
        assert set(made.loc[made["split"] == split, "frame_index"]) <= of_split
    val = made[made["split"] == "val"]
    assert (val["pasted"] == 0).all()
    assert made.loc[made["split"] == "train", "pasted"].sum() >= 20
    (tmp_path / "data.yaml").write_text("names: {0: hostile, 1: neutral}\n")
    for row in made.to_dict("records"):
        picture, objects = read_objects(tmp_path, row["image"])
        assert picture.shape == (64, 64, 3)
        assert len(objects) == row["labels"] + row["pasted"]
        if row["split"] == "val":
            for x1, y1, x2, y2 in objects.xyxy.round().astype(int):
                assert picture[y1 + 2 : y2 - 2, x1 + 2 : x2 - 2].max(axis=2).mean() > 150
    again = write_crops(project.paths.dataset, rows, tmp_path / "again", PARAMS, seed=1)
    assert again.equals(made)
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


def test_what_flies_by_is_shown_as_background(tmp_path: Path) -> None:
    """A third of the crops away from targets show the only fly-by of the dataset."""
    project = make_world(tmp_path / "world", {"a": ["hostile"] * 30})
    yolo_dataset.run(project, silent)
    rows = _provenance(project)
    first = rows[(rows["split"] == "train") & (rows["kind"] == "as-is")].iloc[0]
    shot = pd.DataFrame([(first["video"], first["frame_index"], 140.0, 80, 152, 88)])
    shot.to_csv(project.paths.dataset / FILE, index=False, header=["video", "frame_index", *BOX])
    away = PARAMS.model_copy(update={"px": 32, "away": 1.0})
    made = write_crops(project.paths.dataset, rows, tmp_path / "crops", away, seed=1)
    trained = made[made["split"] == "train"]
    shows = (trained["frame_index"] == first["frame_index"]) & trained["x"].between(120, 140)
    assert 6 <= (shows & trained["y"].between(56, 80)).sum() <= 24


def _draw(project: Project, rows: pd.DataFrame, box: list[int], content: np.ndarray) -> None:
    """Show something in pictures of the dataset."""
    for image in rows["image"]:
        picture = read_rgb(project.paths.dataset / image)
        picture[box[1] : box[3], box[0] : box[2]] = content
        write_picture(picture, project.paths.dataset / image, quality=95)


def test_fly_bys_are_pasted_into_crops_of_other_frames(tmp_path: Path) -> None:
    project = make_world(tmp_path / "world", {"a": ["hostile"] * 30})
    yolo_dataset.run(project, silent)
    rows = _provenance(project)
    first = rows[(rows["split"] == "train") & (rows["kind"] == "as-is")].iloc[0]
    same = rows[(rows["video"] == first["video"]) & (rows["frame_index"] == first["frame_index"])]
    _draw(project, same, [140, 80, 152, 86], np.array([0, 250, 250]))
    shot = pd.DataFrame([(first["video"], first["frame_index"], 140.0, 80, 152, 86)])
    shot.to_csv(project.paths.dataset / FILE, index=False, header=["video", "frame_index", *BOX])
    plain = PARAMS.model_copy(update={"pasted": (0, 0), "away": 0.0, "marked": 0.0, "recolour": 0.0})
    made = write_crops(project.paths.dataset, rows, tmp_path / "crops", plain, seed=1)
    others = made[(made["split"] == "train") & (made["frame_index"] != first["frame_index"])]
    shown = [read_rgb(tmp_path / "crops" / image).astype(int) for image in others["image"]]
    with_it = [((image[..., 2] - image[..., 0]) > 80).sum() >= 12 for image in shown]
    assert 0.3 <= np.mean(with_it) <= 0.9


@pytest.mark.parametrize("in_crowds", [False, True])
def test_what_stands_out_is_painted_over(
    project: Project, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, in_crowds: bool
) -> None:
    """And what is known of the frame says what does."""
    rows = _provenance(project)
    profile = str(rows["profile"].iloc[0])
    first = rows[(rows["split"] == "train") & (rows["kind"] == "as-is") & (rows["video"] == "a")].iloc[0]
    monkeypatch.setattr(crops, "in_crowds", lambda *_: {profile} if in_crowds else set())
    monkeypatch.setattr(crops, "read_fly_bys", lambda _: {("a", first["frame_index"]): np.ones((1, 4))})
    asked: list[dict[str, Any]] = []

    def everything(image: np.ndarray, *_: object, **known: Any) -> np.ndarray:
        asked.append(known)
        return np.array([[0.0, 0, image.shape[1], 20]])

    monkeypatch.setattr(crops, "standouts", everything)
    plain = PARAMS.model_copy(
        update={"pasted": (0, 0), "away": 0.0, "marked": 0.0, "standouts": 12, "px": 96, "erased": 1.0}
    )
    made = write_crops(project.paths.dataset, rows, tmp_path / "crops", plain, seed=1)
    assert {known["rare"] for known in asked} == {not in_crowds}
    assert sorted({len(known["fly_bys"]) for known in asked}) == [0, 1]
    smoother = []
    for row in made.to_dict("records"):
        recorded = rows[(rows["video"] == row["video"]) & (rows["frame_index"] == row["frame_index"])]
        image = recorded.loc[recorded["kind"] == row["kind"], "image"].iloc[0]
        before = read_rgb(project.paths.dataset / image)[:, row["x"] :][:, :96]
        after = read_rgb(tmp_path / "crops" / row["image"])
        assert np.abs(before[30:].astype(int) - after[30:]).mean() < 10, "only the coding differs"
        smoother.append(after[2:16].std() < 0.5 * before[2:16].std())
    # Not where a target is.
    assert 0.3 <= np.mean(smoother) < 1


def test_panels_of_the_hud_are_shown(
    project: Project, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A third of the crops away from targets show the only panel, in a corner."""
    hud = np.zeros((HEIGHT, WIDTH), bool)
    hud[-8:, -8:] = True
    rows = _provenance(project)
    profile = str(rows["profile"].iloc[0])
    monkeypatch.setattr(crops, "hud_panels", lambda *_: {profile: hud})
    away = PARAMS.model_copy(update={"px": 32, "away": 1.0})
    made = write_crops(project.paths.dataset, rows, tmp_path, away, seed=1)
    shows = (made["x"] > WIDTH - 40) & (made["y"] > HEIGHT - 40) & (made["split"] == "train")
    assert 6 <= shows.sum() <= 24


def test_crops_larger_than_the_frame_keep_its_scale(project: Project, tmp_path: Path) -> None:
    """Ultralytics would enlarge smaller ones, and frames are searched at their own scale."""
    wide = PARAMS.model_copy(update={"px": 128, "pasted": (0, 0), "marked": 0})
    made = write_crops(project.paths.dataset, _provenance(project), tmp_path, wide, seed=1)
    (tmp_path / "data.yaml").write_text("names: {0: hostile, 1: neutral}\n")
    sides = []
    for image in made["image"]:
        picture, objects = read_objects(tmp_path, image)
        assert picture.shape == (128, 128, 3)
        assert abs(picture[HEIGHT + 8 :].astype(int) - 114).max() <= 3
        sides += (objects.xyxy[:, 2:] - objects.xyxy[:, :2]).max(axis=1).tolist()
    assert len(sides) > 20
    assert np.median(sides) == pytest.approx(20, abs=0.1)


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
