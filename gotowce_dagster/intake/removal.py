"""`gotowce remove VIDEO` and `gotowce restore NAME`: remove a video from the project, and restore it.

Nothing is deleted: all files of the video move to data/.trash/VIDEO-TIME, with its pipeline and dvc.lock.
"""

import errno
import json
import shutil
from datetime import datetime
from itertools import chain, count
from pathlib import Path
from typing import Any

from gotowce_dagster.config.paths import Paths
from gotowce_dagster.config.project import Project, Video, listed_videos
from gotowce_dagster.core.errors import InputError
from gotowce_dagster.core.files import fresh_dir, fresh_file
from gotowce_dagster.core.files import remove as delete
from gotowce_dagster.core.sources import pointer
from gotowce_dagster.intake.dvc_repo import DvcRepo
from gotowce_dagster.intake.migration import migrate
from gotowce_dagster.intake.pipelines import folder_of
from gotowce_dagster.intake.unfinished import Plan, begin, end, refuse_unfinished
from gotowce_dagster.intake.videos import known_videos, raw_videos, write_videos

_STATE = "removed.json"
_README = """# The video {key}, removed from the project

The project does not use this folder any more. In the project's root:

- `gotowce restore {name}` restores everything: the video, ground truth, points, reviews and the pipeline's
  outputs. `gotowce review pull --again` then pulls the reviews in Label Studio.
- `rm -r data/.trash/{name}` frees the space. Copies in git and in a DVC remote stay there.
"""


def remove(project: Project, video: str) -> Path:
    """Move all files of a video to a folder in data/.trash; if interrupted, the same call finishes it.

    Returns:
        The folder.

    Raises:
        InputError: There is no such video.
        GotowceError: A stage that `dvc repro` is running uses it.
    """
    paths, repo = project.paths, DvcRepo(project.paths.root)
    command = f"gotowce remove {video}"
    plan = refuse_unfinished(paths, command)
    if plan is None:
        entry = project.video(video).model_dump()
        migrate(paths, repo, project.videos)
        repo.refuse_busy(files_of(paths, video, entry["file"]))
        base = f"{video}-{datetime.now():%Y%m%d-%H%M%S}"
        names = chain([base], (f"{base}-{number}" for number in count(2)))
        name = next(name for name in names if not (paths.trash / name).exists())
        plan = Plan(command, {"name": name, "video": entry, "lock": lock_entries_of(repo, video)})
        begin(paths, plan)
    folder = paths.trash / plan.details["name"]
    for path in files_of(paths, video, plan.details["video"]["file"]):
        move(path, folder / path.relative_to(paths.root))
    forget(paths, video)
    for file, text in (
        (_STATE, json.dumps({"key": video, **plan.details}, indent=1)),
        ("README.md", _README.format(key=video, name=folder.name)),
    ):
        with fresh_file(folder / file) as new:
            new.write_text(text, encoding="utf-8")
    _list(paths, video, None)
    end(paths)
    return folder


def restore(project: Project, name: str) -> str:
    """Restore a video from data/.trash; if interrupted, the same call finishes it.

    Args:
        name: Name of its folder there.

    Returns:
        The video's key.

    Raises:
        InputError: There is no such folder, or the video's key or one of its paths is in use.
    """
    paths = project.paths
    command = f"gotowce restore {name}"
    plan = refuse_unfinished(paths, command)
    folder = paths.trash / name
    if plan is None:
        plan = Plan(command, _removed(paths, name))
        key, file = plan.details["key"], plan.details["video"]["file"]
        if key in known_videos(paths, raw_videos(paths), listed_videos(paths)):
            raise InputError(
                f"{key}: another video has this name now; rename that one first with `gotowce rename`"
            )
        for path in files_of(paths, key, file):
            if path.exists() and (folder / path.relative_to(paths.root)).exists():
                raise InputError(f"{path}: exists, and the removed video needs this path; move it away first")
        begin(paths, plan)
    key = plan.details["key"]
    # The pipeline last, so that DVC knows the video once its files are here.
    for path in reversed(files_of(paths, key, plan.details["video"]["file"])):
        move(folder / path.relative_to(paths.root), path)
    _list(paths, key, plan.details["video"])
    # The version before kept a video's entries in the project's dvc.lock, and its trash has no pipeline.
    entries = {name.partition("@")[0]: entry for name, entry in plan.details["lock"].items()}
    DvcRepo(paths.root).replace_entries(folder_of(key), [], entries)
    delete(folder)
    end(paths)
    return key


def files_of(paths: Paths, video: str, file: str) -> list[Path]:
    """List all possible paths of a video's files; its pipeline is first.

    Args:
        file: Name of the video file in data/raw.
    """
    made = [paths.frames(video), paths.detections(video), paths.masks(video), paths.labels(video)]
    return [paths.pipeline(video), *sources_of(paths, video, file), *made]


def sources_of(paths: Paths, video: str, file: str) -> list[Path]:
    """List the paths of a video's sources: video, ground truth, points, reviews, and their .dvc files."""
    tracked = [paths.raw / file, paths.reviewed(video), paths.reviewed_tracks(video)]
    by_hand = [paths.truth(video), paths.complete_truth(video), paths.points(video)]
    return [*tracked, *map(pointer, tracked), *by_hand]


def lock_entries_of(repo: DvcRepo, video: str) -> dict[str, Any]:
    """Read the entries of the video's dvc.lock, by stage."""
    return repo.entries_in(folder_of(video))


def forget(paths: Paths, video: str) -> None:
    """Delete what is kept beside a video's files: unfinished work, the copy of its dvc.lock, previews."""
    delete(paths.work("masks") / video)
    delete(paths.kept_lock(folder_of(video)).parent)
    for pictures in paths.work("previews").glob(f"*/{video}"):
        delete(pictures)


def move(source: Path, target: Path) -> None:
    """Move a file, link or folder, also to another file system; does nothing if it was moved before."""
    if not source.exists() and not source.is_symlink():
        return
    target.parent.mkdir(parents=True, exist_ok=True)
    try:
        source.replace(target)
    except OSError as error:
        if error.errno != errno.EXDEV:
            raise
        _copy(source, target)
        delete(source)


def _copy(source: Path, target: Path) -> None:
    if source.is_dir() and not source.is_symlink():
        with fresh_dir(target) as new:
            shutil.copytree(source, new, symlinks=True, dirs_exist_ok=True)
    else:
        with fresh_file(target) as new:
            shutil.copy2(source, new, follow_symlinks=False)


def _removed(paths: Paths, name: str) -> dict[str, Any]:
    file = paths.trash / name / _STATE
    if Path(name).name != name or not file.is_file():
        known = ", ".join(sorted(folder.parent.name for folder in paths.trash.glob(f"*/{_STATE}")))
        raise InputError(f"{paths.trash}: no removed video is named {name!r}; available: {known or 'none'}")
    try:
        state = json.loads(file.read_text(encoding="utf-8"))
        return {part: state[part] for part in ("key", "video", "lock")}
    except (ValueError, KeyError, TypeError):
        raise InputError(f"{file}: damaged; move the files of its folder back to data by hand") from None


def _list(paths: Paths, video: str, entry: dict[str, Any] | None) -> None:
    """Remove a video from data/videos.yaml, or add it."""
    listed = {key: one for key, one in listed_videos(paths).items() if key != video}
    if entry is not None:
        listed[video] = Video.model_validate(entry)
    write_videos(paths, dict(sorted(listed.items())))
