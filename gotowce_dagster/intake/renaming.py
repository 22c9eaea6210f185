"""`gotowce rename OLD NEW`: change the key of a video, with its reviews and outputs."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa

from gotowce_dagster.config.paths import Paths
from gotowce_dagster.config.project import Project, Video, listed_videos
from gotowce_dagster.core.errors import InputError
from gotowce_dagster.core.files import fresh_file, remove
from gotowce_dagster.core.sources import digest, pointer, require_pulled
from gotowce_dagster.core.tables import DETECTIONS, LABELS, MASKS, read_notes, read_table, write_table
from gotowce_dagster.core.yaml_files import dump_yaml, read_yaml
from gotowce_dagster.intake.dvc_repo import DvcRepo
from gotowce_dagster.intake.migration import migrate
from gotowce_dagster.intake.pipelines import folder_of, stage_address, stage_name
from gotowce_dagster.intake.removal import forget, lock_entries_of, move
from gotowce_dagster.intake.unfinished import Plan, begin, end, refuse_unfinished
from gotowce_dagster.intake.videos import entry_of, known_videos, raw_videos, write_videos
from gotowce_dagster.labels.followed import read_tracked, write_tracked
from gotowce_dagster.labels.reviews import read_reviewed, write_reviewed
from gotowce_dagster.stages.table import STAGES
from gotowce_dagster.video.names import slug

_TABLES = {"detections": DETECTIONS, "masks": MASKS, "labels": LABELS}


@dataclass(frozen=True)
class Renamed:
    """Result of a rename."""

    profile: str
    """The profile that matches the new key."""
    profile_before: str
    kept: list[str]
    """Stages whose outputs are current under the new key; all others must run again."""


def rename(project: Project, old: str, new: str) -> Renamed:
    """Change the key of a video: files, reviews, tables, data/videos.yaml, its pipeline and its dvc.lock.

    Current outputs stay current, unless another profile matches the new key. If interrupted, the same call
    finishes it.

    Raises:
        InputError: There is no such video, the new key is in use or not a slug, or reviews are not pulled.
        GotowceError: A stage that `dvc repro` is running uses the video.
    """
    paths, repo = project.paths, DvcRepo(project.paths.root)
    command = f"gotowce rename {old} {new}"
    plan = refuse_unfinished(paths, command)
    if plan is None:
        plan = Plan(command, _state_before(project, old, new))
        begin(paths, plan)
    files: dict[str, str] = plan.details["files"]
    _rename_sources(paths, repo, old, new, files)
    for name, schema in _TABLES.items():
        _rewrite(_table(paths, name, old), _table(paths, name, new), _with_video(schema, new))
    move(paths.frames(old), paths.frames(new))
    before = Video.model_validate(plan.details["video"])
    formerly = [name for name in (*before.formerly, old) if name != new]
    video = entry_of(paths, new, paths.root / files[_relative(paths, paths.raw / before.file)], formerly)
    others = {key: one for key, one in listed_videos(paths).items() if key not in (old, new)}
    write_videos(paths, dict(sorted((others | {new: video}).items())))
    entries = dict(_renamed_entries(paths, plan, old, new))
    repo.replace_entries(folder_of(new), [], entries)
    remove(paths.pipeline(old))
    forget(paths, old)
    stages = [stage.name for stage in STAGES.values() if stage.per_video and stage.name in entries]
    kept = [stage_name(name, new) for name in stages if repo.keep_unchanged(stage_address(name, new))]
    end(paths)
    return Renamed(video.profile, before.profile, kept)


def _state_before(project: Project, old: str, new: str) -> dict[str, Any]:
    """Check that the rename is possible, and collect the state that its steps need.

    Raises:
        InputError, GotowceError: As in rename.
    """
    paths, repo = project.paths, DvcRepo(project.paths.root)
    video = project.video(old)
    if slug(new) != new:
        raise InputError(
            f"{new!r}: not a key; expected lower-case letters, digits and _, such as {slug(new)!r}"
        )
    if new in known_videos(paths, raw_videos(paths), listed_videos(paths)):
        raise InputError(f"{new}: another video has this name; choose a different one")
    suffix = Path(video.file).suffix
    raw = paths.raw / video.file, paths.raw / f"{new}{suffix}"
    places = dict([raw, *((part(paths, old), part(paths, new)) for part in _PARTS)])
    for place in (*places.values(), paths.pipeline(new)):
        if place.exists() or pointer(place).exists():
            raise InputError(f"{place}: exists, and {new} needs this path; move it away first")
    reviews = [paths.reviewed(old), paths.reviewed_tracks(old)]
    require_pulled(reviews)
    read_reviewed(reviews[0])
    read_tracked(reviews[1])
    repo.refuse_busy(places)
    migrate(paths, repo, project.videos)
    tables = [_table(paths, name, old) for name in _TABLES]
    return {
        "video": video.model_dump(),
        "files": {_relative(paths, a): _relative(paths, b) for a, b in places.items()},
        "tables": {_relative(paths, table): digest(table) for table in tables if table.exists()},
        "lock": lock_entries_of(repo, old),
    }


def _rename_sources(paths: Paths, repo: DvcRepo, old: str, new: str, files: Mapping[str, str]) -> None:
    """Rename the sources: the video, its ground truth, points and reviews."""
    raw, target = next((a, b) for a, b in files.items() if Path(a).parent == Path("data/raw"))
    names = {Path(raw).name: Path(target).name, old: new}
    _rewrite(pointer(paths.root / raw), pointer(paths.root / target), _with_path(Path(target).name))
    move(paths.root / raw, paths.root / target)
    _rewrite(paths.truth(old), paths.truth(new), _with_clip(names))
    _rewrite(paths.complete_truth(old), paths.complete_truth(new), _with_clip(names))
    move(paths.points(old), paths.points(new))
    _rewrite(paths.reviewed(old), paths.reviewed(new), _with_key_of_reviews(new))
    _rewrite(paths.reviewed_tracks(old), paths.reviewed_tracks(new), _with_key_of_tracks(new))
    for before, after in (
        (paths.reviewed(old), paths.reviewed(new)),
        (paths.reviewed_tracks(old), paths.reviewed_tracks(new)),
    ):
        if after.exists() and not repo.is_recorded(after):
            repo.track(after)
        remove(pointer(before))


def _renamed_entries(paths: Paths, plan: Plan, old: str, new: str) -> Iterator[tuple[str, dict[str, Any]]]:
    """The entries of the video's dvc.lock under the new key, by stage; stale ones stay stale.

    Tables contain the key, so their digests change; all other recorded digests stay.
    """
    files, tables = plan.details["files"], plan.details["tables"]

    def renamed(item: dict[str, Any]) -> dict[str, Any]:
        path = item["path"]
        item = item | {"path": files.get(path, path)}
        table = paths.root / item["path"]
        if path in tables and item.get("md5") == tables[path] and table.exists():
            item |= {"md5": digest(table), "size": table.stat().st_size}
        return item

    for name, entry in plan.details["lock"].items():
        start, _, video = entry["cmd"].rpartition(" ")
        lists = {part: [renamed(item) for item in entry[part]] for part in ("deps", "outs") if part in entry}
        yield name, entry | {"cmd": f"{start} {video.replace(old, new)}"} | lists


def _rewrite(source: Path, target: Path, write: Callable[[Path, Path], None]) -> None:
    """Write ``target`` from ``source`` and remove ``source``; does nothing if it was done before."""
    if source.exists():
        with fresh_file(target) as fresh:
            write(source, fresh)
        remove(source)


def _with_path(name: str) -> Callable[[Path, Path], None]:
    def write(source: Path, target: Path) -> None:
        content = read_yaml(source)
        content["outs"][0]["path"] = name
        target.write_text(dump_yaml(content), encoding="utf-8")

    return write


def _with_clip(names: Mapping[str, str]) -> Callable[[Path, Path], None]:
    def write(source: Path, target: Path) -> None:
        rows = pd.read_csv(source, dtype=str, keep_default_na=False)
        rows.assign(clip=rows["clip"].replace(dict(names))).to_csv(target, index=False, lineterminator="\n")

    return write


def _with_key_of_reviews(key: str) -> Callable[[Path, Path], None]:
    return lambda source, target: write_reviewed(
        target, read_reviewed(source).model_copy(update={"video": key})
    )


def _with_key_of_tracks(key: str) -> Callable[[Path, Path], None]:
    def write(source: Path, target: Path) -> None:
        if (tracked := read_tracked(source)) is not None:
            write_tracked(target, tracked.model_copy(update={"video": key}))

    return write


def _with_video(schema: pa.Schema, key: str) -> Callable[[Path, Path], None]:
    """Write a table with another key in column ``video``, byte by byte as its stage would."""

    def write(source: Path, target: Path) -> None:
        rows = read_table(source, schema).assign(video=key)
        write_table(rows, schema, target, read_notes(source))

    return write


def _table(paths: Paths, name: str, video: str) -> Path:
    return paths.data / name / f"{video}.parquet"


def _relative(paths: Paths, path: Path) -> str:
    return path.relative_to(paths.root).as_posix()


_PARTS: tuple[Callable[[Paths, str], Path], ...] = (
    Paths.truth,
    Paths.complete_truth,
    Paths.points,
    Paths.reviewed,
    Paths.reviewed_tracks,
    Paths.frames,
    Paths.detections,
    Paths.masks,
    Paths.labels,
)
