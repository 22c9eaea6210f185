"""The frames of the study `segment_everything`, with their ground-truth objects."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import pandas as pd

from gotowce_dagster.config.project import Project
from gotowce_dagster.core.boxes import BOX, xyxy
from gotowce_dagster.core.truth import COMPLETE_IGNORED, read_complete_truth, read_truth
from gotowce_dagster.video.decode import probe, read_frames


@dataclass(frozen=True, eq=False)
class Shown:
    """A frame and its objects."""

    video: str
    index: int
    image: np.ndarray
    """RGB uint8 (H, W, 3)."""
    objects: np.ndarray
    """xyxy float (n, 4) in pixels."""


def shown_frames(project: Project, count: int) -> Iterator[Shown]:
    """``count`` frames spread over the videos; of each video those with known objects, if there are any.

    Raises:
        InputError: a video or its truth cannot be read.
    """
    videos = list(project.videos)
    for place, video in enumerate(videos):
        wanted = count // len(videos) + (place < count % len(videos))
        objects = objects_of(project, video)
        named = np.unique(objects["frame_index"])
        if not len(named):
            named = np.arange(probe(project.raw(video)).frames)
        some = named[_evenly(len(named), wanted)].tolist()
        for frame in read_frames(project.raw(video), some) if some else ():
            yield Shown(video, frame.index, frame.rgb(), xyxy(objects[objects["frame_index"] == frame.index]))


def objects_of(project: Project, video: str) -> pd.DataFrame:
    """The ground-truth objects of a video: of a frame with complete truth all, of others the marked one.

    Returns:
        Columns ``frame_index``, ``x1``, ``y1``, ``x2``, ``y2``.
    """
    truth, complete = project.paths.truth(video), project.paths.complete_truth(video)
    found = []
    if complete.exists():
        rows = read_complete_truth(complete, probe(project.raw(video)))
        found.append(rows[~rows["label"].isin([*COMPLETE_IGNORED, "none"])])
    if truth.exists():
        rows = read_truth(truth, probe(project.raw(video)))
        known = rows["frame_index"].isin(found[0]["frame_index"]) if found else False
        found.append(rows[(rows["label"] == "object") & ~np.array(known)])
    columns = ["frame_index", *BOX]
    return pd.concat(found)[columns] if found else pd.DataFrame(columns=columns, dtype=float)


def _evenly(count: int, wanted: int) -> np.ndarray:
    """Places of some of ``count`` things, away from both ends."""
    return np.unique(((np.arange(wanted) + 0.5) * count / max(wanted, 1)).astype(int))
