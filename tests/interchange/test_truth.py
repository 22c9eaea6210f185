"""Ground truth from COCO and YOLO becomes the rows that a CSV would have."""

import json
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from gotowce_dagster.core.errors import InputError
from gotowce_dagster.interchange.export import export
from gotowce_dagster.interchange.truth import frame_of, read_any_truth
from tests.worlds import HEIGHT, WIDTH, make_world

VIDEO = SimpleNamespace(width=200, height=100, frames=50)
SIDES = ["x1", "y1", "x2", "y2"]


def _coco(folder: Path, **changes: object) -> Path:
    content = {
        "categories": [{"id": 7, "name": "designator"}, {"id": 9, "name": "ship"}],
        "images": [
            {"id": 1, "file_name": "duel_000012.jpg", "width": 200, "height": 100},
            {"id": 2, "file_name": "sub/frame_000013.PNG", "width": 400, "height": 200},
            {"id": 3, "file_name": "other_000014.jpg", "width": 640, "height": 480},
        ],
        "annotations": [
            {"id": 1, "image_id": 1, "category_id": 7, "bbox": [10, 20, 30, 40]},
            {"id": 2, "image_id": 1, "category_id": 9, "bbox": [15.5, 25, 10, 12.25]},
            {"id": 3, "image_id": 3, "category_id": 9, "bbox": [0, 0, 1, 1]},
        ],
    }
    path = folder / "truth.json"
    path.write_text(json.dumps(content | changes))
    return path


def _yolo(folder: Path, **files: str) -> Path:
    folder = folder / "yolo"
    (folder / "labels" / "train").mkdir(parents=True)
    (folder / "data.yaml").write_text("names: {0: ship, 1: designator}\n")
    for name, text in files.items():
        (folder / "labels" / "train" / f"{name}.txt").write_text(text)
    return folder


def test_coco(tmp_path: Path) -> None:
    rows = read_any_truth(_coco(tmp_path), "duel.mp4", VIDEO)
    assert rows["clip"].unique().tolist() == ["duel.mp4"]
    assert rows["frame_index"].tolist() == [12, 12, 13]
    assert rows["label"].tolist() == ["designator", "object", "none"]
    assert rows[SIDES].to_numpy()[:2].tolist() == [[10, 20, 40, 60], [15.5, 25, 25.5, 37.25]]
    assert "marked" not in rows.columns


def test_coco_whose_pictures_are_larger_than_the_video(tmp_path: Path) -> None:
    one = {"id": 1, "image_id": 2, "category_id": 9, "bbox": [100, 50, 20, 10]}
    rows = read_any_truth(_coco(tmp_path, annotations=[one]), "duel.mp4", VIDEO)
    assert rows.set_index("frame_index").loc[13, SIDES].tolist() == [50, 25, 60, 30]


def test_coco_with_marks_is_complete_truth(tmp_path: Path) -> None:
    boxes = [
        {"id": 1, "image_id": 1, "category_id": 9, "bbox": [1, 2, 3, 4], "attributes": {"marked": True}},
        {"id": 2, "image_id": 1, "category_id": 9, "bbox": [9, 2, 3, 4], "attributes": {"marked": "No"}},
    ]
    rows = read_any_truth(_coco(tmp_path, annotations=boxes), "duel.mp4", VIDEO)
    assert rows["label"].tolist() == ["ship", "ship", "none"]
    assert rows["marked"].tolist() == ["yes", "no", "no"]


def test_yolo(tmp_path: Path) -> None:
    folder = _yolo(
        tmp_path,
        duel_000012="1 0.1 0.2 0.1 0.2\n0 0.1 0.1 0.2 0.1 0.2 0.3\n",
        duel_000012_erased="0 0.5 0.5 0.1 0.1\n",
        duel_000013="",
        other_000001="0 0.5 0.5 0.1 0.1\n",
    )
    rows = read_any_truth(folder, "duel.mp4", VIDEO)
    assert rows["label"].tolist() == ["designator", "object", "none"]
    assert np.allclose(rows[SIDES].to_numpy(float)[:2], [[10, 10, 30, 30], [20, 10, 40, 30]])


def test_yolo_as_other_tools_write_it(tmp_path: Path) -> None:
    """Windows' line ends, a list of images, notes on the dataset, and a frame in two files."""
    folder = _yolo(tmp_path, duel_000012="1 0.1 0.2 0.1 0.2\r\n")
    (folder / "classes.txt").write_bytes(b"ship\r\ndesignator\r\n")
    (folder / "README.dataset.txt").write_text("made by hand")
    (folder / "valid.txt").write_text("images/duel_000012.jpg")
    (folder / "labels" / "val").mkdir()
    (folder / "labels" / "val" / "duel_000012.txt").write_text("0 0.5 0.5 0.1 0.1\n1 0.1 0.2 0.1 0.2\n")
    rows = read_any_truth(folder, "duel.mp4", VIDEO)
    assert rows["label"].tolist() == ["designator", "object"]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"images": [{"id": 1, "file_name": "duel_1.jpg", "width": 0, "height": 9}]}, "another shape"),
        ({"images": [{"id": 1, "file_name": "duel_1.jpg", "width": 0, "height": 0}]}, "not COCO's"),
        (
            {
                "annotations": [
                    {"id": 1, "image_id": 1, "category_id": 9, "bbox": [1, 2, 3, 4]},
                    {
                        "id": 2,
                        "image_id": 1,
                        "category_id": 9,
                        "bbox": [9, 2, 3, 4],
                        "attributes": {"marked": True},
                    },
                ]
            },
            "1 of 2 boxes have the attribute marked",
        ),
        (
            {"annotations": [{"id": 5, "image_id": 1, "category_id": 9, "bbox": [0, 0, -1, 4]}]},
            "annotation 5",
        ),
        ({"annotations": [{"id": 5, "image_id": 1, "category_id": 1, "bbox": [0, 0, 1, 4]}]}, "category"),
        ({"annotations": [{"id": 5, "image_id": 1, "category_id": 9, "bbox": [190, 0, 90, 4]}]}, "exceeds"),
        ({"annotations": [{"id": 5, "image_id": 1, "category_id": 9}]}, "not COCO's annotation format"),
        ({"images": [{"id": 1, "file_name": "duel.jpg", "width": 200, "height": 100}]}, "no frame number"),
        ({"images": [{"id": 1, "file_name": "duel_60.jpg", "width": 200, "height": 100}]}, "ends with frame"),
        ({"images": [{"id": 1, "file_name": "duel_1.jpg", "width": 50, "height": 90}]}, "another shape"),
        ({"images": [], "annotations": []}, "no image belongs to the clip"),
    ],
)
def test_bad_coco_is_named(tmp_path: Path, changes: dict, message: str) -> None:
    with pytest.raises(InputError, match=message):
        read_any_truth(_coco(tmp_path, **changes), "duel.mp4", VIDEO)


@pytest.mark.parametrize(
    "line", ["0 0.1 0.2 0.1", "5 0.1 0.2 0.1 0.1", "ship 0.1 0.2 0.1 0.1", "0 a b c d", "0 0.5 0.5 -0.1 0.1"]
)
def test_bad_yolo_is_named(tmp_path: Path, line: str) -> None:
    with pytest.raises(InputError, match=r"duel_3.txt: row 1: expected CLASS X Y"):
        read_any_truth(_yolo(tmp_path, duel_3=line), "duel.mp4", VIDEO)


@pytest.mark.parametrize(
    ("name", "index"),
    [("duel_000120", 120), ("Duel-7", 7), ("frame_000003", 3), ("42", 42), ("naev_000120", None)],
)
def test_frames_of_names(name: str, index: int | None) -> None:
    assert frame_of(name, "duel.mp4") == index


@pytest.mark.parametrize("kind", ["coco", "yolo"])
def test_an_export_is_ground_truth_of_its_video(tmp_path: Path, kind: str) -> None:
    project = make_world(tmp_path, {"a": ["hostile"] * 4, "b": ["neutral", None]})
    out = tmp_path / kind
    export(project, kind, "cleaned", out, with_masks=False)
    path = out / "annotations" / "instances_all.json" if kind == "coco" else out
    video = SimpleNamespace(width=WIDTH, height=HEIGHT, frames=100)
    rows = read_any_truth(path, "b.mp4", video)
    assert rows["frame_index"].tolist() == [0, 10]
    assert rows["label"].tolist() == ["object", "none"]
    assert np.abs(rows[SIDES].to_numpy(float)[0] - [8, 6, 28, 22]).max() < 1e-3
