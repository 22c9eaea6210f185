"""Assets of the human review: pushed tasks and pulled reviews."""

import hashlib
from collections.abc import Sequence
from typing import TYPE_CHECKING

import dagster as dg
import numpy as np

from gotowce_dagster.assets.reporting import ProgressOf, number_metadata, picture_metadata
from gotowce_dagster.assets.videos import cleaned_labels, extracted_frames
from gotowce_dagster.config.paths import Paths
from gotowce_dagster.config.project import Project
from gotowce_dagster.core.errors import GotowceError
from gotowce_dagster.core.sources import tracked_files
from gotowce_dagster.intake.dvc_repo import DvcRepo
from gotowce_dagster.intake.videos import keep_reviews, pull_reviews
from gotowce_dagster.review.connection import ServerDownError, connect, find
from gotowce_dagster.review.measures import reviewed_so_far

if TYPE_CHECKING:
    from gotowce_dagster.review.push import Pushed
    from gotowce_dagster.review.tasks import FrameToReview

GROUP = "review"

_SHOWN = 12
Metadata = dict[str, dg.MetadataValue]


@dg.asset(deps=[extracted_frames, cleaned_labels], group_name=GROUP, kinds={"labelstudio"})
def review_tasks(
    context: dg.AssetExecutionContext, progress: dg.ResourceParam[ProgressOf]
) -> dg.MaterializeResult:
    """Frames pushed to Label Studio for review: the most doubtful ones, and a random audit sample."""
    from gotowce_dagster.review.frames import frames_to_review, rule_messages
    from gotowce_dagster.review.push import push
    from gotowce_dagster.review.tasks import content_digest

    project = Project.find()
    paths, params = project.paths, project.params
    reasons = rule_messages(params.cleaned_labels)
    labelled = [video for video in project.videos if paths.labels(video).exists()]
    try:
        room = connect(find(paths.root))
        frames = frames_to_review(paths, labelled, params.review.tasks)
        pushed = push(
            room,
            frames,
            paths.data / "frames",
            params.review.tasks,
            why=reasons,
            names=project.names,
            progress=progress(context),
        )
    except GotowceError as error:
        raise dg.Failure(str(error)) from error
    shown = "".join(content_digest(frame, params.review.tasks, reasons) for frame in frames)
    return dg.MaterializeResult(
        data_version=dg.DataVersion(_digest(shown)), metadata=_sent(paths, frames, pushed)
    )


# A source without upstream assets, like raw_videos, so that new tasks do not make it look stale.
@dg.asset(group_name=GROUP, kinds={"labelstudio"})
def reviewed_labels(
    context: dg.AssetExecutionContext, progress: dg.ResourceParam[ProgressOf]
) -> dg.MaterializeResult:
    """Human reviews of frames in data/reviewed, a source tracked by DVC; pulled reviews are never dropped.

    A missing server is no failure: pulled reviews stay as they are, and the next run reads everything new.
    """
    project = Project.find()
    try:
        pulled = pull_reviews(project, connect(find(project.paths.root)), progress=progress(context))
    except ServerDownError as error:
        keep_reviews(project.paths)
        result: Metadata = {"how": dg.MetadataValue.text(f"no reviews read, nothing changed: {error}")}
    except GotowceError as error:
        raise dg.Failure(str(error)) from error
    else:
        changed = ", ".join(pulled.videos) or "nothing"
        missing = "" if pulled.project else "; Label Studio has no such project yet"
        result = {
            "how": dg.MetadataValue.text(f"read from Label Studio: {changed} changed{missing}"),
            "frames_read": dg.MetadataValue.int(pulled.frames),
        }
        if pulled.problems:
            result["notes"] = dg.MetadataValue.md("\n".join(f"- {problem}" for problem in pulled.problems))
    context.log.info(str(result["how"].value))
    return dg.MaterializeResult(
        data_version=dg.DataVersion(reviews_version(project.paths)),
        metadata=reviewed_metadata(project) | result,
    )


def reviews_version(paths: Paths) -> str:
    """Digest of all pulled reviews, of frames and of whole videos."""
    folder, repo = paths.reviewed_videos, DvcRepo(paths.root)
    files = {*folder.rglob("*.json"), *tracked_files(folder)}
    names = sorted(file.relative_to(folder).as_posix() for file in files)
    return _digest("".join(f"{name} {repo.tracked_digest(folder / name)}\n" for name in names))


def reviewed_metadata(project: Project) -> Metadata:
    """Metrics of all reviews, which Dagster plots over time."""
    metrics = reviewed_so_far(project.paths, project.videos, project.params)
    return {name: number_metadata(value) for name, value in metrics.items()}


def _sent(paths: Paths, frames: Sequence["FrameToReview"], pushed: "Pushed") -> Metadata:
    from gotowce_dagster.pictures.contact_sheet import contact_sheet

    counts = {name: getattr(pushed, name) for name in ("created", "renewed", "unchanged", "kept")}
    metadata: Metadata = {name: dg.MetadataValue.int(count) for name, count in counts.items()}
    metadata["audit_frames"] = dg.MetadataValue.int(sum(frame.sample == "audit" for frame in frames))
    metadata["project"] = dg.MetadataValue.url(pushed.url)
    if pushed.problems:
        metadata["notes"] = dg.MetadataValue.md("\n".join(f"- {problem}" for problem in pushed.problems))
    if frames:
        shown = frames[:_SHOWN]
        captions = [
            f"{frame.video}\nframe {frame.frame_index}, {frame.sample}, turn {number}"
            for number, frame in enumerate(shown, start=1)
        ]
        sheet = contact_sheet([_closeup(paths, frame) for frame in shown], captions)
        metadata["picture"] = picture_metadata(
            sheet, paths.pictures("review_tasks", None), "first frames of the queue"
        )
    return metadata


def _closeup(paths: Paths, frame: "FrameToReview") -> np.ndarray:
    from gotowce_dagster.core.detections import class_names, from_rows
    from gotowce_dagster.pictures.overlay import closeup
    from gotowce_dagster.pictures.read import read_rgb

    picture = read_rgb(paths.data / frame.file)
    if not frame.labels:
        return picture
    boxes = from_rows(frame.labels, "class_name")
    return closeup(picture, boxes, class_names(boxes).tolist(), box=boxes.xyxy[0], margin=2.0)


def _digest(text: str) -> str:
    return hashlib.md5(text.encode(), usedforsecurity=False).hexdigest()
