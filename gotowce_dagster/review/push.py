"""Send frames to reviewers. Nothing is made twice, and nothing that a human touched is changed."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from gotowce_dagster.config.params import ReviewTasksParams
from gotowce_dagster.core.errors import InputError
from gotowce_dagster.core.progress import Progress, silent
from gotowce_dagster.review.config import extended, labelling_config, mask_form, offered_classes
from gotowce_dagster.review.connection import Room, plain_errors
from gotowce_dagster.review.room import ahead, find_project, list_tasks
from gotowce_dagster.review.tasks import MODEL_VERSION, FrameToReview, content, prediction, task_data

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
    """What a push did, counted in tasks."""

    project: int
    url: str
    """Of the project's page."""
    created: int = 0
    renewed: int = 0
    """Their labels had changed and no human had touched them."""
    unchanged: int = 0
    kept: int = 0
    """Their labels had changed, but a human had touched them: they stay as they were."""
    problems: list[str] = field(default_factory=list)
    """Frames that were not sent, and why."""


@dataclass(frozen=True)
class _Known:
    """A task that is there already."""

    id: int
    content: str
    touched: bool


class _Made(NamedTuple):
    """What becomes a task."""

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
    """Make a task of every frame that has none yet; called again after a break, it goes on where it stopped.

    Args:
        frames_folder: where the frames' pictures lie; the server must see it too.
        why: a sentence for each rule that labels name as a reason.
        names: the key of each video by every name it has had: tasks of a renamed video are its own.
        progress: told frames that are done with, and all.

    Raises:
        InputError: the server refuses the configuration or the folder, or lacks what we read.
        ServerDownError: it went away; what it has, it keeps.
    """
    progress(0, len(frames))
    client = room.client
    with plain_errors(room.url):
        project = _project(
            client, params, [label["class_name"] for frame in frames for label in frame.labels]
        )
        serve_files(client, project.id, frames_folder)
        known = _known(client, project.id, names or {})
        pushed = Pushed(project.id, f"{room.url}/projects/{project.id}")
        new: list[FrameToReview] = []
        stale: list[FrameToReview] = []
        for frame in frames:
            there = known.get(frame.uid)
            if there is None:
                new.append(frame)
            elif there.content == content(frame, params, why):
                pushed.unchanged += 1
            elif there.touched:
                pushed.kept += 1
            else:
                stale.append(frame)
        done = pushed.unchanged + pushed.kept
        progress(done, len(frames))
        check = _checker(project.label_config, pushed.problems)
        for rows, send in ((new, _create), (stale, _renew)):
            batches = [rows[start : start + params.batch] for start in range(0, len(rows), params.batch)]
            made = ([_make(frame, params, why) for frame in batch] for batch in batches)
            for batch in ahead(made):
                if whole := [parts for parts in batch if check(parts.frame, parts.prediction)]:
                    send(client, project.id, whole, known)
                done += len(batch)
                pushed.created += len(whole) if send is _create else 0
                pushed.renewed += len(whole) if send is _renew else 0
                progress(done, len(frames))
        # The server shows reviewers the predictions of one version only, and takes the first that comes.
        if frames and project.model_version != MODEL_VERSION:
            client.projects.update(project.id, model_version=MODEL_VERSION)
    return pushed


def _project(client: "LabelStudio", params: ReviewTasksParams, classes: Sequence[str]) -> Any:
    """The project of that title, made if it is not there, with a configuration that offers these classes."""
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
    config = extended(found.label_config, offered)
    if mask_form(config) != params.masks:
        raise InputError(
            f"params.yaml: review.tasks.masks is {params.masks}, but {params.project} in Label Studio was "
            f"made for the other form; keep that, or begin anew with another review.tasks.project"
        )
    return found if config == found.label_config else client.projects.update(found.id, label_config=config)


def serve_files(client: "LabelStudio", project: int, folder: Path) -> None:
    """Let the project's reviewers see the pictures: without a storage the server gives 404 for each."""
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
            f"{path}: this Label Studio may not serve it; start it with `gotowce review serve`, or with "
            f"LABEL_STUDIO_LOCAL_FILES_SERVING_ENABLED=true and "
            f"LABEL_STUDIO_LOCAL_FILES_DOCUMENT_ROOT={folder.resolve().parent}"
        ) from error


def _known(client: "LabelStudio", project: int, names: Mapping[str, str]) -> dict[str, _Known]:
    """The tasks that are there, by the uid that their frame has now."""
    fields = ("id", "data", "drafts", "total_annotations", "cancelled_annotations")

    def uid(task: Mapping[str, Any]) -> str:
        video, slash, frame = str(task["data"].get("uid")).partition("/")
        return f"{names.get(video, video)}{slash}{frame}"

    return {
        uid(task): _Known(
            task["id"],
            str(task["data"].get("content")),
            bool(task["total_annotations"] or task["cancelled_annotations"] or task["drafts"]),
        )
        for task in list_tasks(client, project, fields)
    }


def _checker(config: str, problems: list[str]) -> Callable[[FrameToReview, dict[str, Any]], bool]:
    """Whether a prediction fits the configuration, which the server does not ask; if not, a problem more."""
    from label_studio_sdk.label_interface import LabelInterface

    interface = LabelInterface(config)

    def fits(frame: FrameToReview, found: dict[str, Any]) -> bool:
        errors = interface.validate_prediction({"result": found["result"]}, return_errors=True)
        if errors:
            problems.append(f"{frame.video} frame {frame.frame_index}: {'; '.join(errors)}")
        return not errors

    return fits


def _make(frame: FrameToReview, params: ReviewTasksParams, why: Mapping[str, str]) -> _Made:
    return _Made(frame, task_data(frame, params, why), prediction(frame, params))


def _create(client: "LabelStudio", project: int, batch: Sequence[_Made], known: Mapping[str, _Known]) -> None:
    # The SDK's type asks for what only the server can know, the task's id.
    tasks: Any = [{"data": made.data, "predictions": [made.prediction]} for made in batch]
    client.projects.import_tasks(project, request=tasks)


def _renew(client: "LabelStudio", project: int, batch: Sequence[_Made], known: Mapping[str, _Known]) -> None:
    """Replace predictions. The data with its digest comes last: after a break it is done again."""
    from label_studio_sdk import PredictionRequest

    ids = [known[made.frame.uid].id for made in batch]
    client.actions.create(
        id="delete_tasks_predictions", project=project, selected_items={"all": False, "included": ids}
    )
    made_of = list(zip(ids, batch, strict=True))
    predictions = [PredictionRequest(task=id, **made.prediction) for id, made in made_of]
    client.projects.import_predictions(project, request=predictions)
    for id, made in made_of:
        client.tasks.update(str(id), data=made.data)
