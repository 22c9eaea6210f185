"""The frames that are compared on: chosen once, decoded once, the same for all."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import pandas as pd
import supervision as sv

from gotowce_dagster.comparison.job import Picture
from gotowce_dagster.core.errors import InputError
from gotowce_dagster.core.progress import Progress, silent, tracked
from gotowce_dagster.evaluation.scoring import Case
from gotowce_dagster.video.decode import probe, read_frames

_BOX = ["x1", "y1", "x2", "y2"]
_PNG = [cv2.IMWRITE_PNG_COMPRESSION, 1]

LABELS_OF = {"designator": ("designator", "designator_partial", "none"), "object": ("object",)}
"""What a detector is to find -> the labels of truth that say where it is, or that it is nowhere. A frame
without a designator says nothing of objects, which may be there unmarked."""


@dataclass(frozen=True, eq=False)
class Footage:
    """A video to compare on."""

    video: str
    file: Path
    profile: Path
    truth: pd.DataFrame | None
    """Columns of tables.read_truth; None where nobody has looked."""


@dataclass(frozen=True, eq=False)
class Sample:
    """The frames, and what is known of them."""

    pictures: list[Picture]
    truth: dict[tuple[str, int], pd.DataFrame]
    """By (video, frame_index), for frames that somebody has looked at."""
    notes: list[str]

    def case(self, frame: tuple[str, int], against: str, found: sv.Detections) -> Case | None:
        """What was found in a frame beside what is there; None where that is not known.

        Args:
            against: a key of LABELS_OF.
        """
        rows = self.truth.get(frame)
        if rows is None or not rows["label"].isin(LABELS_OF[against]).any():
            return None
        ignored = self.boxes(frame, "designator_partial") if against == "designator" else np.zeros((0, 4))
        return Case(*frame, found, sv.Detections(self.boxes(frame, against)), ignored)

    def boxes(self, frame: tuple[str, int], label: str) -> np.ndarray:
        """xyxy (n, 4) that are known to be there."""
        rows = self.truth.get(frame)
        return np.zeros((0, 4)) if rows is None else rows.loc[rows["label"] == label, _BOX].to_numpy(float)

    def designated(self) -> list[Picture]:
        """Frames with objects in designators, with these designators: what segmenters are asked about."""
        pictures = []
        for picture in self.pictures:
            objects = self.boxes(picture.frame, "object")
            marks = self.boxes(picture.frame, "designator")
            middles = (objects[:, :2] + objects[:, 2:]) / 2
            inside = ((middles[None] > marks[:, None, :2]) & (middles[None] < marks[:, None, 2:])).all(axis=2)
            if inside.any():
                told = [tuple(mark) for mark in marks[inside.any(axis=1)].tolist()]
                pictures.append(picture.model_copy(update={"designators": told}))
        return pictures


def sample(footage: Sequence[Footage], count: int, folder: Path, progress: Progress = silent) -> Sample:
    """Choose frames evenly and write them to a folder as PNG.

    Where any video has truth, only frames with truth are chosen.

    Args:
        count: frames in all, spread over the videos; at least one a video.
        progress: told videos done and in all.

    Raises:
        InputError: a file is no video, or nothing is left to compare on.
    """
    known = [f for f in footage if f.truth is not None and len(f.truth)]
    notes = [
        f"{f.video} has no hand-checked boxes and was left out, since others have"
        for f in footage
        if f not in known
    ] * bool(known)
    pictures: list[Picture] = []
    truth: dict[tuple[str, int], pd.DataFrame] = {}
    used = known or list(footage)
    folder.mkdir(parents=True, exist_ok=True)
    for place, one in tracked(list(enumerate(used)), len(used), progress):
        wanted = _choose(one, max(1, count // len(used) + (place < count % len(used))))
        for frame in read_frames(one.file, wanted):
            file = folder / f"{place}_{frame.index}.png"
            if not cv2.imwrite(str(file), frame.bgr(), _PNG):
                raise InputError(f"{file}: cannot be written; is the disk full?")
            picture = Picture(
                video=one.video, frame_index=frame.index, file=file, profile=one.profile.resolve()
            )
            pictures.append(picture)
            wanted.remove(frame.index)
            if one.truth is not None:
                truth[picture.frame] = one.truth[one.truth["frame_index"] == frame.index]
        notes += [f"{one.video}: frame {index} cannot be decoded and was left out" for index in wanted]
    if not pictures:
        raise InputError(f"no frame to compare on in {', '.join(f.video for f in footage) or 'no video'}")
    pictures.sort(key=lambda picture: (str(picture.profile), *picture.frame))
    return Sample(pictures, truth, notes)


def _choose(footage: Footage, count: int) -> list[int]:
    """Numbers of frames, evenly among those with truth, else among all."""
    if footage.truth is not None and len(footage.truth):
        named = np.unique(footage.truth["frame_index"])
    else:
        named = np.arange(probe(footage.file).frames)
    return named[np.unique(((np.arange(count) + 0.5) * len(named) / count).astype(int))].tolist()
