from pathlib import Path

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from gotowce_dagster.core.errors import InputError
from gotowce_dagster.core.tables import (
    DETECTIONS,
    FRAMES,
    LABELS,
    PROVENANCE,
    empty,
    read_table,
    records,
    write_table,
)

DETECTION = {
    "video": "duel",
    "frame_index": 62,
    "detection_id": 0,
    "x1": 647.0,
    "y1": 178.0,
    "x2": 690.5,
    "y2": 221.0,
    "confidence": 0.5,  # exact as float32
    "class_name": "ship",
    "detector": "bracket",
    "prompt": "hostile",
    "visible_corners": 4,
    "votes": None,
}
LABEL = {
    "video": "duel",
    "frame_index": 62,
    "detection_id": 0,
    "object_id": "0/1",
    "class_name": "ship",
    **dict.fromkeys(("x1", "y1", "designator_x1", "designator_y1"), 1.0),
    **dict.fromkeys(("x2", "y2", "designator_x2", "designator_y2"), 9.0),
    "rle": None,
    "height": 720,
    "width": 1280,
    "confidence": 0.5,  # exact as float32
    "quality": 0.25,
    "verdict": "reject",
    "reasons": ["no_mask", "blur"],
    "scores": {"no_mask": 0.0, "blur": 0.25},
}


FRAME = {
    "frame_index": 0, "time_s": 0.0, "shot": 0, "sharpness": None, "phash": None, "kept": True, "reason": "",
    "file": "000000.jpg",
}  # fmt: skip
ROW = {
    "split": "train", "image": "images/train/duel_000000.jpg", "kind": "as-is", "origin": "none",
    "profile": "none", "video": "duel", "frame_index": 0,
    "time_s": 0.0, "phash": None, "x1": None, "y1": None, "x2": None, "y2": None, "block": 0, "cluster": 0,
    "objects": 0, "detection_ids": [], "segmenter": "", "detector": "", "reviewed": False, "annotator": None,
}  # fmt: skip


@pytest.mark.parametrize(
    ("row", "schema"), [(DETECTION, DETECTIONS), (LABEL, LABELS)], ids=["detection", "label"]
)
def test_rows_round_trip(tmp_path: Path, row: dict, schema: pa.Schema) -> None:
    path = tmp_path / "rows.parquet"
    write_table(pd.DataFrame([row]), schema, path)
    back = read_table(path, schema).iloc[0].to_dict()
    read = {name: list(value) if name == "reasons" else value for name, value in back.items()}
    assert {name: None if value is None or value != value else value for name, value in read.items()} == row


@pytest.mark.parametrize(
    "rows",
    [
        pd.DataFrame([DETECTION]),
        pd.DataFrame([LABEL, LABEL | {"rle": "abc", "confidence": None}], index=[5, 3]),
        empty(LABELS),
        pd.DataFrame({"n": pd.array([1, None], "Int64"), "yes": [True, False], "x": [0.5, float("nan")]}),
        pd.DataFrame(index=[0, 1]),
    ],
    ids=["one", "with nulls", "none", "nullable", "no columns"],
)
def test_records_are_those_of_pandas(rows: pd.DataFrame) -> None:
    found = records(rows)
    assert repr(found) == repr(rows.to_dict("records"))
    assert [type(value) for row in found for value in row.values()] == [
        type(value) for row in rows.to_dict("records") for value in row.values()
    ]


def test_empty_table_round_trips(tmp_path: Path) -> None:
    path = tmp_path / "none.parquet"
    write_table(empty(LABELS), LABELS, path)
    assert list(read_table(path, LABELS).columns) == LABELS.names


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"confidence": "high"}, "confidence"),
        ({"extra": 1}, "extra"),
        ({"class_name": None}, "class_name.* 1 null value"),
        ({"frame_index": 1.5}, "truncated"),
    ],
    ids=["wrong type", "unknown column", "null where none may be", "fraction where a whole number is due"],
)
def test_wrong_rows_are_refused_and_nothing_is_written(tmp_path: Path, change: dict, message: str) -> None:
    path = tmp_path / "rows.parquet"
    with pytest.raises(ValueError, match=message):
        write_table(pd.DataFrame([DETECTION | change]), DETECTIONS, path)
    assert list(tmp_path.iterdir()) == []


def test_unreadable_files_are_refused_with_the_reason(tmp_path: Path) -> None:
    path = tmp_path / "rows.parquet"
    with pytest.raises(InputError, match="not found"):
        read_table(path, DETECTIONS)
    path.write_bytes(b"PAR1 cut short")
    with pytest.raises(InputError, match="not a readable parquet"):
        read_table(path, DETECTIONS)
    pq.write_table(pa.table({"video": ["duel"]}), path)
    with pytest.raises(InputError, match="another version"):
        read_table(path, DETECTIONS)


@pytest.mark.parametrize(
    ("schema", "row", "message"),
    [
        (DETECTIONS, DETECTION | {"video": "../duel"}, "column video: '../duel' is a path"),
        (LABELS, LABEL | {"video": ".."}, "column video: '..' begins with a dot"),
        (FRAMES, FRAME | {"file": "../../secret.jpg"}, "column file: '../../secret.jpg' is a path"),
        (FRAMES, FRAME | {"file": "/etc/passwd"}, "column file: '/etc/passwd' is a path"),
        (PROVENANCE, ROW | {"image": "images/train/../../../x.jpg"}, "column image: '..' begins with a dot"),
        (PROVENANCE, ROW | {"image": "/etc/passwd"}, "column image: '/etc/passwd' is absolute"),
    ],
    ids=["video above", "video dots", "picture above", "absolute picture", "image above", "absolute image"],
)
def test_path_outside_the_folder_is_refused(
    tmp_path: Path, schema: pa.Schema, row: dict, message: str
) -> None:
    path = tmp_path / "rows.parquet"
    write_table(pd.DataFrame([row]), schema, path)
    with pytest.raises(InputError) as error:
        read_table(path, schema)
    assert str(error.value).startswith(f"{path}: {message}")
