"""Push and pull of a video's tracks: one Label Studio project for all videos, one task per video."""

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import TYPE_CHECKING, Any, Literal
from xml.etree import ElementTree

from pydantic import ValidationError

from gotowce_dagster.config.project import Project
from gotowce_dagster.core.errors import InputError
from gotowce_dagster.core.tables import FRAMES, MASKS, read_table
from gotowce_dagster.core.validation import in_words
from gotowce_dagster.labels import followed
from gotowce_dagster.labels.followed import TrackedVideo, TrackReview
from gotowce_dagster.review.config import colour
from gotowce_dagster.review.connection import Room, plain_errors
from gotowce_dagster.review.frames import read_labels
from gotowce_dagster.review.push import serve_files
from gotowce_dagster.review.regions import Size
from gotowce_dagster.review.room import find_project, list_tasks
from gotowce_dagster.review.tasks import MODEL_VERSION, describe_error, file_url, task_key
from gotowce_dagster.review.video_objects import (
    read_regions,
    refuse_variable_rate,
    tracks_of,
    video_regions,
    write_truth,
)
from gotowce_dagster.video.decode import probe

if TYPE_CHECKING:
    from label_studio_sdk import LabelStudio

_FIELDS = (
    *("id", "project", "created_at", "data", "annotations"),
    *("result", "updated_at", "completed_by", "was_cancelled"),
)
_TOUCHED = ("id", "data", "drafts", "total_annotations", "cancelled_annotations")


@dataclass
class PushedVideo:
    """Result of pushing a video."""

    url: str
    """URL of its task."""
    done: Literal["created", "renewed", "unchanged", "kept"]
    """kept: its tracks had changed, but a human had edited them."""
    objects: int
    key_frames: int


@dataclass
class PulledVideo:
    """Result of pulling a video."""

    file: str = ""
    """The review file; empty if there is no review yet."""
    reviews: int = 0
    objects: int = 0
    """Objects of the newest submitted review."""
    frames: int = 0
    """Number of boxes: one per object and frame."""
    problems: list[str] = field(default_factory=list)
    """Annotations that cannot be read, and why."""


def title_of(project: Project) -> str:
    """Title of the project of videos, which is separate from that of frames."""
    return f"{project.params.review.tasks.project} videos"


def video_config(classes: Sequence[str]) -> str:
    """Build the labelling page for a video: boxes of these classes, with key frames."""
    view = ElementTree.Element("View")
    labels = ElementTree.SubElement(view, "Labels", name="label", toName="video")
    for number, name in enumerate(classes):
        ElementTree.SubElement(labels, "Label", value=name, background=colour(number))
    ElementTree.SubElement(
        view, "Video", name="video", value="$video", framerate="$fps", timelineHeight="120"
    )
    ElementTree.SubElement(view, "VideoRectangle", name="box", toName="video")
    return ElementTree.tostring(view, encoding="unicode")


def push_video(room: Room, project: Project, video: str) -> PushedVideo:
    """Push a video with the tracks in data/masks/VIDEO.parquet.

    A task that a human has edited stays as it is; any other is renewed if its tracks have changed.

    Raises:
        InputError: The video has no masks yet or a variable frame rate, or the server rejects a request.
        ServerDownError: The server stopped responding.
    """
    paths, path = project.paths, project.raw(video)
    info = probe(path)
    refuse_variable_rate(path, info)
    masks = read_table(paths.masks(video), MASKS)
    frames = read_table(paths.frame_index(video), FRAMES)
    sampled = frames.loc[frames["kept"], "frame_index"]
    tracks = tracks_of(masks, sampled, project.params.review.video.tolerance_px)
    result = video_regions(tracks, info)
    data = {
        "uid": _uid(video),
        "video": file_url(path.relative_to(paths.data)),
        "fps": info.fps,
        "frames": info.frames,
        "width": info.width,
        "height": info.height,
        "content": hashlib.sha256(json.dumps(result, sort_keys=True).encode()).hexdigest()[:16],
    }
    prediction = {"model_version": MODEL_VERSION, "result": result}
    labelled = [name for name in project.videos if paths.labels(name).exists()]
    in_use = {track.class_name for track in tracks} | set(read_labels(paths, labelled)["class_name"])
    classes = project.params.review.tasks.classes or sorted(in_use)
    with plain_errors(room.url):
        remote = _project(room.client, title_of(project), classes or ["target"])
        serve_files(room.client, remote.id, paths.raw)
        existing = next(
            (t for t in list_tasks(room.client, remote.id, _TOUCHED) if _is(t, project, video)), None
        )
        task, done = _send(room.client, remote.id, existing, data, prediction)
        if remote.model_version != MODEL_VERSION:
            room.client.projects.update(remote.id, model_version=MODEL_VERSION)
    return PushedVideo(
        url=f"{room.url}/projects/{remote.id}/data?task={task}",
        done=done,
        objects=len(tracks),
        key_frames=sum(len(track.key_frames) for track in tracks),
    )


def pull_video(room: Room, project: Project, video: str) -> PulledVideo:
    """Pull reviews of a video's tracks into data/reviewed/tracks/VIDEO.json.

    Pulled reviews are never dropped: one that was deleted in Label Studio is marked as withdrawn.

    Raises:
        InputError: This video was never pushed, or its file is damaged.
        ServerDownError: The server stopped responding; nothing was written.
    """
    with plain_errors(room.url):
        remote = find_project(room.client, title_of(project))
        tasks = (
            []
            if remote is None
            else [t for t in list_tasks(room.client, remote.id, _FIELDS) if _is(t, project, video)]
        )
    if not tasks:
        raise InputError(f"{video}: not in Label Studio; push it with `gotowce review push-video {video}`")
    pulled = PulledVideo()
    path = project.paths.reviewed_tracks(video)
    existing = before = followed.read_tracked(path)
    for task in tasks:
        try:
            seen = _tracked(video, task, pulled.problems)
        except ValidationError as error:
            pulled.problems.append(f"{video}, task {task['id']}: {in_words(error)}")
            continue
        _check_size(project, video, seen)
        existing = followed.merged(existing, seen, task_key(task))
    if existing is None:
        return pulled
    if existing.reviews and existing != before:
        followed.write_tracked(path, existing)
    pulled.file = str(path) if existing.reviews else ""
    pulled.reviews = len(existing.reviews)
    if existing.decision:
        pulled.objects = len(existing.decision.tracks)
        pulled.frames = len(followed.frame_rows(existing.decision.tracks, existing.frames))
    return pulled


def save_truth(project: Project, video: str) -> int:
    """Write the newest review as ground truth of the sampled frames (data/truth/VIDEO.csv).

    Returns:
        The number of boxes.

    Raises:
        InputError: The video has no submitted review, or the file exists.
    """
    tracked = followed.read_tracked(project.paths.reviewed_tracks(video))
    if tracked is None or tracked.decision is None:
        raise InputError(
            f"{video}: no submitted review of its objects; submit one in Label Studio and pull it"
        )
    frames = read_table(project.paths.frame_index(video), FRAMES)
    rows = followed.frame_rows(tracked.decision.tracks, tracked.frames)
    return write_truth(
        project.paths.truth(video), video, rows, frames.loc[frames["kept"], "frame_index"].tolist()
    )


def _check_size(project: Project, video: str, seen: TrackedVideo) -> None:
    """Compare the size of the pushed video with the local one.

    Raises:
        InputError: Another video was pushed under this name.
    """
    path = project.raw(video)
    if not path.exists():
        return  # not pulled; the dataset compares with the size of its frames
    info = probe(path)
    local, sent = (info.width, info.height, info.frames), (seen.width, seen.height, seen.frames)
    if local != sent:
        raise InputError(
            f"{video}: Label Studio has a video of {sent[0]} x {sent[1]} pixels and {sent[2]} frames, but "
            f"{path} has {local[0]} x {local[1]} and {local[2]}; the name now belongs to another video: "
            f"delete the task in Label Studio and push it again with `gotowce review push-video {video}`"
        )


def _uid(video: str) -> str:
    return f"video/{video}"


def _is(task: Mapping[str, Any], project: Project, video: str) -> bool:
    """Whether a task shows the video, under any of its past names."""
    return task["data"].get("uid") in {_uid(name) for name, key in project.names.items() if key == video}


def _project(client: "LabelStudio", title: str, classes: Sequence[str]) -> Any:
    """Get or create the project with that title, with a page that offers at least these classes."""
    found = find_project(client, title)
    if found is None:
        return client.projects.create(
            title=title,
            label_config=video_config(classes),
            maximum_annotations=1,
            show_collab_predictions=True,
        )
    offered = [
        str(label.get("value"))
        for label in ElementTree.fromstring(found.label_config).iter("Label")  # noqa: S314 - our own server
    ]
    # No class is removed: annotations may use it.
    if new := [name for name in classes if name not in offered]:
        return client.projects.update(found.id, label_config=video_config([*offered, *new]))
    return found


def _send(
    client: "LabelStudio",
    project: int,
    existing: Mapping[str, Any] | None,
    data: dict[str, Any],
    prediction: dict[str, Any],
) -> tuple[int, Literal["created", "renewed", "unchanged", "kept"]]:
    """Create or renew a task; returns its id and what was done.

    The data is updated last, so an interrupted update is repeated.
    """
    from label_studio_sdk import PredictionRequest

    if existing is None:
        # The SDK's type requires the task's id, which only the server can know.
        tasks: Any = [{"data": data, "predictions": [prediction]}]
        client.projects.import_tasks(project, request=tasks)
        made = next(t for t in list_tasks(client, project, ("id", "data")) if t["data"] == data)
        return made["id"], "created"
    task = existing["id"]
    if existing["data"] == data:
        return task, "unchanged"
    if existing["total_annotations"] or existing["cancelled_annotations"] or existing["drafts"]:
        return task, "kept"
    client.actions.create(
        id="delete_tasks_predictions", project=project, selected_items={"all": False, "included": [task]}
    )
    client.projects.import_predictions(project, request=[PredictionRequest(task=task, **prediction)])
    client.tasks.update(str(task), data=data)
    return task, "renewed"


def _tracked(video: str, task: Mapping[str, Any], problems: list[str]) -> TrackedVideo:
    """Read the reviews of one task; an unreadable annotation is reported as a problem."""
    data = task["data"]
    empty = TrackedVideo(
        video=video,
        frames=data.get("frames"),
        width=data.get("width"),
        height=data.get("height"),
        fps=data.get("fps"),
    )
    size, frames = Size(empty.width, empty.height), empty.frames
    reviews = []
    for annotation in task["annotations"] or []:
        person = annotation.get("completed_by")
        skipped = bool(annotation["was_cancelled"])
        try:
            review = TrackReview(
                review_id=f"{annotation['id']}@{annotation['created_at']}",
                task=task_key(task),
                annotator=person.get("id") if isinstance(person, Mapping) else person,
                at=datetime.fromisoformat(annotation["updated_at"]),
                state="skipped" if skipped else "done",
                tracks=() if skipped else tuple(read_regions(annotation["result"], size, frames)),
            )
            empty.check_review(review)
            reviews.append(review)
        except (LookupError, TypeError, ValueError, AttributeError) as error:
            problems.append(f"{video}, annotation {annotation.get('id')}: {describe_error(error)}")
    return empty.model_copy(update={"reviews": tuple(reviews)})
