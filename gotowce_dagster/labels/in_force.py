"""The current reviews of a video: of single frames and of whole tracks."""

from collections.abc import Collection
from pathlib import Path

import pandas as pd
from PIL import Image

from gotowce_dagster.config.project import Project
from gotowce_dagster.core.errors import InputError
from gotowce_dagster.core.tables import FRAMES, LABELS, read_table
from gotowce_dagster.core.truth import read_truth
from gotowce_dagster.labels.followed import read_tracked
from gotowce_dagster.labels.reviewed import (
    ReviewedFrames,
    current_reviews,
    current_video_reviews,
    truth_from_reviews,
)
from gotowce_dagster.labels.reviews import read_reviewed
from gotowce_dagster.pictures.read import is_whole_jpeg
from gotowce_dagster.video.decode import probe


def reviews_in_force(project: Project, video: str) -> ReviewedFrames:
    """The reviewed frames of a video whose images have not changed since.

    The review of a single frame takes precedence over the review of the whole video.

    Raises:
        InputError: the reviews are damaged or of another video, or the video has no frames yet.
    """
    paths = project.paths
    index = read_table(paths.frame_index(video), FRAMES)
    alone = current_reviews(read_reviewed(paths.reviewed(video)), index, paths.frames(video))
    return {**_followed(project, video, index), **alone}


def all_reviews_in_force(project: Project, videos: Collection[str]) -> dict[str, ReviewedFrames]:
    """The current reviews of several videos.

    Raises:
        InputError: reviews cannot be read; the message names every such video. Without them, the dataset
            would contain labels that were rejected.
    """
    reviews, problems = {}, []
    for video in videos:
        try:
            reviews[video] = reviews_in_force(project, video)
        except InputError as error:
            problems.append(str(error))
    if problems:
        raise InputError("; ".join(problems))
    return reviews


def checked_and_reviewed(project: Project, video: str) -> tuple[pd.DataFrame, pd.DataFrame]:
    """The ground truth of a video: boxes checked by hand, and the objects of reviewed frames.

    Returns:
        Two tables with the columns of truth.read_truth; each may be empty.

    Raises:
        InputError: the truth or a review is malformed.
    """
    file, is_made = project.paths.truth(video), project.paths.frame_index(video).exists()
    reviews = reviews_in_force(project, video) if is_made else {}
    reviewed = truth_from_reviews(reviews, project.video(video).file)
    checked = read_truth(file, probe(project.raw(video))) if file.exists() else reviewed.iloc[:0]
    return checked, reviewed


def _followed(project: Project, video: str, frames: pd.DataFrame) -> ReviewedFrames:
    """The reviews of a video's frames that come from reviewed tracks."""
    paths = project.paths
    file = paths.reviewed_tracks(video)
    tracked = read_tracked(file)
    if tracked is None or tracked.decision is None:
        return {}
    used = {track.class_name for track in tracked.decision.tracks}
    known = set(project.params.review.tasks.classes) or _classes(project)
    if known and (unknown := sorted(used - known)):
        raise InputError(
            f"{file}: has the class {', '.join(unknown)}, but labels have {', '.join(sorted(known))}; "
            f"correct it in Label Studio and pull again, or name all in params.yaml: review.tasks.classes"
        )
    pictures = [paths.frames(video) / name for name in frames.loc[frames["kept"], "file"]]
    whole = next((picture for picture in pictures if is_whole_jpeg(picture)), None)
    size = _size(whole) if whole else (tracked.width, tracked.height)
    if size != (tracked.width, tracked.height):
        raise InputError(
            f"{file}: of a video of {tracked.width} x {tracked.height} pixels, but {video} has "
            f"{size[0]} x {size[1]}; move the file away if it belongs to another video of that name"
        )
    labels = read_table(paths.labels(video), LABELS)
    return current_video_reviews(tracked, frames, labels, project.params.review.video.tolerance_px)


def _classes(project: Project) -> set[str]:
    """The classes of all labels of the project."""
    files = [project.paths.labels(video) for video in project.videos]
    return {name for file in files if file.exists() for name in read_table(file, LABELS)["class_name"]}


def _size(picture: Path) -> tuple[int, int]:
    """Width and height."""
    with Image.open(picture) as opened:
        return opened.size
