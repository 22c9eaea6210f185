"""Push frames to Label Studio. No task is created twice, and no task edited by a human is changed."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from gotowce_dagster.config.params import ReviewTasksParams
from gotowce_dagster.core.errors import InputError
from gotowce_dagster.core.progress import Progress, silent
from gotowce_dagster.review.config import labelling_config, mask_form, offered_classes, with_classes
from gotowce_dagster.review.connection import Room, plain_errors
from gotowce_dagster.review.room import find_project, list_tasks, prefetch
from gotowce_dagster.review.tasks import MODEL_VERSION, FrameToReview, content_digest, prediction, task_data

if TYPE_CHECKING:
    from label_studio_sdk import LabelStudio

_INSTRUCTION = (
    "<p><b>a</b> accept: every target has its box and mask, and nothing else has one.<br>"
    "<b>f</b> fix: so it is now, after you moved, painted, deleted or drew.<br>"
    "<b>r</b> reject: nothing should be learned from this frame.<br>"
    "Then Submit (Ctrl+Enter). Skip what you cannot judge.</p>"
)


@dataclass
class Pushed:
    """Result of a push, in tasks."""

    project: int
    url: str
    """URL of the project's page."""
    created: int = 0
    renewed: int = 0
    """Their labels had changed, and no human had edited them."""
    unchanged: int = 0
    kept: int = 0
    """Their labels had changed, but a human had edited them: they stay as they were."""
    problems: list[str] = field(default_factory=list)
    """Frames that were not pushed, and why."""


@dataclass(frozen=True)
class _Task:
    """An existing task."""

    id: int
    content: str
    touched: bool


class _NewTask(NamedTuple):
    """The contents of a new or renewed task."""

    frame: FrameToReview
    data: dict[str, Any]
    prediction: dict[str, Any]


def push(
    room: Room,
    frames: Sequence[FrameToReview],
    frames_folder: Path,
    params: ReviewTasksParams,
    *,
    why: Mapping[str, str],
    names: Mapping[str, str] | None = None,
    progress: Progress = silent,
) -> Pushed:
    """Create a task for every frame without one; after an interruption, a new call continues.

    Args:
        frames_folder: Folder of the frame images; the server must have access to it.
        why: Message of each rule that labels name as a reason.
        names: The key of each video, by every name it has had: a renamed video keeps its tasks.
        progress: Called with the number of finished frames, and of all frames.

    Raises:
        InputError: The server rejects the configuration or the folder, or lacks a field that we read.
        ServerDownError: The server stopped responding; it keeps the tasks it already has.
    """
    progress(0, len(frames))
    client = room.client
    with plain_errors(room.url):
        project = _project(
            client, params, [label["class_name"] for frame in frames for label in frame.labels]
        )
        serve_files(client, project.id, frames_folder)
        tasks = _tasks_by_uid(client, project.id, names or {})
        pushed = Pushed(project.id, f"{room.url}/projects/{project.id}")
        new: list[FrameToReview] = []
        stale: list[FrameToReview] = []
        for frame in frames:
            existing = tasks.get(frame.uid)
            if existing is None:
                new.append(frame)
            elif existing.content == content_digest(frame, params, why):
                pushed.unchanged += 1
            elif existing.touched:
                pushed.kept += 1
            else:
                stale.append(frame)
        done = pushed.unchanged + pushed.kept
        progress(done, len(frames))
        check = _checker(project.label_config, pushed.problems)
        for rows, send in ((new, _create), (stale, _renew)):
            batches = [rows[start : start + params.batch] for start in range(0, len(rows), params.batch)]
            built = ([_build(frame, params, why) for frame in batch] for batch in batches)
            for batch in prefetch(built):
                if whole := [parts for parts in batch if check(parts.frame, parts.prediction)]:
                    send(client, project.id, whole, tasks)
                done += len(batch)
                pushed.created += len(whole) if send is _create else 0
                pushed.renewed += len(whole) if send is _renew else 0
                progress(done, len(frames))
        # The server shows predictions of one version only, by default the first it received.
        if frames and project.model_version != MODEL_VERSION:
            client.projects.update(project.id, model_version=MODEL_VERSION)
    return pushed


def _project(client: "LabelStudio", params: ReviewTasksParams, classes: Sequence[str]) -> Any:
    """Get or create the project with that title, with a configuration that offers these classes."""
    found = find_project(client, params.project)
    offered = offered_classes(params.classes, classes)
    if found is None:
        return client.projects.create(
            title=params.project,
            label_config=labelling_config(offered, params.masks),
            expert_instruction=_INSTRUCTION,
            sampling="Uncertainty sampling",
            enable_empty_annotation=True,
            maximum_annotations=1,
            show_collab_predictions=True,
        )
    config = with_classes(found.label_config, offered)
    if mask_form(config) != params.masks:
        raise InputError(
            f"params.yaml: review.tasks.masks is {params.masks}, but {params.project} in Label Studio was "
            f"created for the other form; keep that form, or start over with another review.tasks.project"
        )
    return found if config == found.label_config else client.projects.update(found.id, label_config=config)


def serve_files(client: "LabelStudio", project: int, folder: Path) -> None:
    """Add the images' folder to the project as storage; without it the server returns 404 for each image."""
    from label_studio_sdk.core.api_error import ApiError

    path = str(folder.resolve())
    if any(storage.path == path for storage in client.import_storage.local.list(project=project)):
        return
    try:
        client.import_storage.local.create(project=project, path=path, title=folder.name, use_blob_urls=True)
    except ApiError as error:
        if error.status_code != 400:
            raise
        raise InputError(
            f"{path}: this Label Studio may not serve this folder; start it with `gotowce review serve`, or "
            f"with LABEL_STUDIO_LOCAL_FILES_SERVING_ENABLED=true and "
            f"LABEL_STUDIO_LOCAL_FILES_DOCUMENT_ROOT={folder.resolve().parent}"
        ) from error


def _tasks_by_uid(client: "LabelStudio", project: int, names: Mapping[str, str]) -> dict[str, _Task]:
    """The existing tasks, by the current uid of their frame."""
    fields = ("id", "data", "drafts", "total_annotations", "cancelled_annotations")

    def uid(task: Mapping[str, Any]) -> str:
        video, slash, frame = str(task["data"].get("uid")).partition("/")
        return f"{names.get(video, video)}{slash}{frame}"

    return {
        uid(task): _Task(
            task["id"],
            str(task["data"].get("content")),
            bool(task["total_annotations"] or task["cancelled_annotations"] or task["drafts"]),
        )
        for task in list_tasks(client, project, fields)
    }


def _checker(config: str, problems: list[str]) -> Callable[[FrameToReview, dict[str, Any]], bool]:
    """Build a check of predictions against the configuration, which the server does not make itself.

    The check adds a problem for a prediction that does not fit.
    """
    from label_studio_sdk.label_interface import LabelInterface

    interface = LabelInterface(config)

    def fits(frame: FrameToReview, predicted: dict[str, Any]) -> bool:
        errors = interface.validate_prediction({"result": predicted["result"]}, return_errors=True)
        if errors:
            problems.append(f"{frame.video} frame {frame.frame_index}: {'; '.join(errors)}")
        return not errors

    return fits


def _build(frame: FrameToReview, params: ReviewTasksParams, why: Mapping[str, str]) -> _NewTask:
    return _NewTask(frame, task_data(frame, params, why), prediction(frame, params))


def _create(
    client: "LabelStudio", project: int, batch: Sequence[_NewTask], by_uid: Mapping[str, _Task]
) -> None:
    # The SDK's type requires the task's id, which only the server can know.
    tasks: Any = [{"data": built.data, "predictions": [built.prediction]} for built in batch]
    client.projects.import_tasks(project, request=tasks)


def _renew(
    client: "LabelStudio", project: int, batch: Sequence[_NewTask], by_uid: Mapping[str, _Task]
) -> None:
    """Replace predictions. The data with its digest is updated last, so an interrupted update is repeated."""
    from label_studio_sdk import PredictionRequest

    ids = [by_uid[built.frame.uid].id for built in batch]
    client.actions.create(
        id="delete_tasks_predictions", project=project, selected_items={"all": False, "included": ids}
    )
    updates = list(zip(ids, batch, strict=True))
    predictions = [PredictionRequest(task=id, **built.prediction) for id, built in updates]
    client.projects.import_predictions(project, request=predictions)
    for id, built in updates:
        client.tasks.update(str(id), data=built.data)
