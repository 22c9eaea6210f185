"""The tables passed between stages: each schema is declared once and checked on write and on read.

Frames are identified by (video, frame_index); frame_index counts from 0 in decode order of the original file.
Boxes are float pixels of the original frame; x1, y1 are inclusive, x2, y2 exclusive.
"""

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from gotowce_dagster.core.boxes import BOX, DESIGNATOR
from gotowce_dagster.core.errors import InputError
from gotowce_dagster.core.files import fresh_file
from gotowce_dagster.core.safe_names import safe_name, safe_path


def _schema(*fields: tuple[str, pa.DataType] | tuple[str, pa.DataType, bool]) -> pa.Schema:
    """Build a schema from (name, type) or (name, type, nullable); by default, fields are not nullable."""
    return pa.schema([pa.field(name, kind, bool(rest and rest[0])) for name, kind, *rest in fields])


def _nullable_int64(name: str) -> dict[bytes, bytes]:
    """Metadata that makes pandas read a nullable int64 column as Int64."""
    column = {"name": name, "field_name": name, "pandas_type": "int64", "numpy_type": "Int64"}
    pandas_metadata = {"index_columns": [], "column_indexes": [], "columns": [column | {"metadata": None}]}
    return {b"pandas": json.dumps(pandas_metadata).encode()}


_BOX = tuple((side, pa.float64()) for side in BOX)

FRAMES = _schema(
    ("frame_index", pa.int64()),
    ("time_s", pa.float64()),
    ("shot", pa.int32()),  # counts from 0; a new number after every cut
    ("sharpness", pa.float32(), True),  # variance of the Laplacian of the luma; null when not decoded
    ("phash", pa.string(), True),  # 64-bit perceptual hash as 16 hex digits
    ("kept", pa.bool_()),
    ("reason", pa.string()),  # why it was dropped; empty if kept
    ("file", pa.string()),  # name of the JPEG in the folder of the index; empty if not kept
)

# What crosses the screen too fast to be a target (video/fly_bys.py).
FLY_BYS = _schema(("frame_index", pa.int64()), *_BOX)

DETECTIONS = _schema(
    ("video", pa.string()),
    ("frame_index", pa.int64()),
    ("detection_id", pa.int32()),  # counts from 0 in each frame, most confident first
    *_BOX,
    ("confidence", pa.float32()),
    ("class_name", pa.string()),  # class of its target
    ("detector", pa.string()),
    ("prompt", pa.string()),  # the detector's prompt: a designator's name or a text
    ("visible_corners", pa.int8(), True),  # designators only: 2 to 4
    # Votes of the detectors that agreed on it (labels/consensus.py); null without a consensus.
    (
        "votes",
        pa.list_(
            pa.struct(
                [("detector", pa.string()), ("class_name", pa.string()), ("confidence", pa.float32()), *_BOX]
            )
        ),
        True,
    ),
)

MASKS = _schema(
    ("video", pa.string()),
    ("frame_index", pa.int64()),
    # Of its designator; propagated objects without a designator are numbered after the detections.
    ("detection_id", pa.int32()),
    ("object_id", pa.string()),  # `shot/number`: one object in the frames of one shot
    ("class_name", pa.string()),
    ("segmenter", pa.string()),
    # The prompt it came from: of the selected candidate, for instance "point@3"; "points" of a human;
    # "propagated" from the previous frame, "propagated back" from the next one.
    ("prompt", pa.string()),
    *((side, kind, True) for side, kind in _BOX),  # of the mask; null where the object is lost
    ("rle", pa.string(), True),  # compressed COCO RLE counts of the whole frame; null if lost
    ("height", pa.int32()),
    ("width", pa.int32()),
    ("area_px", pa.int32()),
    ("predicted_iou", pa.float32(), True),  # the model's own estimate; null if it gives none
    ("object_score", pa.float32(), True),  # video models only
    ("stability", pa.float32(), True),  # IoU of the mask under a shift of its threshold
    # Measured on the designator; null if there is none.
    ("fill", pa.float32(), True),  # mask area / designator area
    ("inside", pa.float32(), True),  # share of the mask inside the designator
    ("mark_overlap", pa.float32(), True),  # share of the mask on pixels of the designator's mark
    ("own_colour", pa.float32(), True),  # share of the mask in the colour of the designator's mark
    ("agreement", pa.float32(), True),  # mean IoU with the other candidate prompts' masks
    ("neighbours", pa.float32(), True),  # likeness in shape to the object's previous and next masks
    # Of propagated masks; null in image mode. propagation/gates.py defines them.
    ("area_change", pa.float32(), True),
    ("motion", pa.float32(), True),
    ("appearance", pa.float32(), True),
    ("calm", pa.float32(), True),
    ("detected", pa.float32(), True),  # IoU with the mask of this frame's detection, if any
    ("state", pa.string(), True),  # sure, doubtful or lost
)

# Propagated masks, before they are joined with detected masks.
PROPAGATED = pa.schema(
    [
        pa.field("detection_id", pa.int32()),  # of the frame's detection of this object, if it has one
        *(MASKS.field(name) for name in (
            "frame_index", "object_id", "class_name", "prompt", *BOX, "rle", "height",
            "width", "area_px", "predicted_iou", "object_score", "stability", "area_change", "motion",
            "appearance", "calm", "detected", "state",
        )),
    ]
)  # fmt: skip

LABELS = _schema(
    ("video", pa.string()),
    ("frame_index", pa.int64()),
    ("detection_id", pa.int32()),
    ("object_id", pa.string()),
    ("class_name", pa.string()),
    *_BOX,  # of the target
    *((side, pa.float64(), True) for side in DESIGNATOR),  # null if propagated, not marked
    ("rle", pa.string(), True),  # the target's mask, as in MASKS; null if there is none
    ("height", pa.int32()),
    ("width", pa.int32()),
    ("confidence", pa.float32(), True),  # of the detection, if any
    ("quality", pa.float32()),  # 0 to 1: the lowest score, so one low score is enough
    ("verdict", pa.string()),  # accept, review or reject
    ("reasons", pa.list_(pa.string())),  # the rules that failed, worst first
    ("scores", pa.map_(pa.string(), pa.float32())),  # the score of every rule, failed or not
)

PROVENANCE = _schema(
    ("split", pa.string()),  # train, val or test
    ("image", pa.string()),  # path below the dataset folder
    # as-is: as recorded. erased: its marks painted over. unknown: nobody knows what its targets are, for it
    # shows no mark; it is not among the images, but beside them for copy-paste and self-training.
    ("kind", pa.string()),
    ("origin", pa.string()),  # of its labels: marked, propagated, reviewed, reviewed with proposals, or none
    ("profile", pa.string()),  # of its video: those of one profile are of one game
    ("video", pa.string()),
    ("frame_index", pa.int64()),
    ("time_s", pa.float64()),
    ("phash", pa.string(), True),
    *((side, kind, True) for side, kind in _BOX),  # around all objects; null in a frame without any
    ("block", pa.int32()),  # contiguous part of the video in one split
    ("cluster", pa.int32()),  # shared by near-duplicate frames
    ("objects", pa.int32()),
    ("detection_ids", pa.list_(pa.int32())),  # the labels behind the objects
    ("segmenter", pa.string()),
    ("detector", pa.string()),
    ("reviewed", pa.bool_()),  # a human accepted or corrected it: its objects are those of the review
    ("annotator", pa.int64(), True),  # Label Studio's id of the reviewer
).with_metadata(_nullable_int64("annotator"))

TAUGHT = _schema(
    # 0: all rounds learned from it. Proposals are made anew for each round, and belong to that one.
    ("round", pa.int32()),
    ("video", pa.string()),
    ("frame_index", pa.int64()),
    ("class_name", pa.string()),
    *_BOX,
    # As in PROVENANCE; proposed: by the model of the round before; rejected: a reviewer says it is no target.
    ("origin", pa.string()),
    ("use", pa.string()),  # label, background or painted over
    ("confidence", pa.float64(), True),  # of the model that proposed it
    ("track", pa.string()),  # proposals linked through time; empty for all others
    ("held", pa.int32()),  # number of frames in which its track was found; 0 without a track
)

_NOTES = b"PANDAS_ATTRS"  # the key that pandas reads from a parquet file
_NAMES: dict[str, Callable[[str], str]] = {"video": safe_name, "file": safe_name, "image": safe_path}


def empty(schema: pa.Schema) -> pd.DataFrame:
    """An empty table with the columns of a schema."""
    return schema.empty_table().to_pandas(maps_as_pydicts="strict")


def write_table(
    rows: pd.DataFrame, schema: pa.Schema, path: Path, notes: Mapping[Any, Any] | None = None
) -> None:
    """Write rows as parquet, atomically; nullable columns may be missing.

    Args:
        notes: JSON-serializable metadata of the table; read_notes returns it.

    Raises:
        ValueError: a column is missing, unknown, of the wrong type, or null but not nullable.
    """
    metadata = {_NOTES: json.dumps(notes, sort_keys=True).encode()} if notes else {}
    table = _checked(rows, schema, path).replace_schema_metadata(
        {**(schema.metadata or {}), **metadata} or None
    )
    with fresh_file(path) as new:
        pq.write_table(table, new)


def read_table(path: Path, schema: pa.Schema) -> pd.DataFrame:
    """Read a table that write_table wrote.

    Raises:
        InputError: the file is missing or damaged, has another schema, or names a file outside its folder.
    """
    if not path.exists():
        raise InputError(f"{path}: not found; run the stage that writes it first")
    try:
        table = pq.read_table(path)
    except (pa.ArrowInvalid, OSError) as error:
        raise InputError(
            f"{path}: not a readable parquet file ({error}); remove it and run its stage again"
        ) from error
    if not table.schema.equals(schema):
        missing = sorted(set(schema.names) ^ set(table.schema.names)) or "column types"
        raise InputError(f"{path}: written by another version ({missing} differ); run its stage again")
    _check_names(table, path)
    return table.to_pandas(maps_as_pydicts="strict")


def records(rows: pd.DataFrame) -> list[dict[Any, Any]]:
    """Convert each row to a dict of Python values.

    Equals ``rows.to_dict("records")``, which takes eight times as long for the few rows of a frame.
    """
    names = rows.columns.tolist()
    return [
        {name: None if value is pd.NA else value for name, value in zip(names, values, strict=True)}
        for values in rows.to_numpy(dtype=object).tolist()
    ]


def read_notes(path: Path) -> dict[str, Any]:
    """Read the ``notes`` given to write_table, as JSON values; empty if there were none."""
    return json.loads((pq.read_schema(path).metadata or {}).get(_NOTES, "{}"))


def _check_names(table: pa.Table, path: Path) -> None:
    """Raise InputError if a column of file names contains a path out of its folder."""
    for column, check in _NAMES.items():
        for name in table[column].unique().to_pylist() if column in table.column_names else ():
            try:
                if name:  # empty: no file
                    check(name)
            except ValueError as error:
                raise InputError(f"{path}: column {column}: {error}; run its stage again") from None


def _checked(rows: pd.DataFrame, schema: pa.Schema, path: Path) -> pa.Table:
    nullable = {field.name for field in schema if field.nullable}
    if unknown := sorted((set(rows.columns) ^ set(schema.names)) - (nullable - set(rows.columns))):
        raise ValueError(f"{path}: columns missing or unknown: {unknown}")
    rows = rows.assign(**dict.fromkeys(nullable - set(rows.columns)))
    try:
        table = pa.Table.from_pandas(rows[schema.names], schema=schema, preserve_index=False)
    except (pa.ArrowInvalid, pa.ArrowTypeError, ValueError) as error:
        raise ValueError(f"{path}: {error}") from error
    return table
