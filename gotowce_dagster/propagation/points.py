"""A human's point prompts: a table with frame_index, object_id, x, y and label."""

from pathlib import Path

import numpy as np
import pandas as pd

from gotowce_dagster.core.csv_rows import read_rows, refuse, to_numbers
from gotowce_dagster.segmenters.prompts import Prompt
from gotowce_dagster.video.decode import VideoInfo

COLUMNS = ["frame_index", "object_id", "x", "y", "label"]
POSITIVE, NEGATIVE = 1, 0
_LONGEST_NAME = 100


def read_points(path: Path, video: VideoInfo) -> pd.DataFrame:
    """Read a table of points and validate every row against its video.

    Returns:
        COLUMNS, sorted by frame and object: frame_index int, object_id text, x and y in pixels of the
        frame, label 1 (on the object) or 0 (not on it).

    Raises:
        InputError: naming the file, the first bad row as an editor numbers it, and what was expected.
    """
    rows = read_rows(path, COLUMNS)
    numbers = to_numbers(rows, ["frame_index", "x", "y", "label"])
    frame, x, y, label = (numbers[column] for column in numbers)
    refuse(
        path,
        {
            "frame_index must be a whole number from 0": ~(frame.ge(0) & (frame % 1).eq(0)),
            f"the video ends with frame {video.frames - 1}": frame.ge(video.frames),
            "object_id must not be empty": rows["object_id"].eq(""),
            f"object_id must be one line of at most {_LONGEST_NAME} characters": ~rows["object_id"]
            .map(_is_word)
            .astype(bool),
            "label must be 1 (on the object) or 0 (not on it)": ~label.isin([POSITIVE, NEGATIVE]),
            f"x must lie in the frame, 0 to {video.width}": ~x.between(0, video.width, inclusive="left"),
            f"y must lie in the frame, 0 to {video.height}": ~y.between(0, video.height, inclusive="left"),
        },
    )
    table = rows.assign(**numbers).astype({"frame_index": "int64", "label": "int64"})
    positives = table["label"].eq(POSITIVE).groupby(table["object_id"]).transform("any")
    place = ["frame_index", "object_id", "x", "y"]
    refuse(
        path,
        {
            "this point is in the table twice": table.duplicated(place),
            "its object has negative points only; give it at least one with label 1": ~positives,
        },
    )
    return table.sort_values(["frame_index", "object_id"], kind="stable", ignore_index=True)


def prompts(points: pd.DataFrame) -> dict[int, dict[str, Prompt]]:
    """Group points into prompts by frame_index and object_id, one prompt per object and frame."""
    found: dict[int, dict[str, Prompt]] = {}
    for _, in_frame in points.groupby("frame_index"):
        found[int(in_frame["frame_index"].iloc[0])] = {
            str(name): Prompt(rows[["x", "y"]].to_numpy(float), rows["label"].to_numpy(np.int64))
            for name, rows in in_frame.groupby("object_id")
        }
    return found


def _is_word(name: str) -> bool:
    return bool(name) and name.isprintable() and len(name) <= _LONGEST_NAME
