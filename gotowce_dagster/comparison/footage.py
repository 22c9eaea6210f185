"""Frames of a comparison: sampled and decoded once, the same for all contenders."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import pandas as pd
import supervision as sv

from gotowce_dagster.comparison.job import Picture
from gotowce_dagster.core.boxes import centres, xyxy
from gotowce_dagster.core.detections import from_boxes
from gotowce_dagster.core.errors import InputError
from gotowce_dagster.core.progress import Progress, silent, tracked
from gotowce_dagster.evaluation.scoring import Case
from gotowce_dagster.video.decode import probe, read_frames

_PNG = [cv2.IMWRITE_PNG_COMPRESSION, 1]

LABELS_OF = {"designator": ("designator", "designator_partial", "none"), "object": ("object",)}
"""Target of a detector -> the ground-truth labels of its presence or absence. A frame without a designator
has no ground truth for objects: unmarked objects may be visible."""


@dataclass(frozen=True, eq=False)
class Footage:
    """A video of the comparison."""

    video: str
    file: Path
    profile: Path
    truth: pd.DataFrame | None
    """Ground truth: columns of truth.read_truth; None without annotations."""


@dataclass(frozen=True, eq=False)
class Sample:
    """The sampled frames with their ground truth."""

    pictures: list[Picture]
    truth: dict[tuple[str, int], pd.DataFrame]
    """Ground truth by (video, frame_index), for annotated frames."""
    notes: list[str]

    def case(self, frame: tuple[str, int], against: str, found: sv.Detections) -> Case | None:
        """Pair predictions with the ground truth of a frame; None if the frame has no ground truth.

        Args:
            against: A key of LABELS_OF.
        """
        rows = self.truth.get(frame)
        if rows is None or not rows["label"].isin(LABELS_OF[against]).any():
            return None
        ignored = self.boxes(frame, "designator_partial") if against == "designator" else np.zeros((0, 4))
        return Case(*frame, found, from_boxes(self.boxes(frame, against)), ignored)

    def boxes(self, frame: tuple[str, int], label: str) -> np.ndarray:
        """Ground-truth boxes with this label, xyxy (n, 4)."""
        rows = self.truth.get(frame)
        return np.zeros((0, 4)) if rows is None else xyxy(rows[rows["label"] == label])

    def designated(self) -> list[Picture]:
        """The input of segmenters: frames with ground-truth objects in designators, and these designators."""
        pictures = []
        for picture in self.pictures:
            objects = self.boxes(picture.frame, "object")
            marks = self.boxes(picture.frame, "designator")
            middles = centres(objects)
            inside = ((middles[None] > marks[:, None, :2]) & (middles[None] < marks[:, None, 2:])).all(axis=2)
            if inside.any():
                inside_marks = [tuple(mark) for mark in marks[np.any(inside, axis=1)].tolist()]
                pictures.append(picture.model_copy(update={"designators": inside_marks}))
        return pictures


def sample(footage: Sequence[Footage], count: int, folder: Path, progress: Progress = silent) -> Sample:
    """Sample evenly spaced frames and write them to a folder as PNG.

    If any video has ground truth, only frames with ground truth are sampled.

    Args:
        count: Total number of frames, spread over the videos; at least one per video.
        progress: Called with the number of finished videos, and of all videos.

    Raises:
        InputError: A file is not a video, or no frame is left to compare on.
    """
    with_truth = [f for f in footage if f.truth is not None and len(f.truth)]
    notes = [
        f"{f.video}: left out, because it has no ground truth and other videos have"
        for f in footage
        if f not in with_truth
    ] * bool(with_truth)
    pictures: list[Picture] = []
    truth: dict[tuple[str, int], pd.DataFrame] = {}
    used = with_truth or list(footage)
    folder.mkdir(parents=True, exist_ok=True)
    for position, one in tracked(list(enumerate(used)), len(used), progress):
        wanted = _choose(one, max(1, count // len(used) + (position < count % len(used))))
        for frame in read_frames(one.file, wanted):
            file = folder / f"{position}_{frame.index}.png"
            if not cv2.imwrite(str(file), frame.bgr(), _PNG):
                raise InputError(f"{file}: cannot be written; is the disk full?")
            picture = Picture(
                video=one.video, frame_index=frame.index, file=file, profile=one.profile.resolve()
            )
            pictures.append(picture)
            wanted.remove(frame.index)
            if one.truth is not None:
                truth[picture.frame] = one.truth[one.truth["frame_index"] == frame.index]
        notes += [
            f"{one.video}: frame {index} was left out, because it cannot be decoded" for index in wanted
        ]
    if not pictures:
        raise InputError(f"no frame to compare on in {', '.join(f.video for f in footage) or 'no video'}")
    pictures.sort(key=lambda picture: (str(picture.profile), *picture.frame))
    return Sample(pictures, truth, notes)


def _choose(footage: Footage, count: int) -> list[int]:
    """Evenly spaced frame indices, among frames with ground truth if there are any."""
    if footage.truth is not None and len(footage.truth):
        named = np.unique(footage.truth["frame_index"])
    else:
        named = np.arange(probe(footage.file).frames)
    return named[np.unique(((np.arange(count) + 0.5) * len(named) / count).astype(int))].tolist()
