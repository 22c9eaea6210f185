"""Repair of a truncated dvc.lock, which DVC rewrites in place.

In our own processes, DVC writes dvc.lock, dvc.yaml and .dvc files atomically (`write_through_rename`). A
plain `dvc repro` does not: killed while writing, it leaves a truncated file. So each of our processes,
including the stages that `dvc repro` runs, keeps a copy of the last complete dvc.lock in data/.work. A repair
combines this copy, the beginning of the truncated file and DVC's run cache.

Each pipeline has a dvc.lock and a copy of its own, and is repaired by itself.

Completeness is checked under DVC's own lock, when no process writes the file; a file equal to the copy needs
no lock.
"""

import contextlib
import functools
import json
import logging
import shutil
import subprocess
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from gotowce_dagster.config.paths import Paths
from gotowce_dagster.core.files import fresh_file, read_text
from gotowce_dagster.core.yaml_files import parse_yaml
from gotowce_dagster.intake.dvc_lockfile import (
    CutShortError,
    Entries,
    complete_entries,
    merge_entries,
    read_lock,
    stage_keys,
)
from gotowce_dagster.intake.pipelines import CODE, LOCK, PIPELINE, ROOT, STUDIES, address

if TYPE_CHECKING:
    from dvc.repo import Repo
    from dvc.stage import Stage

_logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Repair:
    """Result of repairing truncated dvc.lock files, by address of the stage."""

    files: list[str]
    """The truncated files below the root."""
    why: str
    kept: list[str]
    """Stages complete in the truncated file."""
    from_copy: list[str]
    from_run_cache: list[str]
    missing: list[str]
    """Stages of dvc.yaml without an entry, including those that never ran."""

    def __str__(self) -> str:
        aside = [str(_cut_file(Path(), Path(file).parent.as_posix())) for file in self.files]
        files, old = ", ".join(self.files), ", ".join(aside)
        return (
            f"{files} was truncated ({self.why}), by a killed DVC or a full disk, and is repaired: "
            f"{len(self.kept)} stages from the file, {len(self.from_copy)} from the last good copy, "
            f"{len(self.from_run_cache)} from DVC's run cache; {len(self.missing)} of dvc.yaml have no entry "
            f"and are run or restored by the next `dvc repro`; the old file is kept as {old}"
        )


@functools.cache
def write_through_rename() -> None:
    """Make DVC in this process write dvc.lock, dvc.yaml and .dvc files atomically, by renaming."""
    from dvc.fs import LocalFileSystem
    from dvc.utils.serialize import _common, _yaml

    in_place = _common._dump_data

    def dump(path: Any, data: Any, dumper: Any, fs: Any = None, **arguments: Any) -> None:
        target = Path(path).resolve()
        is_ours = target.name in {LOCK, PIPELINE} or target.suffix == ".dvc"
        if not is_ours or not (fs is None or isinstance(fs, LocalFileSystem)):
            in_place(path, data, dumper, fs=fs, **arguments)
            return
        with fresh_file(target, durable=True) as new:
            in_place(new, data, dumper, **arguments)
            if target.exists():
                shutil.copymode(target, new)
        if target.name == LOCK and (place := _place(target)):
            _keep_copy(*place, target.read_bytes())

    for module in (_common, _yaml):
        vars(module)["_dump_data"] = dump


def whole_lock(repo: "Repo", root: Path, folder: str = ROOT) -> str:
    """Read the text of the dvc.lock in a folder, repaired first if truncated; empty if there is none.

    Raises:
        dvc.lock.LockError: Another process held DVC's lock longer than ``repo`` waits for it.
        InputError: It has git's merge conflict markers.
    """
    from dvc.repo import lock_repo

    text = _read(_lock(root, folder))
    if text != _read(_copy(root, folder)):
        with lock_repo(repo):
            make_whole(repo, root, folder)
            text = _read(_lock(root, folder))
    return (text or b"").decode()


def unchanged_text(root: Path, folder: str = ROOT) -> str | None:
    """The text of a dvc.lock that equals the last copy of a complete one, empty without both; else None."""
    text = _read(_lock(root, folder))
    return (text or b"").decode() if text == _read(_copy(root, folder)) else None


def make_whole(repo: "Repo", root: Path, folder: str = ROOT) -> Repair | None:
    """Repair the dvc.lock in a folder if it is truncated, and keep a copy; DVC's lock must be held.

    A missing file counts as complete, because DVC never removes it partly.

    Returns:
        What was repaired; None if the file was complete.
    """
    raw, copy = _read(_lock(root, folder)), (_read(_copy(root, folder)) or b"").decode()
    if raw is None:
        _copy(root, folder).unlink(missing_ok=True)
        return None
    text, without_outputs = raw.decode(errors="ignore"), without_outs(root, folder)
    try:
        entries = read_lock(text, without_outputs)
    except CutShortError as error:
        good = _first_whole((copy, _committed(root, folder) or ""), without_outputs)
        repair = _repair(repo, root, folder, str(error), cut=complete_entries(text), good=good)
    else:
        repair = None
        if not set(stage_keys(copy)) <= set(stage_keys(text)) and text != _committed(root, folder):
            good = read_lock(copy, without_outputs)
            if lost := _lost(repo, root, folder, entries, good):
                good = {name: entry for name, entry in good.items() if name in entries or name in lost}
                repair = _repair(repo, root, folder, "stages are missing", cut=entries, good=good)
    if repair:
        _logger.warning(str(repair))
    _keep_copy(root, folder, _lock(root, folder).read_bytes())
    return repair


def joined(repairs: Sequence[Repair]) -> Repair | None:
    """Several repairs as one; None if there are none."""
    if not repairs:
        return None
    lists = {
        part: [name for repair in repairs for name in getattr(repair, part)]
        for part in ("files", "kept", "from_copy", "from_run_cache", "missing")
    }
    return Repair(why="; ".join(dict.fromkeys(repair.why for repair in repairs)), **lists)


def without_outs(root: Path, folder: str = ROOT) -> frozenset[str]:
    """The stages of a dvc.yaml without outputs; ours have one each, but users' own stages may have none."""
    path = root / folder / PIPELINE
    return _without_outs(read_text(path)) if path.exists() else frozenset()


# The dvc.yaml of all videos are equal: they are parsed once.
@functools.lru_cache(maxsize=4)
def _without_outs(text: str) -> frozenset[str]:
    stages = parse_yaml(text, PIPELINE).get("stages") or {}
    specs = {name: spec.get("do", spec) for name, spec in stages.items()}
    return frozenset(name for name, spec in specs.items() if not {"outs", "metrics", "plots"} & set(spec))


def drop_torn_rwlock(repo: "Repo") -> None:
    """Remove DVC's list of files in use if it is truncated; otherwise DVC would never run again."""
    from dvc.lock import make_lock
    from dvc.rwlock import RWLOCK_FILE, RWLOCK_LOCK

    path = Path(repo.tmp_dir or "", RWLOCK_FILE)
    if not repo.tmp_dir or _is_json(path):
        return
    hardlink = repo.config["core"].get("hardlink_lock", False)
    guard = make_lock(str(path.with_name(RWLOCK_LOCK)), tmp_dir=repo.tmp_dir, hardlink_lock=hardlink)
    with guard:
        if not _is_json(path):
            path.unlink()
            _logger.warning("%s was truncated by a killed DVC; it had no needed content and is removed", path)


def drop_torn_run_cache(repo: "Repo") -> int:
    """Remove what a killed DVC left unfinished in its run cache; DVC's lock must be held.

    DVC makes a stage's folder, writes an entry beside the complete ones, and renames it. If it is killed in
    between, it later takes the newest file for an entry, or expects one in an empty folder, and fails.

    Returns:
        The number of files and empty folders removed.
    """
    removed = []
    for folder in Path(repo.stage_cache.cache_dir).glob("*/*"):
        unfinished = list(folder.glob("*.tmp"))
        for file in unfinished:
            file.unlink()
        removed += unfinished
        if not any(folder.iterdir()):
            folder.rmdir()
            removed.append(folder)
    for path in removed:
        _logger.warning("%s: left unfinished in the run cache by a killed DVC, removed", path)
    return len(removed)


def torn_sources(root: Path) -> list[Path]:
    """List truncated .dvc files of videos and reviews; DVC writes their ``path`` last."""
    paths = Paths(root)
    files = (*paths.raw.glob("*.dvc"), *paths.reviewed_videos.rglob("*.dvc"))
    return [file for file in sorted(files) if file.is_file() and not _has_path_and_end(file.read_bytes())]


def _has_path_and_end(content: bytes) -> bool:
    return content.endswith(b"\n") and b"path: " in content


def _repair(
    repo: "Repo", root: Path, folder: str, why: str, *, cut: Mapping[str, Any], good: Mapping[str, Any]
) -> Repair:
    from dvc.utils.serialize import dump_yaml

    write_through_rename()
    lock, aside = _lock(root, folder), _cut_file(root, folder)
    with fresh_file(aside) as new:
        shutil.copyfile(lock, new)
    entries = merge_entries(cut, good)
    dump_yaml(str(lock), {"schema": "2.0", "stages": entries})
    repo._reset()
    stages = _stages(repo, folder)
    run_cache = dict(
        _from_run_cache(repo, {name: stage for name, stage in stages.items() if name not in cut})
    )
    if run_cache:
        entries |= run_cache
        dump_yaml(str(lock), {"schema": "2.0", "stages": entries})
        repo._reset()

    def addressed(names: Iterable[str]) -> list[str]:
        return [address(folder, name) for name in names]

    return Repair(
        [lock.relative_to(root).as_posix()],
        why,
        kept=addressed(cut),
        from_copy=addressed(name for name in good if name not in cut and name not in run_cache),
        from_run_cache=addressed(run_cache),
        missing=addressed(name for name in stages if name not in entries),
    )


def _from_run_cache(repo: "Repo", stages: Mapping[str, "Stage"]) -> Iterator[tuple[str, Entries]]:
    """Entries of stages whose outputs exist and were made from the current inputs."""
    from dvc.dependency.base import DependencyDoesNotExistError
    from dvc.lock import LockError
    from dvc.stage.cache import _can_hash
    from dvc.stage.loader import StageLoader
    from dvc.stage.serialize import to_single_stage_lockfile

    for name, stage in stages.items():
        # DVC records a running stage when it is done.
        with contextlib.suppress(DependencyDoesNotExistError, LockError):
            if not stage.changed():
                continue
            stage.save_deps()
            if not _can_hash(stage) or not (cached := repo.stage_cache._load(stage)):
                continue
            StageLoader.fill_from_lock(stage, cached)
            if not stage.changed():
                yield name, dict(to_single_stage_lockfile(stage))


def _first_whole(texts: Iterable[str], without_outputs: frozenset[str]) -> Entries:
    """Parse the first text that is a complete dvc.lock; no entries if none is."""
    for text in texts:
        with contextlib.suppress(CutShortError):
            return read_lock(text, without_outputs)
    return {}


def _lost(repo: "Repo", root: Path, folder: str, entries: Entries, good: Entries) -> set[str]:
    """The stages of the good copy missing from a file that was truncated exactly between two stages.

    Stages missing for another reason do not count: they are no longer in dvc.yaml, or have no outputs.
    """
    gone = {name for name in good if name not in entries and _outputs_exist(root, good[name])}
    return gone & set(_stages(repo, folder)) if gone else gone


def _stages(repo: "Repo", folder: str) -> dict[str, "Stage"]:
    """The stages of a dvc.yaml by name; none if it cannot be resolved, for example without video.yaml."""
    from dvc.exceptions import DvcException
    from dvc.stage import PipelineStage

    try:
        stages = repo.stage.load_all(f"{folder}/{PIPELINE}")
    except DvcException:
        return {}
    return {str(stage.name): stage for stage in stages if isinstance(stage, PipelineStage)}


def _outputs_exist(root: Path, entry: Entries) -> bool:
    return all((root / out["path"]).exists() for out in entry.get("outs", ()))


def _committed(root: Path, folder: str) -> str | None:
    """The committed dvc.lock of a folder; None without git or before the first commit."""
    command = ["git", "-C", str(root), "show", f"HEAD:./{Path(folder, LOCK).as_posix()}"]
    with contextlib.suppress(FileNotFoundError):
        shown = subprocess.run(command, check=False, capture_output=True)
        if shown.returncode == 0:
            return shown.stdout.decode()
    return None


def _keep_copy(root: Path, folder: str, content: bytes) -> None:
    if content != _read(_copy(root, folder)):
        with fresh_file(_copy(root, folder), durable=True) as new:
            new.write_bytes(content)


def _place(lock: Path) -> tuple[Path, str] | None:
    """The root and the folder of a dvc.lock; None if it is none of a pipeline of ours."""
    if (lock.parent / ".dvc").is_dir():
        return lock.parent, ROOT
    root = lock.parent.parent
    if lock.parent.name in {CODE, STUDIES} and (root / ".dvc").is_dir():
        return root, lock.parent.name
    root = root.parent
    is_of_video = lock.parent.parent == Paths(root).pipelines and (root / ".dvc").is_dir()
    return (root, lock.parent.relative_to(root).as_posix()) if is_of_video else None


def _lock(root: Path, folder: str) -> Path:
    return root / folder / LOCK


def _copy(root: Path, folder: str) -> Path:
    return Paths(root).kept_lock(folder)


def _cut_file(root: Path, folder: str) -> Path:
    return _copy(root, folder).with_suffix(".cut")


def _read(path: Path) -> bytes | None:
    try:
        return path.read_bytes()
    except FileNotFoundError:
        return None


def _is_json(path: Path) -> bool:
    """Whether a file is JSON or missing."""
    content = _read(path)
    try:
        return content is None or isinstance(json.loads(content), dict)
    except ValueError:
        return False
