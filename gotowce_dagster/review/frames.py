"""The frames a project would show its reviewers, read from its tables."""

from collections.abc import Iterable
from pathlib import Path

import numpy as np
import pandas as pd
from PIL import Image

from gotowce_dagster.labels.reviewed import said_of
from gotowce_dagster.params import LabelsParams, ReviewTasksParams
from gotowce_dagster.paths import Paths
from gotowce_dagster.review.choose import choose
from gotowce_dagster.review.records import frame_hash, read_reviewed
from gotowce_dagster.review.regions import Size
from gotowce_dagster.review.tasks import FrameToReview, Neighbour
from gotowce_dagster.tables import FRAMES, LABELS, empty, read_table


def why(params: LabelsParams) -> dict[str, str]:
    """A sentence for each reason that a label can have."""
    return {name: rule.why for name, rule in params.rules.items()}


def read_labels(paths: Paths, videos: Iterable[str]) -> pd.DataFrame:
    """The labels of all videos: columns of tables.LABELS.

    Raises:
        InputError: a video has no labels yet.
    """
    tables = [read_table(paths.labels(video), LABELS) for video in videos]
    tables = [table for table in tables if len(table)]
    return pd.concat(tables, ignore_index=True) if tables else empty(LABELS)


def frames_to_review(
    paths: Paths, videos: Iterable[str], params: ReviewTasksParams, ranking: pd.DataFrame | None = None
) -> list[FrameToReview]:
    """The chosen frames of all videos, the first to be seen first; none that a human has judged already.

    Args:
        ranking: as from training.disagreements.rank_frames; what it says is shown as a hint.

    Raises:
        InputError: a video has no frames or labels yet.
    """
    labels = read_labels(paths, videos)
    hints: dict[tuple[str, int], list[str]] = {}
    chosen = choose(_unjudged(paths, labels), params, ranking)
    if ranking is not None:
        keys = zip(ranking["video"], ranking["frame_index"], strict=True)
        hints = dict(zip(keys, ranking["says"], strict=True))
    shown = labels[labels["verdict"].isin(params.verdicts)]
    frames = []
    for video, rows in chosen.groupby("video", sort=False):
        index = read_table(paths.frame_index(str(video)), FRAMES)
        kept = index[index["kept"]].reset_index(drop=True)
        place = {frame: number for number, frame in enumerate(kept["frame_index"])}
        by_frame = dict(list(shown[shown["video"] == video].groupby("frame_index")))
        for row in rows.to_dict("records"):
            number = row["frame_index"]
            rows_of = by_frame.get(number, shown.iloc[:0])
            told = hints.get((str(video), number), [])
            frames.append(_frame(paths, kept, place[number], rows_of, row, hints=told))
    return sorted(frames, key=lambda frame: frame.order)


def _unjudged(paths: Paths, labels: pd.DataFrame) -> pd.DataFrame:
    """The labels of frames whose picture, as it is now, no human has judged."""
    judged = {
        (video, index)
        for video in labels["video"].unique()
        for index in said_of(
            read_reviewed(paths.reviewed(video)),
            read_table(paths.frame_index(video), FRAMES),
            paths.frames(video),
        )
    }
    keys = zip(labels["video"], labels["frame_index"], strict=True)
    return labels[np.array([key not in judged for key in keys], bool)]


def _frame(
    paths: Paths, kept: pd.DataFrame, number: int, labels: pd.DataFrame, row: dict, *, hints: list[str]
) -> FrameToReview:
    video, here = row["video"], kept.iloc[number]
    file = paths.frames(video) / here["file"]
    with Image.open(file) as picture:
        size = Size(*picture.size)
    neighbours = [
        Neighbour(_below_data(paths, video, kept.iloc[other]), kept.iloc[other]["time_s"] - here["time_s"])
        for other in (number - 1, number + 1)
        if 0 <= other < len(kept) and kept.iloc[other]["shot"] == here["shot"]
    ]
    return FrameToReview(
        video=video,
        frame_index=row["frame_index"],
        time_s=float(here["time_s"]),
        file=_below_data(paths, video, here),
        frame_hash=frame_hash(file),
        size=size,
        labels=labels,
        sample=row["sample"],
        order=row["order"],
        neighbours=neighbours,
        hints=hints,
    )


def _below_data(paths: Paths, video: str, frame: pd.Series) -> Path:
    return (paths.frames(video) / frame["file"]).relative_to(paths.data)
