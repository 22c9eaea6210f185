"""The tables passed between stages: each schema is declared once and checked on write and on read.

Frames are identified by (video, frame_index); frame_index counts from 0 in decode order of the original file.
Boxes are float pixels of the original frame; x1, y1 are inclusive, x2, y2 exclusive.
"""

import json
from collections.abc import Callable, Collection, Mapping
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from gotowce_dagster.core.boxes import BOX, DESIGNATOR
from gotowce_dagster.core.csv_rows import read_header, read_rows, refuse, to_numbers
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
HAND_PX = 2.0
"""Tolerance in pixels of a hand-drawn box beyond the edge of the image."""
_MOST, _WIDEST = 2**31 - 1, 2.0**16
_NAMES: dict[str, Callable[[str], str]] = {"video": safe_name, "file": safe_name, "image": safe_path}
TRUTH_LABELS = ("designator", "designator_partial", "object", "target", "none")
COMPLETE_IGNORED = ("other", "unsure")
_TRUTH_COLUMNS = ["clip", "frame_index", *BOX, "label"]


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


class Extent(Protocol):
    """The size and length of a video, for example a video.decode.VideoInfo."""

    @property
    def width(self) -> int: ...
    @property
    def height(self) -> int: ...
    @property
    def frames(self) -> int: ...


def read_truth(path: Path, video: Extent | None = None, clips: Collection[str] = ()) -> pd.DataFrame:
    """Read ground truth boxes: clip, frame_index, x1, y1, x2, y2 (pixels, exclusive end), label.

    A row with the label ``none`` has no box and marks a frame without a designator.

    Args:
        video: the video to validate rows against, if known.
        clips: names of that video in the column clip; without any, all rows belong to it.

    Returns:
        The rows, indexed by their line in the file.

    Raises:
        InputError: naming the file and the first bad row.
    """
    return check_truth(path, read_rows(path, _TRUTH_COLUMNS, others=True), video, clips)


def check_truth(
    path: Path, rows: pd.DataFrame, video: Extent | None = None, clips: Collection[str] = ()
) -> pd.DataFrame:
    """Check the rows of ground truth that were read from a file, as text; see read_truth.

    Raises:
        InputError: naming the file and the first bad row.
    """
    labels = {f"label must be one of {', '.join(TRUTH_LABELS)}": ~rows["label"].isin(TRUTH_LABELS)}
    return _check_boxes(path, rows, labels, video, clips)


def is_complete_truth(path: Path) -> bool:
    """Whether a CSV of ground truth has the column ``marked``, which only complete truth has.

    Raises:
        InputError: it cannot be read.
    """
    return "marked" in read_header(path)


def read_complete_truth(path: Path, video: Extent | None = None, clips: Collection[str] = ()) -> pd.DataFrame:
    """Read frames in which every object is boxed: clip, frame_index, x1, y1, x2, y2, label, marked.

    The label is a class or one of COMPLETE_IGNORED: ``other`` (not a target, but similar to one) and
    ``unsure`` count neither way. A row with the label ``none`` has no box: the frame is empty. ``marked`` is
    yes if the object has a designator, otherwise no.

    Arguments, result and errors are those of read_truth.
    """
    rows = read_rows(path, [*_TRUTH_COLUMNS, "marked"], others=True)
    return check_complete_truth(path, rows, video, clips)


def check_complete_truth(
    path: Path, rows: pd.DataFrame, video: Extent | None = None, clips: Collection[str] = ()
) -> pd.DataFrame:
    """Check the rows of complete truth that were read from a file, as text; see read_complete_truth.

    Raises:
        InputError: naming the file and the first bad row.
    """
    kinds = rows["label"].str.lower().isin([*COMPLETE_IGNORED, "none"])
    problems = {
        "label must be a class, other, unsure or none": rows["label"].eq(""),
        "write the labels other, unsure and none in lower case": kinds
        & ~rows["label"].isin([*COMPLETE_IGNORED, "none"]),
        "marked must be yes or no": ~rows["marked"].isin(["yes", "no"]),
    }
    checked = _check_boxes(path, rows, problems, video, clips)
    # As numbers: 62 and 62.0 are one frame.
    frame = checked.set_index(["clip", "frame_index"]).index
    empty, place = checked["label"].eq("none"), ["clip", "frame_index", *BOX]
    twice, alike = ~empty & checked[place].duplicated(), checked[[*place, "label"]].duplicated()
    repeated = {
        "a frame with the label none must have no other row": frame.isin(frame[empty])
        & frame.duplicated(keep=False),
        "a row before has the same box with another label; remove one of the two": twice & ~alike,
        "a row before has the same box and label; remove one of the two": twice & alike,
    }
    refuse(path, {what: pd.Series(bad, checked.index) for what, bad in repeated.items()})
    return checked


def with_other_frames(rows: pd.DataFrame, before: pd.DataFrame) -> pd.DataFrame:
    """Ground truth of one clip: these rows, and those of frames that they do not have, by frame.

    Args:
        before: what the clip had; rows of frames that are in ``rows`` are replaced.
    """
    kept = before[~before["frame_index"].isin(rows["frame_index"])]
    together = pd.concat([kept, rows]) if len(kept) else rows
    return together.sort_values("frame_index", kind="stable", ignore_index=True)


def empty_complete_truth() -> pd.DataFrame:
    """Complete truth without rows."""
    return pd.DataFrame(columns=[*_TRUTH_COLUMNS, "marked"]).astype(
        dict.fromkeys(BOX, "float64") | {"frame_index": "int64"}
    )


def _check_boxes(
    path: Path,
    rows: pd.DataFrame,
    problems: Mapping[str, pd.Series],
    video: Extent | None,
    clips: Collection[str],
) -> pd.DataFrame:
    """The rows with numeric frames and boxes; InputError for the first of ``problems`` or of the boxes."""
    numbers = to_numbers(rows, _TRUTH_COLUMNS[1:-1])
    frame, boxed = numbers["frame_index"], rows["label"] != "none"
    x1, y1, x2, y2 = (numbers[side] for side in BOX)
    problems = dict(problems) | {
        "frame_index must be a whole number from 0": ~(frame.between(0, _MOST) & (frame % 1).eq(0)),
        "a box needs x1 < x2 and y1 < y2, all finite numbers": boxed & ~((x1 < x2) & (y1 < y2)),
        "a box must lie within an image, in pixels from 0": boxed
        & ~numbers[BOX].abs().le(_WIDEST).all(axis=1),
    }
    if video is not None:
        own = rows["clip"].isin(list(clips)) if clips else pd.Series(True, rows.index)
        boxed = boxed & own
        # A mark cut by the edge may be drawn whole; other boxes may exceed the image by HAND_PX.
        hand = np.where(rows["label"] == "designator_partial", np.inf, HAND_PX)
        beyond = (x1 < -hand) | (y1 < -hand) | (x2 > video.width + hand) | (y2 > video.height + hand)
        beyond |= (x2 <= 0) | (y2 <= 0) | (x1 >= video.width) | (y1 >= video.height)
        size = f"{video.width} x {video.height}"
        problems |= {
            f"the video ends with frame {video.frames - 1}": own & frame.ge(video.frames),
            f"the box exceeds the image of {size} pixels; was it drawn at another size?": boxed & beyond,
        }
    refuse(path, problems)
    return rows.assign(**numbers).astype({"frame_index": "int64"})


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
