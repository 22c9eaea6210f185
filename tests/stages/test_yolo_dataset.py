import hashlib
import os
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import yaml

from gotowce_dagster.config.project import Project
from gotowce_dagster.core.errors import InputError
from gotowce_dagster.core.progress import silent
from gotowce_dagster.core.tables import DETECTIONS, PROVENANCE, read_table, write_table
from gotowce_dagster.evaluation import summary
from gotowce_dagster.labels.export import read_objects
from gotowce_dagster.previews.table import preview_of
from gotowce_dagster.stages import yolo_dataset
from tests.worlds import box_at, make_world

SHOWN = ["hostile"] * 30 + [None] * 12 + ["hostile"] * 18


def _digests(folder: Path) -> dict[str, str]:
    return {
        str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Project:
    made = make_world(
        tmp_path_factory.mktemp("world"),
        {"a": SHOWN, "b": ["neutral"] * 40, "nothing": [None] * 10},
        verdicts={("a", 50): "review", ("b", 70): "reject"},
    )
    yolo_dataset.run(made, silent)
    return made


def test_every_image_has_its_label_and_its_origin(project: Project) -> None:
    folder = project.paths.dataset
    rows = read_table(folder / "provenance.parquet", PROVENANCE)
    images = {str(path.relative_to(folder)) for path in folder.glob("images/*/*.jpg")}
    assert set(rows["image"]) == images
    assert len(list(folder.glob("labels/*/*.txt"))) == len(images)
    for row in rows.to_dict("records"):
        _, objects = read_objects(folder, row["image"])
        assert len(objects) == row["objects"] == len(row["detection_ids"])
        assert Path(row["image"]).name == f"{row['video']}_{row['frame_index']:06d}.jpg"
        if row["objects"]:
            assert np.abs(objects.xyxy[0] - box_at(row["frame_index"] // 10)).max() < 1e-3
            assert (row["detector"], row["segmenter"]) == ("bracket", "grabcut")
            assert objects.data["class_name"][0] == ("hostile" if row["video"] == "a" else "neutral")


def test_doubtful_frames_are_left_out_not_taken_for_empty(project: Project) -> None:
    rows = read_table(project.paths.dataset / "provenance.parquet", PROVENANCE)
    used = set(zip(rows["video"], rows["frame_index"], strict=True))
    assert not used & {("a", 50), ("b", 70)}
    empty = rows[rows["objects"] == 0]
    assert {(v, i // 10) for v, i in zip(empty["video"], empty["frame_index"], strict=True)} <= {
        *(("a", number) for number in range(30, 42)),
        *(("nothing", number) for number in range(10)),
    }
    assert empty["video"].nunique() == 2
    left = pd.read_csv(project.paths.dataset / "left_out.csv")
    assert left.loc[left["reason"] == "doubtful", "frames"].sum() == 2


def test_a_frame_without_an_answer_is_not_an_empty_one(tmp_path: Path) -> None:
    without = {"a": [20, 330], "b": []}
    made = make_world(tmp_path, {"a": SHOWN, "b": ["neutral"] * 40}, yolo_dataset={"negative_share": 0.5})
    for video, frames in without.items():
        path = made.paths.detections(video)
        notes = {"unanswered": {index: {"eye": "refused"} for index in frames}}
        write_table(read_table(path, DETECTIONS), DETECTIONS, path, notes)
    yolo_dataset.run(made, silent)
    rows = read_table(made.paths.dataset / "provenance.parquet", PROVENANCE)
    used = set(zip(rows["video"], rows["frame_index"], strict=True))
    assert not used & {("a", 20), ("a", 330)}, "neither half labelled nor taken for empty"
    assert used & {("a", 310), ("a", 320), ("a", 340), ("a", 350)}, "there are others without objects"
    left = pd.read_csv(made.paths.dataset / "left_out.csv")
    assert left.loc[left["reason"] == "unanswered", ["video", "frames"]].to_numpy().tolist() == [["a", 2]]
    assert preview_of(made, "yolo_dataset", None).numbers["left_out_unanswered"] == 2


def test_ultralytics_reads_it_from_anywhere(
    project: Project, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    data = yaml.safe_load((project.paths.dataset / "data.yaml").read_text())
    assert not any(Path(data[split]).is_absolute() for split in ("train", "val", "test"))
    assert data["names"] == {0: "hostile", 1: "neutral"}
    from ultralytics.data.utils import check_det_dataset

    found = check_det_dataset(str(project.paths.dataset / "data.yaml"))
    assert Path(found["train"]).samefile(project.paths.dataset / "images" / "train")


def test_again_gives_the_same_bytes_and_frames_stay(project: Project) -> None:
    before, frames = _digests(project.paths.dataset), _digests(project.paths.data / "frames")
    yolo_dataset.run(project, silent)
    assert _digests(project.paths.dataset) == before
    assert _digests(project.paths.data / "frames") == frames


def test_images_are_links_where_possible(project: Project) -> None:
    rows = read_table(project.paths.dataset / "provenance.parquet", PROVENANCE)
    row = rows.iloc[0]
    frame = project.paths.frames(row["video"]) / f"{row['frame_index']:06d}.jpg"
    assert (project.paths.dataset / row["image"]).samefile(frame)


def test_copies_where_links_are_not_possible(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        raise OSError("no links here")

    monkeypatch.setattr(os, "link", refuse)
    made = make_world(tmp_path, {"a": ["hostile"] * 40})
    yolo_dataset.run(made, silent)
    assert list(made.paths.dataset.glob("images/train/*.jpg"))


def test_preview(project: Project) -> None:
    preview = preview_of(project, "yolo_dataset", None)
    rows = read_table(project.paths.dataset / "provenance.parquet", PROVENANCE)
    assert sum(int(preview.numbers[f"{split}_images"]) for split in ("train", "val", "test")) == len(rows)
    assert preview.numbers["left_out_doubtful"] == 2
    assert preview.picture is not None
    assert [note.partition(".")[0] for note in preview.notes] == ["the dataset contains no object of nothing"]


def test_too_few_objects_are_noted(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(summary, "FEW_OBJECTS", 1000)
    preview = preview_of(project, "yolo_dataset", None)
    objects = preview.numbers["train_objects"]
    assert any(f"only {objects} labelled object(s) to train on" in note for note in preview.notes)


def test_a_class_not_shown_in_a_split_is_noted(tmp_path: Path) -> None:
    made = make_world(tmp_path, {"a": ["hostile"] * 45 + ["neutral"] * 3 + ["hostile"] * 12})
    yolo_dataset.run(made, silent)
    notes = preview_of(made, "yolo_dataset", None).notes
    assert notes
    assert all("neutral" in note for note in notes)


def test_a_failed_run_leaves_the_old_dataset(tmp_path: Path) -> None:
    made = make_world(tmp_path, {"a": ["hostile"] * 40})
    yolo_dataset.run(made, silent)
    before = _digests(made.paths.dataset)
    worse = make_world(tmp_path, {"a": ["hostile"] * 2})
    with pytest.raises(InputError, match="no leak-free split"):
        yolo_dataset.run(worse, silent)
    assert _digests(made.paths.dataset) == before
    assert not [path for path in made.paths.data.iterdir() if path.name.endswith(".new")]


def test_polygons(tmp_path: Path) -> None:
    made = make_world(tmp_path, {"a": ["hostile"] * 40}, yolo_dataset={"polygons": True})
    yolo_dataset.run(made, silent)
    text = next(iter(sorted(made.paths.dataset.glob("labels/train/*.txt")))).read_text()
    assert len(text.splitlines()) == 1
    assert len(text.split()) == 1 + 8


def test_a_damaged_picture_is_not_taken_for_empty(tmp_path: Path) -> None:
    made = make_world(tmp_path, {"a": ["hostile"] * 40 + [None] * 4})
    picture = made.paths.frames("a") / "000400.jpg"
    picture.write_bytes(picture.read_bytes()[:-200])
    (made.paths.frames("a") / "000410.jpg").unlink()
    yolo_dataset.run(made, silent)
    rows = read_table(made.paths.dataset / "provenance.parquet", PROVENANCE)
    assert not set(rows["frame_index"]) & {400, 410}
    assert preview_of(made, "yolo_dataset", None).numbers["left_out_damaged"] == 2


def test_a_video_without_labels_is_left_out_and_reported(tmp_path: Path) -> None:
    made = make_world(tmp_path, {"a": ["hostile"] * 40, "b": ["hostile"] * 40})
    made.paths.labels("b").unlink()
    yolo_dataset.run(made, silent)
    assert set(read_table(made.paths.dataset / "provenance.parquet", PROVENANCE)["video"]) == {"a"}
    assert "b has no labels yet" in preview_of(made, "yolo_dataset", None).notes[0]
    made.paths.labels("a").unlink()
    with pytest.raises(InputError, match="no video has labels yet"):
        yolo_dataset.run(made, silent)
