"""The candidate frames of the dataset, and the reasons to leave each out."""

from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from gotowce_dagster.config.project import Project
from gotowce_dagster.core.tables import FRAMES, MASKS, read_table
from gotowce_dagster.detectors.detected import read_detected
from gotowce_dagster.labels.split import usable_frames
from gotowce_dagster.pictures.read import is_whole_jpeg


def kept_frames(
    project: Project, labels: Mapping[str, pd.DataFrame], reviews: Mapping[str, Any]
) -> pd.DataFrame:
    """The kept frames of all videos, as from split.usable_frames, with their profile.

    ``damaged``: the image file is damaged; ``doubtful``: an object may be unlabelled; ``unanswered``: a
    detector gave no usable answer.

    Args:
        labels: rows of tables.LABELS after review, by video.
        reviews: the current reviews of each video, by frame_index.
    """
    paths = project.paths
    # Videos of one profile belong to one game, and every split needs all games.
    kept = pd.concat(
        (
            usable_frames(video, read_table(paths.frame_index(video), FRAMES), rows, reviews[video]).assign(
                profile=project.video(video).profile
            )
            for video, rows in labels.items()
        ),
        ignore_index=True,
    )
    # An image may have been damaged since its extraction; training cannot use it.
    kept["damaged"] = [
        not is_whole_jpeg(paths.frames(video) / file)
        for video, file in zip(kept["video"], kept["file"], strict=True)
    ]
    # A lost object may still be visible, unless a human has reviewed the frame.
    lost = {video: _lost_in(paths.masks(video)) - set(reviews[video]) for video in labels}
    kept["doubtful"] |= _are_in(lost, kept)
    # A frame without a detector's answer may contain objects too.
    unanswered = {
        video: set(read_detected(paths.detections(video)).unanswered) - set(reviews[video])
        for video in labels
    }
    kept["unanswered"] = _are_in(unanswered, kept)
    return kept


def _are_in(chosen: Mapping[str, Collection[int]], frames: pd.DataFrame) -> np.ndarray:
    """bool (rows,): whether each row's frame is among those chosen of its video."""
    pairs = zip(frames["video"], frames["frame_index"], strict=True)
    return np.array([index in chosen[video] for video, index in pairs], bool)


def _lost_in(path: Path) -> set[int]:
    masks = read_table(path, MASKS)
    return set(masks.loc[masks["state"] == "lost", "frame_index"])
