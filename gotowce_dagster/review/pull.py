"""Bring home what reviewers said. What is home already is never lost, whatever happens in Label Studio."""

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
from gotowce_dagster.review.connection import Room, home, plain_errors
from gotowce_dagster.review.room import ahead, find_project, list_tasks
from gotowce_dagster.review.tasks import read_task, task_key

_BATCH = 250
_SETTLED_S = 5.0
_STATE = ("id", "project", "created_at", "updated_at", "total_annotations", "cancelled_annotations")
_WHOLE = (
    *("id", "project", "created_at", "data", "annotations", "predictions"),
    # What is included counts for annotations and predictions too.
    *("result", "updated_at", "completed_by", "lead_time", "was_cancelled", "parent_prediction"),
)


@dataclass
class Pulled:
    """What a pull found."""

    project: int | None
    """None: there is no such project in Label Studio; what was pulled before stays."""
    frames: int = 0
    """Whose reviews were read anew."""
    videos: list[str] = field(default_factory=list)
    """Whose file changed."""
    problems: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class Cursor:
    """How far was read: of which project, up to which change, and what the files were like then."""

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
    """Read what changed since the last pull and write data/reviewed/VIDEO.json of each video concerned.

    A file of reviews that is damaged stays as it is and becomes a problem; the other videos are read.
    Everything is read if another project bears the title now, or if the files are not those that the last
    pull left.

    Args:
        title: of the project in Label Studio.
        names: the key of each video by every name it has had. Reviews under any other name are of a video
            that was removed: they stay in Label Studio and are reported. None: every name is a key.
        again: read everything in any case.
        progress: told tasks read, and all that changed.

    Raises:
        ServerDownError: the server went away; nothing was written, and the next pull begins where this did.
        InputError: it refuses the token, or a file of reviews is not pulled.
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
        changed = list(list_tasks(room.client, project.id, _STATE, changed_after=after))
        pulled = Pulled(project.id)
        at_home = _tasks_at_home(paths, pulled.problems) if changed else set()
        wanted = [
            task["id"]
            for task in changed
            if task["total_annotations"] or task["cancelled_annotations"] or task_key(task) in at_home
        ]
        progress(0, len(wanted))
        seen: dict[str, list[tuple[str, ReviewedFrame]]] = defaultdict(list)
        unknown: dict[str, int] = defaultdict(int)
        batches = [wanted[start : start + _BATCH] for start in range(0, len(wanted), _BATCH)]
        pages = (list(list_tasks(room.client, project.id, _WHOLE, ids=ids)) for ids in batches)
        for number, tasks in enumerate(ahead(pages), start=1):
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
            progress(min(number * _BATCH, len(wanted)), len(wanted))
    pulled.frames = sum(map(len, seen.values()))
    pulled.problems += [
        f"{video}: not in this project, so the reviews of {count} of its frames stay in Label Studio"
        for video, count in sorted(unknown.items())
    ]
    for video, frames in sorted(seen.items()):
        try:
            known = read_reviewed(paths.reviewed(video))
        except InputError as error:
            # Written over, what it holds would be lost; whole again, it makes the next pull read everything.
            pulled.problems.append(str(error))
            continue
        if (now := merged(known, frames)) != known:
            write_reviewed(paths.reviewed(video), now)
            pulled.videos.append(video)
    pulled.problems = list(dict.fromkeys(pulled.problems))
    # A change that was being made while we read may bear an earlier time than one we saw.
    settled = _utc(began - timedelta(seconds=_SETTLED_S))
    latest = max((_utc(task["updated_at"]) for task in changed), default=after)
    _write_cursor(paths, Cursor(name, min(latest, settled) if latest else settled, _files(paths)))
    return pulled


def _utc(time: datetime | str) -> str:
    """A time as Label Studio reads it back: any other form is an error inside it."""
    moment = datetime.fromisoformat(time) if isinstance(time, str) else time
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def _tasks_at_home(paths: Paths, problems: list[str]) -> set[str]:
    """The tasks that reviews at home belong to; a damaged file becomes a problem."""
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
    """A digest of all files of reviews: they may have been checked out anew, or removed."""
    digest = hashlib.sha256()
    for file in sorted(paths.reviewed_videos.glob("*.json")):
        digest.update(f"{file.name}\0".encode() + file.read_bytes())
    return digest.hexdigest()


def _read_cursor(paths: Paths) -> Cursor | None:
    """Where the last pull ended; a file that is damaged only means to read everything."""
    try:
        return Cursor(**json.loads((home(paths.root) / "pulled.json").read_text(encoding="utf-8")))
    except (OSError, ValueError, TypeError, RecursionError):
        return None


def _write_cursor(paths: Paths, cursor: Cursor) -> None:
    home(paths.root).mkdir(mode=0o700, parents=True, exist_ok=True)
    with fresh_file(home(paths.root) / "pulled.json") as new:
        new.write_text(json.dumps(asdict(cursor)), encoding="utf-8")
