"""Disagreements between the fine-tuned model and the labels, to rank frames for review (active learning)."""

import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import pandas as pd

from gotowce_dagster.config.params import RankingParams, ReviewTasksParams
from gotowce_dagster.config.paths import Paths
from gotowce_dagster.core.boxes import xyxy
from gotowce_dagster.core.detections import class_names, from_boxes
from gotowce_dagster.core.progress import Progress, silent
from gotowce_dagster.core.tables import FRAMES, LABELS, read_table
from gotowce_dagster.evaluation.scoring import FALSE_POSITIVE, Case, matches, pair_iou
from gotowce_dagster.labels.followed import reviewed_until
from gotowce_dagster.labels.reviewed import current_reviews
from gotowce_dagster.labels.reviews import read_reviewed
from gotowce_dagster.pictures.read import is_whole_jpeg, read_rgb
from gotowce_dagster.review.choose import draw
from gotowce_dagster.training.model import Predict

Kind = Literal["missed", "extra", "class", "box"]
_COLUMNS = ["video", "frame_index", "severity", "kinds", "hints"]


@dataclass(frozen=True)
class Disagreement:
    """A difference between the model's predictions and the labels of a frame."""

    kind: Kind
    """missed: a label without a prediction. extra: a prediction without a label. class: another class.
    box: another box."""
    severity: float
    """0 to 1: the model's confidence, or 1 - IoU of the boxes."""
    hint: str
    """A sentence for the reviewer."""


def rank_frames(
    paths: Paths,
    videos: Iterable[str],
    predict: Predict,
    params: ReviewTasksParams,
    *,
    progress: Progress = silent,
    clock: Callable[[], float] = time.monotonic,
) -> pd.DataFrame:
    """Run the model on unreviewed frames in random order, until the maximum number or time is reached.

    Frames without a label are included, because the model may find objects that the detectors missed.

    Args:
        progress: called with frames examined and their maximum number.

    Returns:
        One row per frame: video, frame_index, severity (of its worst disagreement, 0 without any), kinds
        (list of Kind) and hints (list of sentences), highest severity first.

    Raises:
        InputError: a video has no frames or labels yet.
    """
    settings = params.ranking
    frames = [frame for video in videos for frame in _unjudged(paths, video, params)]
    frames = sorted(frames, key=lambda frame: draw(params.seed, frame.video, frame.frame_index))[
        : settings.frames
    ]
    until = clock() + settings.seconds
    rows = []
    for done, frame in enumerate(frames):
        progress(done, len(frames))
        if clock() > until:
            break
        labels = from_boxes(xyxy(frame.labels), class_name=frame.labels["class_name"].to_numpy(dtype=str))
        case = Case(frame.video, frame.frame_index, predict(read_rgb(frame.file)), labels)
        found = disagreements(case, settings)
        rows.append(
            (
                frame.video,
                frame.frame_index,
                max((one.severity for one in found), default=0.0),
                [one.kind for one in found],
                [one.hint for one in found],
            )
        )
    progress(len(frames), len(frames))
    ranked = pd.DataFrame(rows, columns=_COLUMNS)
    return ranked.sort_values("severity", ascending=False, kind="stable", ignore_index=True)


def disagreements(case: Case, params: RankingParams) -> list[Disagreement]:
    """The disagreements of one frame, highest severity first.

    Args:
        case: the model's predictions and the labels as ground truth, both with ``data["class_name"]``.
    """
    sure = case.surer_than(params.confidence)
    pairs, overlap = matches(sure, params.iou), pair_iou(sure)
    names, labels = class_names(sure.found), class_names(sure.truth)
    found = []
    for box, (label, confidence) in enumerate(zip(pairs, sure.confidence, strict=True)):
        if label == FALSE_POSITIVE:
            hint = f"The model predicts a {names[box]} without a label (confidence {confidence:.0%})."
            found.append(Disagreement("extra", float(confidence), hint))
            continue
        if names[box] != labels[label]:
            hint = f"The model calls the {labels[label]} a {names[box]} (confidence {confidence:.0%})."
            found.append(Disagreement("class", float(confidence), hint))
        if (iou := float(overlap[label, box])) < params.box_iou:
            hint = f"The model's box of the {labels[label]} differs (IoU {iou:.2f})."
            found.append(Disagreement("box", 1 - iou, hint))
    doubted = pair_iou(case) >= params.iou
    for label in sorted(set(range(len(labels))) - set(pairs.tolist())):
        guess = float(case.confidence[doubted[label]].max(initial=0.0))
        hint = f"The model misses the {labels[label]} (confidence {guess:.0%})."
        found.append(Disagreement("missed", 1 - guess, hint))
    return sorted(found, key=lambda one: -one.severity)


@dataclass(frozen=True, eq=False)
class _Frame:
    video: str
    frame_index: int
    file: Path
    labels: pd.DataFrame


def _unjudged(paths: Paths, video: str, params: ReviewTasksParams) -> Iterator[_Frame]:
    """The frames of a video that may be looked at, with the labels that reviewers would be shown."""
    index, folder = read_table(paths.frame_index(video), FRAMES), paths.frames(video)
    labels = read_table(paths.labels(video), LABELS)
    shown = labels[labels["verdict"].isin(params.verdicts)]
    by_frame = dict(list(shown.groupby("frame_index")))
    judged = current_reviews(read_reviewed(paths.reviewed(video)), index, folder)
    is_beyond = index["frame_index"] >= reviewed_until(paths.reviewed_tracks(video))
    is_open = ~index["frame_index"].isin(list(judged)) & is_beyond
    for frame in index[index["kept"] & is_open].to_dict("records"):
        file = folder / frame["file"]
        if is_whole_jpeg(file):
            number = frame["frame_index"]
            yield _Frame(video, number, file, by_frame.get(number, shown.iloc[:0]))
