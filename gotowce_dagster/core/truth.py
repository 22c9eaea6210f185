"""Ground truth as CSV: boxes checked by hand, and complete truth, with every object of a frame."""

from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Protocol

import numpy as np
import pandas as pd

from gotowce_dagster.core.boxes import BOX
from gotowce_dagster.core.csv_rows import read_header, read_rows, refuse, to_numbers

HAND_PX = 2.0
"""Tolerance in pixels of a hand-drawn box beyond the edge of the image."""
_MOST, _WIDEST = 2**31 - 1, 2.0**16
TRUTH_LABELS = ("designator", "designator_partial", "object", "target", "none")
COMPLETE_IGNORED = ("other", "unsure")
_TRUTH_COLUMNS = ["clip", "frame_index", *BOX, "label"]


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
