"""What comes in from outside: videos (`gotowce add`, `gotowce sync`) and reviews (`gotowce review pull`)."""

import filecmp
import os
import shutil
from fnmatch import fnmatch
from pathlib import Path

import pandas as pd
import yaml
from slugify import slugify

from gotowce_dagster.detectors.profile import read_profile
from gotowce_dagster.dvc_repo import DvcRepo
from gotowce_dagster.engines import write_engines
from gotowce_dagster.errors import InputError
from gotowce_dagster.files import fresh_file
from gotowce_dagster.labels.followed import read_tracked
from gotowce_dagster.labels.reviews import read_reviewed
from gotowce_dagster.paths import Paths
from gotowce_dagster.progress import Progress, silent
from gotowce_dagster.project import Project
from gotowce_dagster.review.connection import Room
from gotowce_dagster.review.pull import Pulled, pull
from gotowce_dagster.review.video_room import PulledVideo, pull_video
from gotowce_dagster.tables import read_truth
from gotowce_dagster.video.decode import VideoInfo, probe

NO_PROFILE = NO_POINTS = "none"
VIDEO_SUFFIXES = frozenset(
    {".avi", ".flv", ".m4v", ".mkv", ".mov", ".mp4", ".mpeg", ".mpg", ".ts", ".webm", ".wmv"}
)

_HEADER = "# Written by `gotowce add` and `gotowce sync` from data/raw and data/profiles; do not edit.\n"


def add(project: Project, source: Path, link: bool = False, truth: Path | None = None) -> str:
    """Bring a video into the project: check it, name it, copy it to data/raw and track it with DVC.

    Adding the same file again changes nothing and gives the same key.

    Args:
        link: hand the file to DVC as a link, without copying it first. DVC copies it into its cache either
            way, so the file itself stays writable and is never tied to what is in data/raw.
        truth: hand-checked boxes (see tables.read_truth); the rows of this file's clip come along.

    Returns:
        The video's key: a slug that names it everywhere.

    Raises:
        InputError: the file is no video that can be decoded, or the truth is malformed.
    """
    info = probe(source)
    rows = _truth_of(source, truth, info) if truth else None
    key, is_new = _key(project.paths, source)
    target = project.paths.raw / f"{key}{source.suffix.lower()}"
    if is_new:
        with fresh_file(target) as new:
            _bring(source, new, link)
        DvcRepo(project.paths.root).track(target)
    if rows is not None:
        with fresh_file(project.paths.truth(key)) as new:
            rows.assign(clip=target.name).to_csv(new, index=False)
    return key


def sync(project: Project, refresh: bool = False) -> None:
    """Write data/videos.yaml and data/engines.yaml from what is here; track new videos and reviews.

    Args:
        refresh: choose the engines anew instead of keeping the earlier choice.

    Raises:
        InputError: two files would have one name, or two profiles claim one video.
    """
    paths, repo = project.paths, DvcRepo(project.paths.root)
    write_engines(paths.engines, project.params, refresh)
    videos = {
        key: {
            "file": file.name,
            "profile": profile_of(paths, key),
            "points": key if paths.points(key).exists() else NO_POINTS,
        }
        for key, file in raw_videos(paths).items()
    }
    content = _HEADER + yaml.safe_dump({"videos": videos})
    if not paths.videos.exists() or paths.videos.read_text(encoding="utf-8") != content:
        with fresh_file(paths.videos) as new:
            new.write_text(content, encoding="utf-8")
    for file in raw_videos(paths).values():
        if not repo.is_tracked(file):
            repo.track(file)
    keep_reviews(paths)


def pull_reviews(project: Project, room: Room, *, again: bool = False, progress: Progress = silent) -> Pulled:
    """Bring home what reviewers said, and track it with DVC as a source.

    Raises:
        ServerDownError, InputError: as review.pull.pull.
    """
    title = project.params.review_tasks.project
    pulled = pull(room, project.paths, title, again=again, progress=progress)
    try:
        keep_reviews(project.paths)
    except InputError as error:
        pulled.problems = list(dict.fromkeys([*pulled.problems, str(error)]))
    return pulled


def pull_tracks(project: Project, room: Room, video: str) -> PulledVideo:
    """Bring home a video's objects as reviewers left them, and track them with DVC as a source.

    Raises:
        ServerDownError, InputError: as review.video_room.pull_video.
    """
    pulled = pull_video(room, project, video)
    keep_reviews(project.paths)
    return pulled


def keep_reviews(paths: Paths) -> None:
    """Track the files of reviews with DVC as they are now, those of objects through a video too.

    A damaged file is not tracked, so that DVC still has what it was before; the others are.

    Raises:
        InputError: after all others are tracked, naming each damaged file.
    """
    repo, problems = DvcRepo(paths.root), []
    for file in sorted(paths.reviewed_videos.rglob("*.json")):
        if repo.is_recorded(file):
            continue
        try:
            read_tracked(file) if file.parent.name == "tracks" else read_reviewed(file)
        except InputError as error:
            problems.append(str(error))
            continue
        repo.track(file)
    if problems:
        raise InputError("; ".join(problems))


def raw_videos(paths: Paths) -> dict[str, Path]:
    """The video files in data/raw by key, sorted; a file dropped in under an unclean name is renamed.

    Raises:
        InputError: two files share a name up to their suffix.
    """
    videos: dict[str, Path] = {}
    for file in sorted(paths.raw.iterdir()):
        if file.suffix.lower() not in VIDEO_SUFFIXES or file.name.startswith("."):
            continue
        key = slug(file.stem)
        if key in videos:
            raise InputError(f"{file} and {videos[key]} would both be named {key}; rename one of them")
        clean = file.with_name(f"{key}{file.suffix.lower()}")
        videos[key] = file if file.name == clean.name else file.rename(clean)
    return videos


def slug(stem: str) -> str:
    """A clean name: lower case letters, digits and underscores."""
    return slugify(stem, separator="_") or "video"


def profile_of(paths: Paths, key: str) -> str:
    """The profile whose `videos` patterns match the key; "none" when no profile does.

    Where several match, the longest pattern wins: a profile made for one video beats one for ``naev*``.

    Raises:
        InputError: two profiles match equally well, or one cannot be read.
    """
    fitting = {
        file.stem: max(len(pattern) for pattern in profile.videos if fnmatch(key, pattern))
        for file in sorted(paths.profiles.glob("*.toml"))
        if (profile := read_profile(file)).fits(key)
    }
    best = [name for name, length in fitting.items() if length == max(fitting.values())]
    if len(best) > 1:
        raise InputError(
            f"profiles {' and '.join(best)} both claim the video {key}; narrow their `videos` patterns"
        )
    return best[0] if best else NO_PROFILE


def _key(paths: Paths, source: Path) -> tuple[str, bool]:
    """The key for a file, and whether it is new: an equal file that is here already keeps its key."""
    taken = raw_videos(paths)
    for key, file in taken.items():
        if file.stat().st_size == source.stat().st_size and filecmp.cmp(file, source, shallow=False):
            return key, False
    base = key = slug(source.stem)
    number = 1
    while key in taken:
        number += 1
        key = f"{base}_{number}"
    return key, True


def _bring(source: Path, target: Path, link: bool) -> None:
    if not link:
        shutil.copyfile(source, target)
        return
    try:
        os.link(source, target)
    except OSError:
        target.symlink_to(source.resolve())


def _truth_of(source: Path, truth: Path, info: VideoInfo) -> pd.DataFrame:
    rows = read_truth(truth, info, {source.name})
    rows = rows[rows["clip"] == source.name]
    if rows.empty:
        raise InputError(f"{truth}: no row has the clip {source.name}")
    return rows
