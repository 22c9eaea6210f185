"""Intake of sources: videos (`gotowce add`, `gotowce sync`) and reviews (`gotowce review pull`)."""

import os
import shutil
from collections.abc import Collection, Mapping
from fnmatch import fnmatch
from pathlib import Path
from typing import TYPE_CHECKING

import pandas as pd

from gotowce_dagster.config.engines import write_engines
from gotowce_dagster.config.paths import Paths
from gotowce_dagster.config.project import Project, Video, listed_videos
from gotowce_dagster.core.errors import BusyError, GotowceError, InputError, PartlyDoneError
from gotowce_dagster.core.files import fresh_file, remove
from gotowce_dagster.core.progress import Progress, silent
from gotowce_dagster.core.sources import is_tracked_content, pointer, state, tracked_files
from gotowce_dagster.core.truth import read_complete_truth, read_truth, with_other_frames
from gotowce_dagster.core.yaml_files import read_yaml, write_yaml
from gotowce_dagster.designators.profile import Profile, read_profile
from gotowce_dagster.intake.code_digests import refresh
from gotowce_dagster.intake.dvc_repo import DvcRepo
from gotowce_dagster.intake.migration import migrate
from gotowce_dagster.intake.pipelines import folder_of, template_text, unknown_pipelines, write_pipelines
from gotowce_dagster.intake.raw_folder import free_key, is_equal, is_same_recording, look
from gotowce_dagster.intake.unfinished import refuse_unfinished
from gotowce_dagster.interchange.truth import read_any_truth
from gotowce_dagster.labels.followed import read_tracked
from gotowce_dagster.labels.reviews import read_reviewed
from gotowce_dagster.review.connection import Room
from gotowce_dagster.video.decode import probe
from gotowce_dagster.video.names import key_and_suffix

if TYPE_CHECKING:
    from gotowce_dagster.review.pull import Pulled
    from gotowce_dagster.review.video_room import PulledVideo

NO_PROFILE = NO_POINTS = "none"

_HEADER = "# Written by `gotowce add` and `gotowce sync` from data/raw and data/profiles; do not edit.\n"


def check(project: Project) -> None:
    """Check the project's own files before adding a video, so that no video is half added.

    Raises:
        InputError: params.yaml, dvc.yaml or the template of the videos' is missing or invalid.
        MissingWeightsError: None of a stage's engines can run here.
    """
    read_yaml(project.paths.root / "dvc.yaml")
    template_text(project.paths)
    read_yaml(project.paths.studies_pipeline)
    write_engines(project.paths.engines, project.params)


def add(project: Project, source: Path, link: bool = False, truth: Path | None = None) -> str:
    """Add a video to the project: check it, name it, copy it to data/raw and track it with DVC.

    Adding the same recording again changes nothing and returns the same key. A tracked video that is not
    pulled is restored from this file. A failed call leaves nothing behind.

    Args:
        link: Give DVC a link to the file instead of a copy. DVC copies it into its cache either way, so the
            original file stays writable and independent of data/raw.
        truth: Ground truth (see truth.read_truth), or complete truth, with every object of its frames (see
            truth.read_complete_truth), also as COCO or YOLO (see interchange.truth); the rows of this file's
            clip are added too. Frames of which the video has such truth, but not this file, keep it.

    Returns:
        The video's key, a slug that identifies it everywhere.

    Raises:
        InputError: A project file is invalid, the video cannot be decoded, the ground truth is malformed, or
            a video is being renamed or removed.
        OSError: There is no space or no permission.
    """
    refuse_unfinished(project.paths)
    check(project)
    info = probe(source)
    rows = read_any_truth(truth, source.name, info) if truth else None
    key, target = _find_or_name(project.paths, source)
    if state(target) != "here":
        _copy_and_track(project.paths, source, key=key, target=target, link=link, rows=rows)
    elif rows is not None:
        _write_truth(project.paths, key, target.name, rows)
    return key


def add_truth(project: Project, key: str, truth: Path) -> None:
    """Write ground truth of a video that was added; frames that it does not have keep theirs.

    Args:
        truth: as in ``add``; its rows are those of the video's file in data/raw.

    Raises:
        InputError: the ground truth is malformed or has no row of this video.
    """
    refuse_unfinished(project.paths)
    video = project.raw(key)
    _write_truth(project.paths, key, video.name, read_any_truth(truth, video.name, probe(video)))


def key_of(paths: Paths, video: Path) -> str:
    """The key of a video of the project, given its file in data/raw.

    Raises:
        InputError: the file is none of the project's videos.
    """
    for key, entry in listed_videos(paths).items():
        if (paths.raw / entry.file).resolve() == video.resolve():
            return key
    raise InputError(
        f"{video}: not a video of this project; run `gotowce add {video}` and name it by its key"
    )


def sync(project: Project, refresh: bool = False, leave: Collection[str] = ()) -> list[str]:
    """Write data/videos.yaml, data/engines.yaml and the pipeline of each video; track new videos and reviews.

    A project of the version before is migrated: what its one dvc.lock records moves to each video's.

    A video exists if its file is in data/raw, if DVC tracks it, or if data/videos.yaml lists it; only
    `gotowce remove` removes it.

    One bad entry never stops the others.

    Args:
        refresh: Choose the engines again instead of keeping the earlier choice.
        leave: Names of files in data/raw that are still being written.

    Returns:
        One sentence for each entry of data/raw that is not a video, or could not be tracked.

    Raises:
        InputError: params.yaml is invalid, or a video is being renamed or removed.
        PartlyDoneError: A profile cannot be read, or two match one video; raised after all other work.
    """
    paths, repo = project.paths, DvcRepo(project.paths.root)
    repo.repair()
    refuse_unfinished(paths)
    write_engines(paths.engines, project.params, refresh)
    before = listed_videos(paths)
    found = look(paths, before, leave)
    profiles, unreadable = _profiles(paths)
    videos, refused = {}, list(unreadable.values())
    for key, file in known_videos(paths, found.videos, before).items():
        earlier = before[key].profile if key in before else NO_PROFILE
        try:
            profile = _best_profile(profiles, key)
        except InputError as error:
            refused.append(str(error))
            profile = earlier
        is_kept = profile == NO_PROFILE and earlier in unreadable
        videos[key] = Video(
            file=file.name,
            profile=earlier if is_kept else profile,
            points=key if paths.points(key).exists() else NO_POINTS,
            negative=before[key].negative
            if is_kept
            else profile in profiles and profiles[profile].is_negative(key),
            formerly=before[key].formerly if key in before else (),
        )
    migrate(paths, repo, videos)
    write_videos(paths, videos)
    problems = found.problems + _refresh_code(paths)
    problems += [
        f"{folder_of(key)}: the pipeline of no video of this project; remove the folder, or put {key} into "
        f"{paths.raw}"
        for key in unknown_pipelines(paths, videos)
    ]
    for file in found.videos.values():
        try:
            if not repo.is_tracked(file):
                repo.track(file)
        except GotowceError as error:
            problems.append(str(error))
    try:
        keep_reviews(paths)
    except InputError as error:
        refused.append(str(error))
    if refused:
        raise PartlyDoneError("; ".join([*refused, *problems]))
    return problems


def _refresh_code(paths: Paths) -> list[str]:
    """Bring data/code up to date; returns why it cannot be, as a sentence."""
    try:
        refresh(paths)
    except GotowceError as error:
        return [str(error)]
    return []


def known_videos(paths: Paths, here: Mapping[str, Path], listed: Mapping[str, Video]) -> dict[str, Path]:
    """List all videos of the project by key, sorted, with their path in data/raw: present, tracked or listed.

    Args:
        here: The video files in data/raw by key.
        listed: The entries of data/videos.yaml.
    """
    keys = {video.file: key for key, video in listed.items()}
    absent = [file for file in tracked_files(paths.raw) if state(file) == "not pulled"]
    tracked = {keys.get(file.name, key_and_suffix(file.name)[0]): file for file in absent}
    known = {key: paths.raw / video.file for key, video in listed.items()} | tracked | dict(here)
    return dict(sorted(known.items()))


def entry_of(paths: Paths, key: str, file: Path, formerly: Collection[str] = ()) -> Video:
    """Build a video's entry in data/videos.yaml.

    Raises:
        InputError: Two profiles match it equally well.
    """
    profile = profile_of(paths, key)
    described = paths.profile(profile)
    return Video(
        file=file.name,
        profile=profile,
        points=key if paths.points(key).exists() else NO_POINTS,
        negative=described.exists() and read_profile(described).is_negative(key),
        formerly=tuple(formerly),
    )


def write_videos(paths: Paths, videos: Mapping[str, Video]) -> None:
    """Write data/videos.yaml and the pipeline of each video, where their content changes."""
    write_pipelines(paths, videos)
    write_yaml(paths.videos, {"videos": {key: video.entry() for key, video in videos.items()}}, _HEADER)


def pull_reviews(
    project: Project, room: Room, *, again: bool = False, progress: Progress = silent
) -> "Pulled":
    """Pull reviews of frames, and track them with DVC as a source.

    Raises:
        ServerDownError, InputError: As in review.pull.pull.
    """
    from gotowce_dagster.review.pull import pull

    title = project.params.review.tasks.project
    pulled = pull(room, project.paths, title, names=project.names, again=again, progress=progress)
    try:
        keep_reviews(project.paths)
    except InputError as error:
        pulled.problems = list(dict.fromkeys([*pulled.problems, str(error)]))
    return pulled


def pull_tracks(project: Project, room: Room, video: str) -> "PulledVideo":
    """Pull a video's reviewed tracks, and track the file with DVC as a source.

    Raises:
        ServerDownError, InputError: As in review.video_room.pull_video.
    """
    from gotowce_dagster.review.video_room import pull_video

    pulled = pull_video(room, project, video)
    keep_reviews(project.paths)
    return pulled


def keep_reviews(paths: Paths) -> None:
    """Track the current review files with DVC, of frames and of tracks.

    A damaged file is skipped, so that DVC keeps its last good content; the others are tracked.

    Raises:
        InputError: Names each damaged file, after all others are tracked.
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
    """List the video files in data/raw by key, sorted; a new file whose name is not a key is renamed."""
    return look(paths, listed_videos(paths)).videos


def profile_of(paths: Paths, key: str) -> str:
    """Find the profile whose `videos` patterns match the key; "none" if no profile does.

    If several match, the longest pattern wins: a profile for one video takes precedence over one for
    ``naev*``.

    Raises:
        InputError: Two profiles match equally well, or one cannot be read.
    """
    return _best_profile({file.stem: read_profile(file) for file in _profile_files(paths)}, key)


def _best_profile(profiles: dict[str, Profile], key: str) -> str:
    fitting = {
        name: max(len(pattern) for pattern in profile.videos if fnmatch(key, pattern))
        for name, profile in profiles.items()
        if profile.fits(key)
    }
    best = [name for name, length in fitting.items() if length == max(fitting.values())]
    if len(best) > 1:
        raise InputError(
            f"profiles {' and '.join(best)} both match the video {key}; narrow their `videos` patterns"
        )
    return best[0] if best else NO_PROFILE


def _profiles(paths: Paths) -> tuple[dict[str, Profile], dict[str, str]]:
    """Read the profiles by name, and the errors of those that cannot be read."""
    profiles, unreadable = {}, {}
    for file in _profile_files(paths):
        try:
            profiles[file.stem] = read_profile(file)
        except InputError as error:
            unreadable[file.stem] = str(error)
    return profiles, unreadable


def _profile_files(paths: Paths) -> list[Path]:
    return sorted(paths.profiles.glob("*.toml"))


def _find_or_name(paths: Paths, source: Path) -> tuple[str, Path]:
    """The key of a file and its path in data/raw; a recording already in the project keeps both."""
    videos = known_videos(paths, raw_videos(paths), listed_videos(paths))
    wanted, suffix = key_and_suffix(source.name)
    for key, file in videos.items():
        if _is_recording_of(source, file, key == wanted):
            return key, file
    key = free_key(paths, wanted, suffix, videos)
    return key, paths.raw / f"{key}{suffix}"


def _is_recording_of(source: Path, known: Path, alike: bool) -> bool:
    """Whether a file is an existing video, by comparison with its content or with DVC's record of it.

    Args:
        alike: Their names are equal, so they may be one recording in two containers.
    """
    match state(known):
        case "here":
            return is_equal(source, known) or (alike and is_same_recording(source, known))
        case "not pulled":
            return is_tracked_content(source, known)
        case "gone":
            return False


def _copy_and_track(
    paths: Paths, source: Path, *, key: str, target: Path, link: bool, rows: pd.DataFrame | None
) -> None:
    """Copy and track a video; a failure removes everything this call has created.

    Raises:
        BusyError: DVC cannot track it now; the file stays, for a later `gotowce sync`.
    """
    made = [target, pointer(target), *([_truth_file(paths, key, rows)] if rows is not None else [])]
    made = [file for file in made if not file.exists()]
    try:
        with fresh_file(target) as new:
            _copy_or_link(source, new, link)
        if rows is not None:
            _write_truth(paths, key, target.name, rows)
        DvcRepo(paths.root).track(target)
    except BusyError:
        raise
    except BaseException:
        for file in made:
            remove(file)
        raise


def _write_truth(paths: Paths, key: str, clip: str, rows: pd.DataFrame) -> None:
    file, rows = _truth_file(paths, key, rows), rows.assign(clip=clip)
    if file.exists():
        read = read_complete_truth if "marked" in rows.columns else read_truth
        rows = with_other_frames(rows, read(file))
    with fresh_file(file) as new:
        rows.to_csv(new, index=False)


def _truth_file(paths: Paths, key: str, rows: pd.DataFrame) -> Path:
    return paths.complete_truth(key) if "marked" in rows.columns else paths.truth(key)


def _copy_or_link(source: Path, target: Path, link: bool) -> None:
    if not link:
        shutil.copyfile(source, target)
        return
    try:
        os.link(source, target)
    except OSError:
        target.symlink_to(source.resolve())
