"""A video's objects to Label Studio and back: one project of videos, one task a video."""

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
from gotowce_dagster.labels.followed import (
    TrackedVideo,
    TrackReview,
    frame_rows,
    merged,
    read_tracked,
    write_tracked,
)
from gotowce_dagster.review.config import colour
from gotowce_dagster.review.connection import Room, plain_errors
from gotowce_dagster.review.frames import read_labels
from gotowce_dagster.review.push import serve_files
from gotowce_dagster.review.regions import Size
from gotowce_dagster.review.room import find_project, list_tasks
from gotowce_dagster.review.tasks import MODEL_VERSION, fault, file_url, task_key
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
    """What sending a video did."""

    url: str
    """Of its task."""
    done: Literal["created", "renewed", "unchanged", "kept"]
    """kept: its tracks had changed, but a human had touched them."""
    objects: int
    key_frames: int


@dataclass
class PulledVideo:
    """What was read of a video."""

    file: str = ""
    """Empty where nobody has said anything yet."""
    reviews: int = 0
    objects: int = 0
    """Of the newest review that was sent."""
    frames: int = 0
    """Boxes, one a frame an object is in."""
    problems: list[str] = field(default_factory=list)
    """Annotations that cannot be read."""


def title_of(project: Project) -> str:
    """The project of videos stands beside that of frames."""
    return f"{project.params.review.tasks.project} videos"


def video_config(classes: Sequence[str]) -> str:
    """The labelling page for a video: boxes with key frames, of these classes."""
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
    """Send a video with the objects that data/masks/VIDEO.parquet follows through it.

    A task that a human touched stays as it is; another one is renewed if its tracks have changed.

    Raises:
        InputError: the video has no masks yet, or a variable frame rate; or the server refuses something.
        ServerDownError: the server went away.
    """
    paths, path = project.paths, project.raw(video)
    info = probe(path)
    refuse_variable_rate(path, info)
    masks = read_table(paths.masks(video), MASKS)
    frames = read_table(paths.frame_index(video), FRAMES)
    looked_at = frames.loc[frames["kept"], "frame_index"]
    tracks = tracks_of(masks, looked_at, project.params.review.video.tolerance_px)
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
        there = _project(room.client, title_of(project), classes or ["target"])
        serve_files(room.client, there.id, paths.raw)
        known = next((t for t in list_tasks(room.client, there.id, _TOUCHED) if _is(t, project, video)), None)
        task, done = _send(room.client, there.id, known, data, prediction)
        if there.model_version != MODEL_VERSION:
            room.client.projects.update(there.id, model_version=MODEL_VERSION)
    return PushedVideo(
        url=f"{room.url}/projects/{there.id}/data?task={task}",
        done=done,
        objects=len(tracks),
        key_frames=sum(len(track.key_frames) for track in tracks),
    )


def pull_video(room: Room, project: Project, video: str) -> PulledVideo:
    """Read what humans said of a video's objects into data/reviewed/tracks/VIDEO.json.

    What is home already is never dropped: a review that was deleted in Label Studio is marked withdrawn.

    Raises:
        InputError: this video was never sent, or its file is damaged.
        ServerDownError: the server went away; nothing was written.
    """
    with plain_errors(room.url):
        there = find_project(room.client, title_of(project))
        tasks = (
            []
            if there is None
            else [t for t in list_tasks(room.client, there.id, _FIELDS) if _is(t, project, video)]
        )
    if not tasks:
        raise InputError(
            f"{video}: Label Studio does not have it; `gotowce review push-video {video}` sends it"
        )
    pulled = PulledVideo()
    path = project.paths.reviewed_tracks(video)
    known = before = read_tracked(path)
    for task in tasks:
        try:
            seen = _tracked(video, task, pulled.problems)
        except ValidationError as error:
            pulled.problems.append(f"{video}, task {task['id']}: {in_words(error)}")
            continue
        _check_size(project, video, seen)
        known = merged(known, seen, task_key(task))
    if known is None:
        return pulled
    if known.reviews and known != before:
        write_tracked(path, known)
    pulled.file = str(path) if known.reviews else ""
    pulled.reviews = len(known.reviews)
    if known.decision:
        pulled.objects = len(known.decision.tracks)
        pulled.frames = len(frame_rows(known.decision.tracks, known.frames))
    return pulled


def save_truth(project: Project, video: str) -> int:
    """Make hand-checked boxes (data/truth/VIDEO.csv) of the sampled frames from the newest review; how many.

    Raises:
        InputError: nobody reviewed the video's objects, or there are such boxes already.
    """
    tracked = read_tracked(project.paths.reviewed_tracks(video))
    if tracked is None or tracked.decision is None:
        raise InputError(f"{video}: nobody has sent its objects in Label Studio yet")
    frames = read_table(project.paths.frame_index(video), FRAMES)
    rows = frame_rows(tracked.decision.tracks, tracked.frames)
    return write_truth(
        project.paths.truth(video), video, rows, frames.loc[frames["kept"], "frame_index"].tolist()
    )


def _check_size(project: Project, video: str, seen: TrackedVideo) -> None:
    """Raises: InputError: another video than the one here was sent under this name."""
    path = project.raw(video)
    if not path.exists():
        return  # not pulled; the dataset compares with the size of its frames
    info = probe(path)
    here, sent = (info.width, info.height, info.frames), (seen.width, seen.height, seen.frames)
    if here != sent:
        raise InputError(
            f"{video}: Label Studio has it as {sent[0]} x {sent[1]} pixels and {sent[2]} frames, but {path} "
            f"has {here[0]} x {here[1]} and {here[2]}; another video has taken the name: delete its task "
            f"there and send it anew with `gotowce review push-video {video}`"
        )


def _uid(video: str) -> str:
    return f"video/{video}"


def _is(task: Mapping[str, Any], project: Project, video: str) -> bool:
    """Whether a task shows the video, under any name that it has had."""
    return task["data"].get("uid") in {_uid(name) for name, key in project.names.items() if key == video}


def _project(client: "LabelStudio", title: str, classes: Sequence[str]) -> Any:
    """The project of that title, with a page that offers at least these classes."""
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
    # None is taken away: annotations may use it.
    if new := [name for name in classes if name not in offered]:
        return client.projects.update(found.id, label_config=video_config([*offered, *new]))
    return found


def _send(
    client: "LabelStudio",
    project: int,
    known: Mapping[str, Any] | None,
    data: dict[str, Any],
    prediction: dict[str, Any],
) -> tuple[int, Literal["created", "renewed", "unchanged", "kept"]]:
    """The task's number and what was done. The data comes last: after a break all is done again."""
    from label_studio_sdk import PredictionRequest

    if known is None:
        # The SDK's type asks for what only the server can know, the task's id.
        tasks: Any = [{"data": data, "predictions": [prediction]}]
        client.projects.import_tasks(project, request=tasks)
        made = next(t for t in list_tasks(client, project, ("id", "data")) if t["data"] == data)
        return made["id"], "created"
    task = known["id"]
    if known["data"] == data:
        return task, "unchanged"
    if known["total_annotations"] or known["cancelled_annotations"] or known["drafts"]:
        return task, "kept"
    client.actions.create(
        id="delete_tasks_predictions", project=project, selected_items={"all": False, "included": [task]}
    )
    client.projects.import_predictions(project, request=[PredictionRequest(task=task, **prediction)])
    client.tasks.update(str(task), data=data)
    return task, "renewed"


def _tracked(video: str, task: Mapping[str, Any], problems: list[str]) -> TrackedVideo:
    """What one task says; an annotation that cannot be read becomes a problem."""
    data = task["data"]
    blank = TrackedVideo(
        video=video,
        frames=data.get("frames"),
        width=data.get("width"),
        height=data.get("height"),
        fps=data.get("fps"),
    )
    size, frames = Size(blank.width, blank.height), blank.frames
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
            blank.check_review(review)
            reviews.append(review)
        except (LookupError, TypeError, ValueError, AttributeError) as error:
            problems.append(f"{video}, annotation {annotation.get('id')}: {fault(error)}")
    return blank.model_copy(update={"reviews": tuple(reviews)})
