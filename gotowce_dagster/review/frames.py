"""The frames a project would show its reviewers, read from its tables."""

from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
from PIL import Image

from gotowce_dagster.config.params import LabelsParams, ReviewTasksParams
from gotowce_dagster.config.paths import Paths
from gotowce_dagster.core.tables import FRAMES, LABELS, empty, read_table
from gotowce_dagster.detectors.consensus import who_found
from gotowce_dagster.detectors.detected import read_detected
from gotowce_dagster.labels.followed import followed_to
from gotowce_dagster.labels.reviewed import said_of
from gotowce_dagster.labels.reviews import frame_hash, read_reviewed
from gotowce_dagster.review.choose import choose, draw
from gotowce_dagster.review.regions import Size
from gotowce_dagster.review.tasks import FrameToReview, Neighbour


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
        InputError: a video has no frames, detections or labels yet.
    """
    labels = read_labels(paths, videos)
    hints: dict[tuple[str, int], list[str]] = {}
    chosen = choose(_unjudged(paths, labels, params), params, ranking)
    if ranking is not None:
        keys = zip(ranking["video"], ranking["frame_index"], strict=True)
        hints = dict(zip(keys, ranking["says"], strict=True))
    shown: dict[tuple[str, int], list[dict[str, Any]]] = defaultdict(list)
    for label in labels[labels["verdict"].isin(params.verdicts)].to_dict("records"):
        shown[label["video"], label["frame_index"]].append(label)
    frames = []
    for video, rows in chosen.groupby("video", sort=False):
        index = read_table(paths.frame_index(str(video)), FRAMES)
        kept: list[dict[str, Any]] = index[index["kept"]].to_dict("records")
        detected = read_detected(paths.detections(str(video)))
        who = _who_found(detected.rows, detected.unanswered)
        place = {frame["frame_index"]: number for number, frame in enumerate(kept)}
        for row in rows.to_dict("records"):
            key = str(video), row["frame_index"]
            frames.append(
                _frame(
                    paths,
                    kept,
                    place[key[1]],
                    shown.get(key, []),
                    row,
                    hints=[*hints.get(key, []), *who.get(key[1], [])],
                )
            )
    return sorted(frames, key=lambda frame: frame.order)


def _who_found(detections: pd.DataFrame, unanswered: Mapping[int, Collection[str]]) -> dict[int, list[str]]:
    """For frames with an object that several detectors do not see alike, a sentence for each."""
    voted = detections[detections["votes"].notna()]
    everyone = {vote["detector"] for votes in voted["votes"] for vote in votes}
    told: dict[int, list[str]] = defaultdict(list)
    for row in voted.to_dict("records"):
        looked = everyone.difference(unanswered.get(row["frame_index"], ()))
        if says := who_found(row["votes"], row["class_name"], looked):
            told[row["frame_index"]].append(f"{row['class_name']}: {says}")
    return told


def _unjudged(paths: Paths, labels: pd.DataFrame, params: ReviewTasksParams) -> pd.DataFrame:
    """The labels of frames whose picture, as it is now, no human has judged.

    Nor are frames asked about again that were seen with their whole video, but for those of the audit sample:
    they tell how often automatic labels are wrong, so none may leave it for what it shows.
    """
    ends = {video: followed_to(paths.reviewed_tracks(video)) for video in labels["video"].unique()}
    judged = {
        (video, index)
        for video in labels["video"].unique()
        for index in said_of(
            read_reviewed(paths.reviewed(video)),
            read_table(paths.frame_index(video), FRAMES),
            paths.frames(video),
        )
    }

    def is_open(video: str, index: int) -> bool:
        if (video, index) in judged:
            return False
        return index >= ends[video] or draw(params.seed, video, index) < params.audit_share

    keys = zip(labels["video"], labels["frame_index"], strict=True)
    return labels[np.array([is_open(*key) for key in keys], bool)]


def _frame(
    paths: Paths,
    kept: Sequence[dict[str, Any]],
    number: int,
    labels: Sequence[dict[str, Any]],
    row: dict[str, Any],
    *,
    hints: Sequence[str],
) -> FrameToReview:
    video, here = row["video"], kept[number]
    folder = paths.frames(video)
    file = folder / here["file"]
    below_data = folder.relative_to(paths.data)
    with Image.open(file) as picture:
        size = Size(*picture.size)
    neighbours = [
        Neighbour(below_data / kept[other]["file"], kept[other]["time_s"] - here["time_s"])
        for other in (number - 1, number + 1)
        if 0 <= other < len(kept) and kept[other]["shot"] == here["shot"]
    ]
    return FrameToReview(
        video=video,
        frame_index=row["frame_index"],
        time_s=here["time_s"],
        file=below_data / here["file"],
        frame_hash=frame_hash(file),
        size=size,
        labels=labels,
        sample=row["sample"],
        order=row["order"],
        neighbours=neighbours,
        hints=hints,
    )
