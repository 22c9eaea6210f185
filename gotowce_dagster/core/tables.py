"""The tables that pass between stages: each schema declared once, checked on write and on read.

Frames are named by (video, frame_index), frame_index counting from 0 in decode order of the original
file. Boxes are float pixels of the original frame, x1, y1 inclusive, x2, y2 exclusive.
"""

import json
from collections.abc import Callable, Collection, Mapping
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from gotowce_dagster.core.csv_rows import read_rows, refuse, to_numbers
from gotowce_dagster.core.errors import InputError
from gotowce_dagster.core.files import fresh_file
from gotowce_dagster.core.safe_names import safe_name, safe_path


def _schema(*fields: tuple[str, pa.DataType] | tuple[str, pa.DataType, bool]) -> pa.Schema:
    """Fields as (name, type) or (name, type, nullable); nothing is nullable unless it says so."""
    return pa.schema([pa.field(name, kind, bool(rest and rest[0])) for name, kind, *rest in fields])


def _whole_numbers(name: str) -> dict[bytes, bytes]:
    """Notes by which pandas reads an int64 column as whole numbers also where some are null."""
    column = {"name": name, "field_name": name, "pandas_type": "int64", "numpy_type": "Int64"}
    told = {"index_columns": [], "column_indexes": [], "columns": [column | {"metadata": None}]}
    return {b"pandas": json.dumps(told).encode()}


_BOX = tuple((side, pa.float64()) for side in ("x1", "y1", "x2", "y2"))

FRAMES = _schema(
    ("frame_index", pa.int64()),
    ("time_s", pa.float64()),
    ("shot", pa.int32()),  # counts from 0; a new number after every cut
    ("sharpness", pa.float32(), True),  # variance of the Laplacian of the luma; null when not decoded
    ("phash", pa.string(), True),  # 64-bit perceptual hash as 16 hex digits
    ("kept", pa.bool_()),
    ("reason", pa.string()),  # why it was not kept; empty when it was
    ("file", pa.string()),  # name of the JPEG beside the index; empty when not kept
)

DETECTIONS = _schema(
    ("video", pa.string()),
    ("frame_index", pa.int64()),
    ("detection_id", pa.int32()),  # counts from 0 inside a frame, most confident first
    *_BOX,
    ("confidence", pa.float32()),
    ("class_name", pa.string()),  # the class its target gets
    ("detector", pa.string()),
    ("prompt", pa.string()),  # what the detector was asked for: a designator's name or a text
    ("visible_corners", pa.int8(), True),  # designators only: 2 to 4
    # Who said what, of several detectors that agreed on it (labels/consensus.py); null: nobody was asked.
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
    # Of its designator; an object carried into a frame where it has none continues the frame's count.
    ("detection_id", pa.int32()),
    ("object_id", pa.string()),  # `shot/number`: one object through the frames of one shot
    ("class_name", pa.string()),
    ("segmenter", pa.string()),
    # Which prompt gave it: the candidate that won, for instance "point@3"; "points" of a human; "carried"
    # from the frame before or "carried back" from the one after.
    ("prompt", pa.string()),
    *((side, kind, True) for side, kind in _BOX),  # of the mask; null where the object is lost
    ("rle", pa.string(), True),  # COCO RLE counts, compressed, of the whole frame; null where it is lost
    ("height", pa.int32()),
    ("width", pa.int32()),
    ("area_px", pa.int32()),
    ("predicted_iou", pa.float32(), True),  # the model's own guess; null where it makes none
    ("object_score", pa.float32(), True),  # video models only
    ("stability", pa.float32(), True),  # IoU of the mask under a shift of its threshold
    # Measured on the designator; null where there is none.
    ("fill", pa.float32(), True),  # mask area / designator area
    ("inside", pa.float32(), True),  # share of the mask inside the designator
    ("mark_overlap", pa.float32(), True),  # share of the mask on pixels of the designator's mark
    ("own_colour", pa.float32(), True),  # share of the mask in the colour of the designator's mark
    ("agreement", pa.float32(), True),  # mean IoU with the other candidate prompts' masks
    ("neighbours", pa.float32(), True),  # likeness in shape to the object's masks just before and after
    # Of masks carried through a video; null in image mode (propagation/gates.py tells what they mean).
    ("area_change", pa.float32(), True),
    ("motion", pa.float32(), True),
    ("appearance", pa.float32(), True),
    ("calm", pa.float32(), True),
    ("detected", pa.float32(), True),  # IoU with the mask of this frame's detection, where there is one
    ("state", pa.string(), True),  # sure, doubtful or lost
)

# Masks carried through a video, before they are joined with those of the detections.
CARRIED = pa.schema(
    [
        pa.field("detection_id", pa.int32()),  # of the frame's detection of this object, if it has one
        *(MASKS.field(name) for name in (
            "frame_index", "object_id", "class_name", "prompt", "x1", "y1", "x2", "y2", "rle", "height",
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
    *((f"designator_{side}", kind, True) for side, kind in _BOX),  # null where it was carried, not marked
    ("rle", pa.string(), True),  # the target's mask, as in MASKS; null where there is none
    ("height", pa.int32()),
    ("width", pa.int32()),
    ("confidence", pa.float32(), True),  # of the detection, where there is one
    ("quality", pa.float32()),  # 0 to 1: the weakest of the scores, so one bad score is enough
    ("verdict", pa.string()),  # accept, review or reject
    ("reasons", pa.list_(pa.string())),  # the rules that failed, worst first
    ("scores", pa.map_(pa.string(), pa.float32())),  # every rule's score, failed or not
)

PROVENANCE = _schema(
    ("split", pa.string()),  # train, val or test
    ("image", pa.string()),  # path below the dataset folder
    ("video", pa.string()),
    ("frame_index", pa.int64()),
    ("time_s", pa.float64()),
    ("phash", pa.string(), True),
    *((side, kind, True) for side, kind in _BOX),  # around all objects; null in a frame without any
    ("block", pa.int32()),  # contiguous stretch of the video that went to one split
    ("cluster", pa.int32()),  # near-duplicate frames share one
    ("objects", pa.int32()),
    ("detection_ids", pa.list_(pa.int32())),  # the labels behind the objects
    ("segmenter", pa.string()),
    ("detector", pa.string()),
    ("reviewed", pa.bool_()),  # a human accepted or mended it: its objects are what the human left
    ("annotator", pa.int64(), True),  # who; Label Studio's number of the person
).with_metadata(_whole_numbers("annotator"))

_NOTES = b"PANDAS_ATTRS"  # the key that pandas looks for in a parquet file
HAND_PX = 2.0
"""How far a box that a hand drew may lie beyond the picture's edge."""
_MOST, _WIDEST = 2**31 - 1, 2.0**16
_NAMES: dict[str, Callable[[str], str]] = {"video": safe_name, "file": safe_name, "image": safe_path}
TRUTH_LABELS = ("designator", "designator_partial", "object", "none")
_TRUTH_COLUMNS = ["clip", "frame_index", "x1", "y1", "x2", "y2", "label"]


def empty(schema: pa.Schema) -> pd.DataFrame:
    """A table with the right columns and no rows."""
    return schema.empty_table().to_pandas(maps_as_pydicts="strict")


def write_table(
    rows: pd.DataFrame, schema: pa.Schema, path: Path, notes: Mapping[Any, Any] | None = None
) -> None:
    """Write rows as parquet, whole or not at all; columns that may be null may be left out.

    Args:
        notes: what no row can tell, as JSON holds it; read_notes gives it back.

    Raises:
        ValueError: a column is missing, unknown, of the wrong type, or null where it must not be.
    """
    told = {_NOTES: json.dumps(notes, sort_keys=True).encode()} if notes else {}
    table = _checked(rows, schema, path).replace_schema_metadata({**(schema.metadata or {}), **told} or None)
    with fresh_file(path) as new:
        pq.write_table(table, new)


def read_table(path: Path, schema: pa.Schema) -> pd.DataFrame:
    """Read what write_table wrote.

    Raises:
        InputError: the file is missing, damaged, was written with another schema, or names a file outside
            its folder.
    """
    if not path.exists():
        raise InputError(f"{path}: not there; run the stage that makes it first")
    try:
        table = pq.read_table(path)
    except (pa.ArrowInvalid, OSError) as error:
        raise InputError(
            f"{path}: not a readable parquet file ({error}); remove it and run its stage again"
        ) from error
    if not table.schema.equals(schema):
        missing = sorted(set(schema.names) ^ set(table.schema.names)) or "column types"
        raise InputError(f"{path}: made by another version ({missing} differ); run its stage again")
    _check_names(table, path)
    return table.to_pandas(maps_as_pydicts="strict")


def read_notes(path: Path) -> dict[str, Any]:
    """What was given to write_table as ``notes``, as JSON holds it; empty if nothing was."""
    return json.loads((pq.read_schema(path).metadata or {}).get(_NOTES, "{}"))


class Extent(Protocol):
    """How far a video reaches; video.decode.VideoInfo is one."""

    @property
    def width(self) -> int: ...
    @property
    def height(self) -> int: ...
    @property
    def frames(self) -> int: ...


def read_truth(path: Path, video: Extent | None = None, clips: Collection[str] = ()) -> pd.DataFrame:
    """Hand-checked boxes: clip, frame_index, x1, y1, x2, y2 (pixels, exclusive end), label.

    A row with the label ``none`` has no box and says that the frame shows no designator.

    Args:
        video: what rows are checked against, if it is known.
        clips: names under which the file speaks of that video; without any, all rows do.

    Returns:
        The rows, indexed by their line in the file.

    Raises:
        InputError: naming the file and the first bad row.
    """
    rows = read_rows(path, _TRUTH_COLUMNS, others=True)
    numbers = to_numbers(rows, _TRUTH_COLUMNS[1:-1])
    frame, boxed = numbers["frame_index"], rows["label"] != "none"
    x1, y1, x2, y2 = (numbers[side] for side in ("x1", "y1", "x2", "y2"))
    problems = {
        f"label must be one of {', '.join(TRUTH_LABELS)}": ~rows["label"].isin(TRUTH_LABELS),
        "frame_index must be a whole number from 0": ~(frame.between(0, _MOST) & (frame % 1).eq(0)),
        "a box needs x1 < x2 and y1 < y2, all finite numbers": boxed & ~((x1 < x2) & (y1 < y2)),
        "a box lies within a picture, in pixels from 0": boxed
        & ~numbers[["x1", "y1", "x2", "y2"]].abs().le(_WIDEST).all(axis=1),
    }
    if video is not None:
        own = rows["clip"].isin(list(clips)) if clips else pd.Series(True, rows.index)
        boxed = boxed & own
        # One that the screen's edge cuts may be drawn whole; the others are off by a hand's width at most.
        hand = np.where(rows["label"] == "designator_partial", np.inf, HAND_PX)
        beyond = (x1 < -hand) | (y1 < -hand) | (x2 > video.width + hand) | (y2 > video.height + hand)
        beyond |= (x2 <= 0) | (y2 <= 0) | (x1 >= video.width) | (y1 >= video.height)
        size = f"{video.width} x {video.height}"
        problems |= {
            f"the video ends with frame {video.frames - 1}": own & frame.ge(video.frames),
            f"the box leaves the picture of {size} pixels; was it drawn on another size?": boxed & beyond,
        }
    refuse(path, problems)
    return rows.assign(**numbers).astype({"frame_index": "int64"})


def _check_names(table: pa.Table, path: Path) -> None:
    """Raises: InputError: a column of names that become paths holds one that leads out of its folder."""
    for column, check in _NAMES.items():
        for name in table[column].unique().to_pylist() if column in table.column_names else ():
            try:
                if name:  # empty: there is no file
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
