from pathlib import Path

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from gotowce_dagster.errors import InputError
from gotowce_dagster.tables import (
    DETECTIONS,
    LABELS,
    empty,
    read_table,
    read_truth,
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


@pytest.mark.parametrize(
    ("row", "schema"), [(DETECTION, DETECTIONS), (LABEL, LABELS)], ids=["detection", "label"]
)
def test_rows_survive_writing_and_reading(tmp_path: Path, row: dict, schema: pa.Schema) -> None:
    path = tmp_path / "rows.parquet"
    write_table(pd.DataFrame([row]), schema, path)
    back = read_table(path, schema).iloc[0].to_dict()
    read = {name: list(value) if name == "reasons" else value for name, value in back.items()}
    assert {name: None if value is None or value != value else value for name, value in read.items()} == row


def test_empty_table_survives(tmp_path: Path) -> None:
    path = tmp_path / "none.parquet"
    write_table(empty(LABELS), LABELS, path)
    assert list(read_table(path, LABELS).columns) == LABELS.names


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"confidence": "high"}, "confidence"),
        ({"extra": 1}, "extra"),
        ({"class_name": None}, "class_name.* 1 null value"),
        ({"frame_index": 1.5}, "truncated"),
    ],
    ids=["wrong type", "unknown column", "null where none may be", "fraction where a whole number is due"],
)
def test_wrong_rows_are_refused_and_nothing_is_written(tmp_path: Path, change: dict, says: str) -> None:
    path = tmp_path / "rows.parquet"
    with pytest.raises(ValueError, match=says):
        write_table(pd.DataFrame([DETECTION | change]), DETECTIONS, path)
    assert list(tmp_path.iterdir()) == []


def test_reading_says_what_is_wrong_with_a_file(tmp_path: Path) -> None:
    path = tmp_path / "rows.parquet"
    with pytest.raises(InputError, match="not there"):
        read_table(path, DETECTIONS)
    path.write_bytes(b"PAR1 cut short")
    with pytest.raises(InputError, match="not a readable parquet"):
        read_table(path, DETECTIONS)
    pq.write_table(pa.table({"video": ["duel"]}), path)
    with pytest.raises(InputError, match="another version"):
        read_table(path, DETECTIONS)


HEADER = "clip,frame_index,x1,y1,x2,y2,label\n"


@pytest.mark.parametrize(
    ("rows", "says"),
    [
        ("a.mp4,5,1,2,3,4,thing\n", "row 2: label must be one of"),
        ("a.mp4,5,1,2,3,4,object\na.mp4,-1,1,2,3,4,object\n", "row 3: frame_index"),
        ("a.mp4,5,3,2,3,4,object\n", "row 2: a box needs x1 < x2"),
        ("a.mp4,5,,,,,object\n", "row 2: a box needs x1 < x2"),
        ("a.mp4,5,one,2,3,4,object\n", "row 2: a box needs x1 < x2"),
    ],
    ids=["unknown label", "negative frame", "no width", "box missing", "text for a number"],
)
def test_bad_truth_names_the_row(tmp_path: Path, rows: str, says: str) -> None:
    path = tmp_path / "truth.csv"
    path.write_text(HEADER + rows)
    with pytest.raises(InputError, match=says):
        read_truth(path)


def test_truth_lacking_a_column_is_named(tmp_path: Path) -> None:
    path = tmp_path / "truth.csv"
    path.write_text("clip,frame_index\na.mp4,1\n")
    with pytest.raises(InputError, match="x1, y1, x2, y2, label"):
        read_truth(path)


def test_truth_is_read_with_negatives(tmp_path: Path) -> None:
    path = tmp_path / "truth.csv"
    path.write_text(HEADER + "a.mp4,5,1,2,3.5,4,object\na.mp4,9,,,,,none\n")
    rows = read_truth(path)
    assert rows["frame_index"].tolist() == [5, 9]
    assert rows["x2"].tolist()[0] == 3.5
    assert rows["x2"].isna().tolist() == [False, True]
