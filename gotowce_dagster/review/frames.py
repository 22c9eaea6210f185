"""Frames for review, read from a project's tables."""

from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
from PIL import Image

from gotowce_dagster.config.params import LabelsParams, ReviewTasksParams
from gotowce_dagster.config.paths import Paths
from gotowce_dagster.core.tables import FRAMES, LABELS, empty, read_table, records
from gotowce_dagster.detectors.consensus import who_found
from gotowce_dagster.detectors.detected import read_detected
from gotowce_dagster.labels.followed import reviewed_until
from gotowce_dagster.labels.reviewed import current_reviews
from gotowce_dagster.labels.reviews import frame_hash, read_reviewed
from gotowce_dagster.review.choose import choose, draw
from gotowce_dagster.review.regions import Size
from gotowce_dagster.review.tasks import FrameToReview, Neighbour


def rule_messages(params: LabelsParams) -> dict[str, str]:
    """The message of each rule, by its name."""
    return {name: rule.why for name, rule in params.rules.items()}


def read_labels(paths: Paths, videos: Iterable[str]) -> pd.DataFrame:
    """Read the labels of all videos: columns of tables.LABELS.

    Raises:
        InputError: A video has no labels yet.
    """
    tables = [read_table(paths.labels(video), LABELS) for video in videos]
    tables = [table for table in tables if len(table)]
    return pd.concat(tables, ignore_index=True) if tables else empty(LABELS)


def frames_to_review(
    paths: Paths,
    videos: Iterable[str],
    params: ReviewTasksParams,
    ranking: pd.DataFrame | None = None,
    proposals: Mapping[tuple[str, int], Sequence[dict[str, Any]]] | None = None,
) -> list[FrameToReview]:
    """Select the frames of all videos for review, in queue order; frames already reviewed are left out.

    Args:
        ranking: From review.disagreements.rank_frames; its sentences are shown as hints.
        proposals: From review.proposals.rows_of: what a model proposes beside the labels, by frame. Frames of
            the audit sample are shown without: the error rate is that of the labels.

    Raises:
        InputError: A video has no frames, detections or labels yet.
    """
    labels = read_labels(paths, videos)
    hints: dict[tuple[str, int], list[str]] = {}
    chosen = choose(_unjudged(paths, labels, params), params, ranking)
    if ranking is not None:
        keys = zip(ranking["video"], ranking["frame_index"], strict=True)
        hints = dict(zip(keys, ranking["hints"], strict=True))
    shown: dict[tuple[str, int], list[dict[str, Any]]] = defaultdict(list)
    for label in records(labels[labels["verdict"].isin(params.verdicts)]):
        shown[label["video"], label["frame_index"]].append(label)
    frames = []
    for video, rows in chosen.groupby("video", sort=False):
        index = read_table(paths.frame_index(str(video)), FRAMES)
        kept: list[dict[str, Any]] = records(index[index["kept"]])
        detected = read_detected(paths.detections(str(video)))
        vote_hints = _vote_hints(detected.rows, detected.unanswered)
        position = {frame["frame_index"]: number for number, frame in enumerate(kept)}
        for row in records(rows):
            key = str(video), row["frame_index"]
            added = {} if row["sample"] == "audit" else proposals or {}
            frames.append(
                _frame(
                    paths,
                    kept,
                    position[key[1]],
                    [*shown.get(key, []), *added.get(key, ())],
                    row,
                    hints=[*hints.get(key, []), *vote_hints.get(key[1], [])],
                )
            )
    return sorted(frames, key=lambda frame: frame.order)


def _vote_hints(detections: pd.DataFrame, unanswered: Mapping[int, Collection[str]]) -> dict[int, list[str]]:
    """Describe, by frame, each object that the detectors disagree on."""
    voted = detections[detections["votes"].notna()]
    everyone = {vote["detector"] for votes in voted["votes"] for vote in votes}
    sentences: dict[int, list[str]] = defaultdict(list)
    for row in records(voted):
        answered = everyone.difference(unanswered.get(row["frame_index"], ()))
        if sentence := who_found(row["votes"], row["class_name"], answered):
            sentences[row["frame_index"]].append(f"{row['class_name']}: {sentence}")
    return sentences


def _unjudged(paths: Paths, labels: pd.DataFrame, params: ReviewTasksParams) -> pd.DataFrame:
    """The labels of frames whose current image no human has reviewed.

    Frames that were reviewed with their whole video are left out too, except in the audit sample. That sample
    measures the error rate of automatic labels, so no frame may leave it because of its content.
    """
    end_of = {video: reviewed_until(paths.reviewed_tracks(video)) for video in labels["video"].unique()}
    judged = {
        (video, index)
        for video in labels["video"].unique()
        for index in current_reviews(
            read_reviewed(paths.reviewed(video)),
            read_table(paths.frame_index(video), FRAMES),
            paths.frames(video),
        )
    }

    def is_open(video: str, index: int) -> bool:
        if (video, index) in judged:
            return False
        return index >= end_of[video] or draw(params.seed, video, index) < params.audit_share

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
    video, frame = row["video"], kept[number]
    folder = paths.frames(video)
    file = folder / frame["file"]
    below_data = folder.relative_to(paths.data)
    with Image.open(file) as picture:
        size = Size(*picture.size)
    neighbours = [
        Neighbour(below_data / kept[other]["file"], kept[other]["time_s"] - frame["time_s"])
        for other in (number - 1, number + 1)
        if 0 <= other < len(kept) and kept[other]["shot"] == frame["shot"]
    ]
    return FrameToReview(
        video=video,
        frame_index=row["frame_index"],
        time_s=frame["time_s"],
        file=below_data / frame["file"],
        frame_hash=frame_hash(file),
        size=size,
        labels=labels,
        sample=row["sample"],
        order=row["order"],
        neighbours=neighbours,
        hints=hints,
    )
