"""Example boxes of a mark: read from CSV with the frames they are on, and frames without an example."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd
import supervision as sv

from gotowce_dagster.core.boxes import BOX
from gotowce_dagster.core.errors import InputError
from gotowce_dagster.core.truth import read_truth
from gotowce_dagster.video.decode import probe, read_frames

MIN_EXAMPLES = 3
TARGETS = ("target", "object")
"""Labels of boxes around the target in, under or beside a mark."""
UNSEEN = 24
"""Frames without an example that a designator is tried on."""
_OFF = 2
"""Pixels by which a box may be off."""
_ONE_MARK = 0.7
"""IoU from which two boxes of a frame are drawn around one mark."""


@dataclass(frozen=True, eq=False)
class Example:
    """A frame and the box around the designator in it."""

    frame_index: int
    image: np.ndarray
    """RGB uint8 (H, W, 3)."""
    box: np.ndarray
    """float (4,): xyxy in pixels, exclusive end."""


class Shown(NamedTuple):
    """A frame without an example."""

    clip: str
    """Name of the video file."""
    frame_index: int
    image: np.ndarray
    """RGB uint8 (H, W, 3)."""


@dataclass(frozen=True, eq=False)
class Material:
    """The examples and the test frames of a calibration."""

    examples: Sequence[Example]
    targets: Sequence[np.ndarray | None]
    """Box xyxy float (4,) of the target of each example, where one is drawn."""
    unseen: Sequence[Shown]
    empty: Sequence[Shown] = ()
    """Frames in which a human found no mark."""


def read_material(clips: Sequence[Path], boxes: Path) -> Material:
    """Examples of a mark in videos, and frames of these that have none.

    Args:
        clips: the videos.
        boxes: CSV with the columns of truth.read_truth; rows of other clips and labels are passed over.
            The label ``none`` names frames without a mark.

    Raises:
        InputError: fewer than three boxes on these videos, frames or places that they do not have, two boxes
            around one mark, or a frame with a mark and the label ``none``; two videos of one name.
    """
    names = [clip.name for clip in clips]
    if len(set(names)) < len(names):
        raise InputError(
            f"{boxes}: two of the videos are called {max(names, key=names.count)}, so rows fit both; rename "
            "one of the files, and its rows"
        )
    rows = _rows_of(clips, boxes)
    examples, targets, unseen, empty = [], [], [], []
    for clip in clips:
        own = rows[rows["clip"].isin((clip.name, clip.stem))]
        marked = own[own["label"].eq("designator")]
        both = set(marked["frame_index"]) & set(own["frame_index"][own["label"].eq("none")])
        if both:
            raise InputError(
                f"{boxes}: frame {min(both)} of {clip.name} has a box and the label `none`, which says that "
                "it shows no mark; remove one of the two"
            )
        others = _spread_between(probe(clip).frames, set(own["frame_index"]), UNSEEN // len(clips) + 1)
        frames = {f.index: f.rgb() for f in read_frames(clip, {*own["frame_index"], *others})}
        if missing := sorted(set(own["frame_index"]) - set(frames)):
            raise InputError(f"{boxes}: {clip.name} has no readable frame {', '.join(map(str, missing))}")
        for index, box in zip(marked["frame_index"], marked[BOX].to_numpy(float), strict=True):
            examples.append(Example(int(index), frames[index], box))
            targets.append(_target_of(own, int(index), box))
        unseen += [Shown(clip.name, i, frames[i]) for i in others if i in frames]
        empty += [Shown(clip.name, int(i), frames[i]) for i in own["frame_index"][own["label"].eq("none")]]
    for number, example in enumerate(examples):
        _refuse_outside(boxes, example)
        _refuse_twice(boxes, example, [each for each in examples[:number] if each.image is example.image])
    return Material(examples, targets, unseen, empty)


def _spread_between(frames: int, taken: Collection[int], count: int) -> list[int]:
    """Evenly spaced frames that are not taken, at most ``count``, from the first free one to the last."""
    places = np.linspace(0, frames - 1, min(2 * count + len(taken), frames)).round().astype(int)
    free = [index for index in np.unique(places).tolist() if index not in taken]
    return (
        [free[k] for k in np.unique(np.linspace(0, len(free) - 1, count).round().astype(int))] if free else []
    )


def _target_of(rows: pd.DataFrame, frame_index: int, box: np.ndarray) -> np.ndarray | None:
    """The box labelled ``target`` or ``object`` in a frame that is nearest to a mark, if there is one."""
    drawn = rows[rows["frame_index"].eq(frame_index) & rows["label"].isin(TARGETS)][BOX].to_numpy(float)
    if not len(drawn):
        return None
    apart = np.hypot(*((drawn[:, :2] + drawn[:, 2:]) / 2 - (box[:2] + box[2:]) / 2).T)
    return drawn[apart.argmin()]


def _rows_of(videos: Sequence[Path], boxes: Path) -> pd.DataFrame:
    names = {video: (video.name, video.stem) for video in videos}
    tables = [read_truth(boxes, probe(video), own) for video, own in names.items()]
    truth = pd.concat(tables).drop_duplicates()
    own = truth["clip"].isin([name for pair in names.values() for name in pair])
    rows = truth[own & truth["label"].isin(("designator", "none", *TARGETS))]
    rows = rows.drop_duplicates(["clip", "frame_index", *BOX, "label"])
    count = int(rows["label"].eq("designator").sum())
    if count < MIN_EXAMPLES:
        clips = ", ".join(sorted(set(truth["clip"]))) or "none"
        names = " and ".join(video.name for video in videos)
        raise InputError(
            f"{boxes}: {count} boxes labelled `designator` on {names}, at least {MIN_EXAMPLES} are needed; "
            f"clips in this file: {clips}"
        )
    return rows


def _refuse_outside(boxes: Path, example: Example) -> None:
    """A box may reach over the frame's edge by as much as it is off, no further."""
    height, width = example.image.shape[:2]
    x1, y1, x2, y2 = example.box
    # NaN and infinity fail every comparison that they should.
    reach = 2 * _OFF
    if not (-reach <= x1 < x2 <= width + reach and -reach <= y1 < y2 <= height + reach):
        raise InputError(
            f"{boxes}: frame {example.frame_index}: expected a box x1 < x2, y1 < y2 in the frame of "
            f"{width} x {height} pixels, got {example.box.tolist()}"
        )
    if x2 - x1 >= width - reach and y2 - y1 >= height - reach:
        raise InputError(
            f"{boxes}: frame {example.frame_index}: the box is the whole frame; draw it tight around one mark"
        )


def _refuse_twice(boxes: Path, example: Example, before: Sequence[Example]) -> None:
    """One mark that is boxed twice would count as two examples."""
    for other in before:
        if sv.box_iou_batch(example.box[None], other.box[None]).item() >= _ONE_MARK:
            raise InputError(
                f"{boxes}: frame {example.frame_index}: two boxes are around one mark, {other.box.tolist()} "
                f"and {example.box.tolist()}; remove one of them"
            )
