"""Every export is read back by other libraries and compared number by number with the labels."""

import json
import os
import subprocess
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pandas as pd
import pytest

from gotowce_dagster.config.project import Project
from gotowce_dagster.core import rle
from gotowce_dagster.core.errors import InputError
from gotowce_dagster.core.tables import LABELS, PROVENANCE, read_table, write_table
from gotowce_dagster.interchange.export import export
from gotowce_dagster.interchange.registry import FORMATS
from gotowce_dagster.interchange.sources import Labels
from gotowce_dagster.stages import yolo_dataset
from tests.interchange import readers
from tests.worlds import HEIGHT, WIDTH, make_world

RING, PIECES, BOX_ONLY = "0/ring", "0/pieces", "0/box"


def _masks() -> dict[str, np.ndarray]:
    """A ring around a hole, and three pieces apart, one of them a single pixel at the picture's corner."""
    ring, pieces = (np.zeros((HEIGHT, WIDTH), bool) for _ in range(2))
    ring[20:44, 30:60] = True
    ring[28:36, 40:50] = False
    pieces[60:70, 100:112] = True
    pieces[75:80, 104:130] = True
    pieces[HEIGHT - 1, WIDTH - 1] = True
    return {RING: ring, PIECES: pieces}


def _rows(video: str, frame_index: int) -> list[dict]:
    usual: dict = {"video": video, "frame_index": frame_index, "height": HEIGHT, "width": WIDTH}
    usual |= {"quality": 0.5, "verdict": "accept", "reasons": [], "scores": {}, "confidence": None}
    boxes = {RING: (30.0, 20.0, 60.0, 44.0), PIECES: (100.0, 60.0, 160.0, 96.0)}
    boxes[BOX_ONLY] = (3.25, 5.5, 17.125, 19.75)
    masks = _masks()
    return [
        {
            **usual,
            "detection_id": number,
            "object_id": name,
            "class_name": "hostile" if number else "neutral",
            **dict(zip(("x1", "y1", "x2", "y2"), box, strict=True)),
            "rle": rle.encode(masks[name]) if name in masks else None,
        }
        for number, (name, box) in enumerate(boxes.items())
    ]


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Project:
    """Three videos; their first frames show a ring, an object in three pieces and one without a mask."""
    videos = {"a": ["hostile"] * 6 + [None] * 2, "b": ["neutral", None] * 4, "c": ["hostile"] * 8}
    root = tmp_path_factory.mktemp("world")
    project = make_world(root, videos, {("b", 40): "review", ("a", 30): "reject"})
    for video in videos:
        path = project.paths.labels(video)
        labels = read_table(path, LABELS)
        special = pd.DataFrame(_rows(video, 0)).reindex(columns=LABELS.names)
        rest = labels[labels["frame_index"] != 0]
        write_table(pd.concat([special, rest], ignore_index=True), LABELS, path)
    yolo_dataset.run(project, lambda done, total: None)
    return project


def _expected(project: Project, labels: str, with_masks: bool = True) -> dict[str, dict]:
    """What an export should hold, from the tables alone."""
    rows = {video: read_table(project.paths.labels(video), LABELS) for video in project.videos}
    if labels == "dataset":
        provenance = read_table(project.paths.dataset / "provenance.parquet", PROVENANCE)
        wanted = [
            (Path(row["image"]).stem, row["split"], row["video"], row["frame_index"])
            for row in provenance[provenance["kind"] != "unknown"].to_dict("records")
        ]
    else:
        wanted = [
            (f"{video}_{number * 10:06d}", "all", video, number * 10)
            for video in rows
            for number in range(8)
            if (video, number * 10) not in {("b", 40), ("a", 30)}
        ]
    expected = {}
    for stem, split, video, index in wanted:
        objects = [
            {
                "class": row["class_name"],
                "box": [row[side] for side in ("x1", "y1", "x2", "y2")],
                "mask": rle.decode(row["rle"], HEIGHT, WIDTH)
                if with_masks and isinstance(row["rle"], str)
                else None,
            }
            for row in rows[video][rows[video]["frame_index"] == index].to_dict("records")
        ]
        expected[stem] = {"split": split, "objects": objects}
    return expected


def _mask(runs: list[int]) -> np.ndarray:
    pixels = np.repeat(np.arange(len(runs)) % 2 == 1, runs)
    return np.pad(pixels, (0, HEIGHT * WIDTH - len(pixels))).reshape(WIDTH, HEIGHT).T


def _filled(mask: np.ndarray) -> np.ndarray:
    outer, _ = cv2.findContours(mask.astype(np.uint8), cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)
    return cv2.drawContours(np.zeros_like(mask, np.uint8), outer, -1, 1, cv2.FILLED).astype(bool)


_LEAST_IOU = {"filled": (1.0, 0.85), "rounded": (0.85, 0.7)}
"""Of a mask of one piece and of several: lines between far pieces have pixels, and supervision rounds
outlines where ultralytics cuts coordinates off, which adds up to a pixel on two sides."""


def _compare(found: dict, expected: dict, *, box_px: float, masks: str) -> None:
    """Compare what a library read with what the tables say.

    Args:
        masks: "exact"; "filled" or "rounded": polygons, which have no holes and join pieces by lines; or
            "none".
    """
    assert set(found) == set(expected)
    for stem, picture in expected.items():
        assert found[stem]["split"] == picture["split"], stem
        objects = found[stem]["objects"]
        assert len(objects) == len(picture["objects"]), stem
        for read, written in zip(_ordered(objects), _ordered(picture["objects"]), strict=True):
            assert read["class"] == written["class"], stem
            if read["box"] is not None:
                assert np.abs(np.subtract(read["box"], written["box"])).max() <= box_px, (
                    stem,
                    read["box"],
                    written["box"],
                )
            if masks == "none" or written["mask"] is None:
                assert masks in {"filled", "rounded"} or read["mask"] is None
                continue
            mask = _mask(read["mask"])
            if masks == "exact":
                assert (mask == written["mask"]).all(), stem
            else:
                solid = _filled(written["mask"])
                pieces = cv2.connectedComponents(written["mask"].astype(np.uint8))[0] - 1
                assert (mask & solid).sum() / (mask | solid).sum() >= _LEAST_IOU[masks][pieces > 1], stem


def _ordered(objects: list[dict]) -> list[dict]:
    """By class and position: libraries keep no order."""

    def place(one: dict) -> tuple:
        box = one["box"]
        if box is None:
            y, x = np.nonzero(_mask(one["mask"]))
            box = [x.min(), y.min()]
        return one["class"], round(box[0]), round(box[1])

    return sorted(objects, key=place)


Export = Callable[..., Path]


@pytest.fixture
def exported(world: Project, tmp_path: Path) -> Export:
    def run(kind: str, labels: Labels = "dataset", with_masks: bool = True) -> Path:
        export(world, kind, labels, tmp_path / kind, with_masks=with_masks)
        return tmp_path / kind

    return run


def _foreign(library: str, kind: str, folder: Path) -> dict:
    """Read by a library in an environment of its own, named by an environment variable."""
    variable = f"{library.upper()}_PYTHON"
    if variable not in os.environ:
        pytest.skip(f"set {variable} to a Python that has {library}; `make test-exports` does")
    out = folder.with_suffix(".json")
    command = [os.environ[variable], "-W", "ignore", readers.__file__, library, kind, str(folder), str(out)]
    clean = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    done = subprocess.run(command, capture_output=True, text=True, env=clean, check=False)
    assert done.returncode == 0, done.stderr[-2000:]
    return json.loads(out.read_text(encoding="utf-8"))


@pytest.mark.slow
@pytest.mark.parametrize("labels", ["dataset", "cleaned"])
@pytest.mark.parametrize(
    ("library", "kind", "box_px", "masks"),
    [
        ("pycocotools", "coco", 1e-9, "exact"),
        ("supervision", "coco", 1e-4, "exact"),
        ("supervision", "yolo", 0.13, "rounded"),
        ("supervision", "voc", 1e-4, "none"),
        ("ultralytics", "yolo", 0.13, "filled"),
    ],
)
def test_read_back(
    world: Project, exported: Export, library: str, kind: str, box_px: float, masks: str, labels: str
) -> None:
    folder = exported(kind, labels)
    found = json.loads(json.dumps(readers.read(library, kind, folder)))
    _compare(found, _expected(world, labels), box_px=box_px, masks=masks)


@pytest.mark.integration
@pytest.mark.parametrize(
    ("library", "kind", "box_px", "masks"),
    [
        ("datumaro", "coco", 1e-2, "exact"),
        ("datumaro", "cvat", 1e-2, "exact"),
        ("datumaro", "datumaro", 1e-2, "exact"),
        ("fiftyone", "fiftyone", 1e-9, "exact"),
    ],
)
def test_read_back_elsewhere(
    world: Project, exported: Export, library: str, kind: str, box_px: float, masks: str
) -> None:
    found = _foreign(library, kind, exported(kind))
    _compare(found, _expected(world, "dataset"), box_px=box_px, masks=masks)


@pytest.mark.integration
@pytest.mark.parametrize("kind", ["yolo", "voc"])
def test_boxes_read_back_elsewhere(world: Project, exported: Export, kind: str) -> None:
    found = _foreign("datumaro", kind, exported(kind, with_masks=False))
    _compare(found, _expected(world, "dataset", with_masks=False), box_px=1e-2, masks="none")


def test_voc_masks(world: Project, exported: Export) -> None:
    """The n-th object's pixels have the value n."""
    from PIL import Image

    folder = exported("voc", "cleaned")
    for stem, picture in _expected(world, "cleaned").items():
        masks = [one["mask"] for one in picture["objects"]]
        file = folder / "SegmentationObject" / f"{stem}.png"
        assert file.exists() == any(mask is not None for mask in masks)
        for number, mask in enumerate(masks, start=1):
            if mask is not None:
                assert ((np.asarray(Image.open(file)) == number) == mask).all()


def test_label_studio_reads_back(world: Project, exported: Export) -> None:
    from gotowce_dagster.review.regions import Size, objects

    tasks = json.loads((exported("labelstudio", "cleaned") / "tasks.json").read_text(encoding="utf-8"))
    expected = _expected(world, "cleaned")
    assert {task["data"]["image"].rsplit("/", 1)[1].removesuffix(".jpg") for task in tasks} == set(expected)
    for task in tasks:
        data = task["data"]
        read = {
            one.detection_id: one for one in objects(task["predictions"][0]["result"], Size(WIDTH, HEIGHT))
        }
        written = expected[f"{data['video']}_{data['frame_index']:06d}"]["objects"]
        assert len(read) == len(written)
        for number, other in enumerate(written):
            one = read[number]
            assert (one.class_name, one.rle is None) == (other["class"], other["mask"] is None)
            assert np.abs(np.subtract(one.box, other["box"])).max() < 1e-9
            if one.rle is not None:
                assert (rle.decode(one.rle, HEIGHT, WIDTH) == other["mask"]).all()


def test_csv_reads_back(world: Project, exported: Export) -> None:
    rows = pd.read_csv(exported("csv", "cleaned") / "objects.csv")
    for stem, picture in _expected(world, "cleaned").items():
        own = rows[rows["file"] == f"images/all/{stem}.jpg"].to_dict("records")
        assert len(own) == len(picture["objects"])
        for row, written in zip(own, picture["objects"], strict=True):
            assert [row[side] for side in ("x1", "y1", "x2", "y2")] == written["box"]
            assert row["class_name"] == written["class"]
            mask = rle.decode(row["rle"], HEIGHT, WIDTH) if isinstance(row["rle"], str) else None
            assert (mask is None) == (written["mask"] is None)
            assert mask is None or (mask == written["mask"]).all()


@pytest.mark.parametrize("kind", FORMATS)
def test_provenance_and_pictures_are_in_every_export(world: Project, exported: Export, kind: str) -> None:
    folder = exported(kind)
    listed = pd.read_csv(folder / "pictures.csv")
    assert set(listed["file"].map(lambda file: Path(file).stem)) == set(_expected(world, "dataset"))
    assert all((folder / file).is_file() for file in listed["file"])
    written = {"split", "video", "frame_index", "time_s", "kind", "origin", "reviewed"}
    assert written <= set(listed.columns)


@pytest.mark.parametrize("kind", FORMATS)
def test_pictures_are_referenced_where_the_format_can(world: Project, tmp_path: Path, kind: str) -> None:
    if not FORMATS[kind].can_reference:
        with pytest.raises(InputError, match="in its own folder"):
            export(world, kind, "cleaned", tmp_path / "out", copies=False)
        return
    export(world, kind, "cleaned", tmp_path / "out", copies=False)
    assert not list((tmp_path / "out").rglob("*.jpg"))
    assert all(Path(file).is_file() for file in pd.read_csv(tmp_path / "out" / "pictures.csv")["file"])


def test_left_out_frames_are_counted(world: Project, tmp_path: Path) -> None:
    done = export(world, "csv", "cleaned", tmp_path / "out")
    assert done.left_out == {"doubtful": 2}
    assert (done.pictures, done.by_split) == (22, {"all": 22})


def test_without_masks(world: Project, exported: Export) -> None:
    found = json.loads(json.dumps(readers.read("pycocotools", "coco", exported("coco", with_masks=False))))
    _compare(found, _expected(world, "dataset", with_masks=False), box_px=1e-9, masks="none")
    yolo = json.loads(json.dumps(readers.read("supervision", "yolo", exported("yolo", with_masks=False))))
    _compare(yolo, _expected(world, "dataset", with_masks=False), box_px=1e-3, masks="none")


def test_nothing_reviewed_is_an_error_and_leaves_nothing(world: Project, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="nothing to export of the reviewed labels: 24 not reviewed"):
        export(world, "coco", "reviewed", tmp_path / "out")
    assert not list(tmp_path.iterdir())


def test_a_folder_of_something_else_is_not_replaced(world: Project, tmp_path: Path) -> None:
    (tmp_path / "thesis.tex").write_text("mine")
    with pytest.raises(InputError, match="not the folder of an earlier export"):
        export(world, "csv", "cleaned", tmp_path)
    assert (tmp_path / "thesis.tex").exists()


def test_a_failed_export_leaves_the_earlier_one(
    world: Project, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = tmp_path / "out"
    export(world, "coco", "cleaned", out)
    before = sorted(path.name for path in out.rglob("*"))

    def fail(*_: object) -> None:
        raise OSError("no space")

    monkeypatch.setattr("gotowce_dagster.interchange.export.shutil.copyfile", fail)
    with pytest.raises(OSError, match="no space"):
        export(world, "yolo", "cleaned", out)
    assert sorted(path.name for path in out.rglob("*")) == before
    assert [path.name for path in tmp_path.iterdir()] == ["out"]


def test_a_dataset_older_than_its_labels_is_refused(tmp_path: Path) -> None:
    project = make_world(tmp_path, {video: ["hostile"] * 8 for video in "abc"})
    yolo_dataset.run(project, lambda done, total: None)
    path = project.paths.labels("a")
    labels = read_table(path, LABELS)
    write_table(labels[labels["frame_index"] > 40], LABELS, path)
    with pytest.raises(InputError, match="run yolo_dataset again"):
        export(project, "csv", "dataset", tmp_path / "out")
    assert not (tmp_path / "out").exists()
