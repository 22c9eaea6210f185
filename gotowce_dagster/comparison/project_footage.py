"""The videos of a project as footage, with the ground truth that the project has."""

from collections.abc import Callable

import pandas as pd

from gotowce_dagster.comparison.footage import Footage
from gotowce_dagster.config.project import Project
from gotowce_dagster.core.boxes import BOX, DESIGNATOR
from gotowce_dagster.core.tables import LABELS, read_table
from gotowce_dagster.core.truth import read_truth
from gotowce_dagster.labels.in_force import checked_and_reviewed
from gotowce_dagster.video.decode import probe


def with_truth(project: Project) -> list[Footage]:
    """All videos, each with its file of ground truth if there is one.

    Raises:
        InputError: a video or its truth cannot be read.
    """
    return [_footage(project, video, _checked(project, video)) for video in project.videos]


def with_truth_or_labels(project: Project) -> tuple[list[Footage], str]:
    """All videos with the best reference that the project has, and one sentence that names it.

    That is the ground truth; without any, the reviewed frames; without any, the accepted labels.

    Raises:
        InputError: a video, its truth, reviews or labels cannot be read.
    """
    sources: dict[str, Callable[[Project, str], pd.DataFrame | None]] = {
        "Evaluated against ground truth.": _checked,
        "Evaluated against reviewed frames, because no video has ground truth. Reviewers saw the labels "
        "first.": _reviewed,
        "Evaluated against the pipeline's own accepted labels, because no video has ground truth or reviews: "
        "this shows agreement with the pipeline, not accuracy.": _labelled,
    }
    for sentence, source in sources.items():
        known = {video: source(project, video) for video in project.videos}
        if any(rows is not None and len(rows) for rows in known.values()):
            return [_footage(project, video, rows) for video, rows in known.items()], sentence
    nothing = "Not evaluated: the project has neither ground truth, reviews nor accepted labels."
    return [_footage(project, video, None) for video in project.videos], nothing


def truth_of_labels(labels: pd.DataFrame, clip: str) -> pd.DataFrame:
    """Ground truth, as truth.read_truth returns it, of frames in which all labels are accepted.

    Args:
        labels: rows of tables.LABELS of one video.
        clip: the video's file name.
    """
    is_sure = (labels["verdict"] == "accept").groupby(labels["frame_index"]).transform("all")
    sure = labels[is_sure.astype(bool)]
    boxes = {"object": sure[["frame_index", *BOX]]}
    marks = sure[["frame_index", *DESIGNATOR]].dropna()
    boxes["designator"] = marks.set_axis(["frame_index", *BOX], axis=1)
    parts = [rows.assign(clip=clip, label=label) for label, rows in boxes.items()]
    return pd.concat(parts, ignore_index=True)[["clip", "frame_index", *BOX, "label"]]


def _footage(project: Project, video: str, truth: pd.DataFrame | None) -> Footage:
    profile = project.paths.profile(project.video(video).profile)
    return Footage(video, project.raw(video), profile, truth)


def _checked(project: Project, video: str) -> pd.DataFrame | None:
    file = project.paths.truth(video)
    return read_truth(file, probe(project.raw(video))) if file.exists() else None


def _reviewed(project: Project, video: str) -> pd.DataFrame | None:
    _, reviewed = checked_and_reviewed(project, video)
    return reviewed[reviewed["label"] == "object"]


def _labelled(project: Project, video: str) -> pd.DataFrame | None:
    file = project.paths.labels(video)
    return truth_of_labels(read_table(file, LABELS), project.video(video).file) if file.exists() else None
