"""Pull reviews from Label Studio. Pulled reviews are never lost, whatever happens in Label Studio."""

import hashlib
import json
from collections import defaultdict
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime, timedelta

from gotowce_dagster.config.paths import Paths
from gotowce_dagster.core.errors import InputError
from gotowce_dagster.core.files import fresh_file
from gotowce_dagster.core.progress import Progress, silent
from gotowce_dagster.core.sources import require_pulled, tracked_files
from gotowce_dagster.labels.reviews import ReviewedFrame, merged, read_reviewed, write_reviewed
from gotowce_dagster.review.connection import Room, plain_errors, server_folder
from gotowce_dagster.review.room import find_project, list_tasks, prefetch
from gotowce_dagster.review.tasks import read_task, task_key

_BATCH = 250
_SETTLED_S = 5.0
_SUMMARY_FIELDS = ("id", "project", "created_at", "updated_at", "total_annotations", "cancelled_annotations")
_FULL_FIELDS = (
    *("id", "project", "created_at", "data", "annotations", "predictions"),
    # Included fields apply to annotations and predictions too.
    *("result", "updated_at", "completed_by", "lead_time", "was_cancelled", "parent_prediction"),
)


@dataclass
class Pulled:
    """Result of a pull."""

    project: int | None
    """Id in Label Studio. None: there is no such project; earlier pulls stay as they are."""
    frames: int = 0
    """Frames whose reviews were read."""
    videos: list[str] = field(default_factory=list)
    """Videos whose file changed."""
    problems: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class Cursor:
    """Position of the last pull: the project, the time of the last change read, and a digest of the files."""

    project: str
    after: str
    files: str


def pull(
    room: Room,
    paths: Paths,
    title: str,
    *,
    names: Mapping[str, str] | None = None,
    again: bool = False,
    progress: Progress = silent,
) -> Pulled:
    """Read reviews that changed since the last pull, and write data/reviewed/VIDEO.json of their videos.

    A damaged review file stays as it is and is reported as a problem; the other videos are pulled. All
    reviews are read if the title now belongs to another project, or if the files have changed since the last
    pull.

    Args:
        title: Title of the project in Label Studio.
        names: The key of each video, by every name it has had. Reviews under any other name belong to a
            removed video: they stay in Label Studio and are reported. None: every name is a key.
        again: Read all reviews in any case.
        progress: Called with the number of tasks read, and of all changed tasks.

    Raises:
        ServerDownError: The server stopped responding. Nothing was written, and the next pull starts at the
            same point.
        InputError: The server rejects the token, or a review file is not pulled with DVC.
    """
    require_pulled(tracked_files(paths.reviewed_videos))
    with plain_errors(room.url):
        project = find_project(room.client, title)
        if project is None:
            return Pulled(None)
        name = f"{room.url}/projects/{project.id}@{_utc(project.created_at)}"
        began, cursor = datetime.now(UTC), _read_cursor(paths)
        is_next = cursor and not again and cursor.project == name and cursor.files == _files(paths)
        after = cursor.after if cursor and is_next else ""
        changed = list(list_tasks(room.client, project.id, _SUMMARY_FIELDS, changed_after=after))
        pulled = Pulled(project.id)
        pulled_tasks = _pulled_tasks(paths, pulled.problems) if changed else set()
        task_ids = [
            task["id"]
            for task in changed
            if task["total_annotations"] or task["cancelled_annotations"] or task_key(task) in pulled_tasks
        ]
        progress(0, len(task_ids))
        seen: dict[str, list[tuple[str, ReviewedFrame]]] = defaultdict(list)
        unknown: dict[str, int] = defaultdict(int)
        batches = [task_ids[start : start + _BATCH] for start in range(0, len(task_ids), _BATCH)]
        pages = (list(list_tasks(room.client, project.id, _FULL_FIELDS, ids=ids)) for ids in batches)
        for number, tasks in enumerate(prefetch(pages), start=1):
            for task in tasks:
                try:
                    found = read_task(task)
                except ValueError as error:
                    pulled.problems.append(str(error))
                    continue
                if found:
                    video = found.video if names is None else names.get(found.video)
                    if video is None:
                        unknown[found.video] += 1
                        continue
                    seen[video].append((found.task, found.frame))
                    pulled.problems += found.problems
            progress(min(number * _BATCH, len(task_ids)), len(task_ids))
    pulled.frames = sum(map(len, seen.values()))
    pulled.problems += [
        f"{video}: not a video of this project; the reviews of {count} of its frames stay in Label Studio"
        for video, count in sorted(unknown.items())
    ]
    for video, frames in sorted(seen.items()):
        try:
            known = read_reviewed(paths.reviewed(video))
        except InputError as error:
            # Overwriting would lose its reviews. Once it is restored, the next pull reads everything.
            pulled.problems.append(str(error))
            continue
        if (updated := merged(known, frames)) != known:
            write_reviewed(paths.reviewed(video), updated)
            pulled.videos.append(video)
    pulled.problems = list(dict.fromkeys(pulled.problems))
    # A change made during this pull may have an earlier time than one already read.
    settled = _utc(began - timedelta(seconds=_SETTLED_S))
    latest = max((_utc(task["updated_at"]) for task in changed), default=after)
    _write_cursor(paths, Cursor(name, min(latest, settled) if latest else settled, _files(paths)))
    return pulled


def _utc(time: datetime | str) -> str:
    """Format a time the way Label Studio accepts it; any other format makes it fail."""
    moment = datetime.fromisoformat(time) if isinstance(time, str) else time
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def _pulled_tasks(paths: Paths, problems: list[str]) -> set[str]:
    """The tasks of all pulled reviews; a damaged file is reported as a problem."""
    tasks: set[str] = set()
    for file in sorted(paths.reviewed_videos.glob("*.json")):
        try:
            reviewed = read_reviewed(file)
        except InputError as error:
            problems.append(str(error))
            continue
        tasks |= {review.task for frame in reviewed.frames for review in frame.reviews}
    return tasks


def _files(paths: Paths) -> str:
    """Digest of all review files, which may have been checked out again, or removed."""
    digest = hashlib.sha256()
    for file in sorted(paths.reviewed_videos.glob("*.json")):
        digest.update(f"{file.name}\0".encode() + file.read_bytes())
    return digest.hexdigest()


def _read_cursor(paths: Paths) -> Cursor | None:
    """Position of the last pull; None if its file is missing or damaged, so that everything is read."""
    try:
        return Cursor(**json.loads((server_folder(paths.root) / "pulled.json").read_text(encoding="utf-8")))
    except (OSError, ValueError, TypeError, RecursionError):
        return None


def _write_cursor(paths: Paths, cursor: Cursor) -> None:
    server_folder(paths.root).mkdir(mode=0o700, parents=True, exist_ok=True)
    with fresh_file(server_folder(paths.root) / "pulled.json") as new:
        new.write_text(json.dumps(asdict(cursor)), encoding="utf-8")
