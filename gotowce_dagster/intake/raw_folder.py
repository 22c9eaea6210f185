"""Contents of data/raw: videos by key, and the problems of other entries.

A video is a file that decodes (video.decode.check). One bad entry never excludes the others.
"""

import contextlib
import filecmp
import re
from collections.abc import Callable, Collection, Generator
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import chain, count
from pathlib import Path

from pydantic import TypeAdapter

from gotowce_dagster.config.paths import Paths
from gotowce_dagster.core.errors import InputError, system_sentence
from gotowce_dagster.core.files import fresh_file
from gotowce_dagster.video.decode import check
from gotowce_dagster.video.names import key_and_suffix
from gotowce_dagster.video.packets import packets_digest

_KEY = re.compile(r"[a-z0-9_]+")
_DVC = ".dvc"
_UNFINISHED = (".part", ".partial", ".crdownload", ".download", ".tmp")
"""Suffixes of incomplete files, as browsers and copy programs name them."""

_Found = tuple[int, int, int, str]
"""Size, modification time and inode of a file, and its finding."""
_REMEMBERED = TypeAdapter(dict[str, _Found])


@dataclass(frozen=True)
class RawFolder:
    """The videos by key, sorted, and a sentence for each entry that is not a video."""

    videos: dict[str, Path] = field(default_factory=dict)
    problems: list[str] = field(default_factory=list)


def entries(paths: Paths) -> list[Path]:
    """List entries that may be videos: everything in data/raw except hidden files and .dvc files, sorted."""
    with contextlib.suppress(FileNotFoundError):
        return sorted(
            entry for entry in paths.raw.iterdir() if not entry.name.startswith(".") and entry.suffix != _DVC
        )
    return []


def look(paths: Paths, known: Collection[str] = (), leave: Collection[str] = ()) -> RawFolder:
    """Scan data/raw; videos that DVC does not track yet are renamed to their keys.

    Args:
        known: Keys of existing videos: a tracked video stays one even if its file no longer decodes.
        leave: Names of untracked files to skip, because they are still being written.

    Raises:
        OSError: The folder cannot be read, or a file in it cannot be renamed.
    """
    videos, problems = dict[str, Path](), dict[str, str]()
    found = entries(paths)
    with _findings(paths) as findings:
        for file in filter(_is_tracked, found):
            problem = findings.problem(file)
            if not _KEY.fullmatch(file.stem):
                clean = file.with_name("".join(key_and_suffix(file.name)))
                problem = (
                    f"{file}: tracked, but its name is not a key; rename it with `dvc move {file} {clean}`"
                )
            elif file.stem in videos:
                problem = (
                    f"{file}: has the same key, {file.stem}, as {videos[file.stem].name}; rename one "
                    "with `dvc move`"
                )
            elif not problem or file.stem in known:
                videos[file.stem] = file
            if problem:
                problems[file.name] = problem
        for file in found:
            if _is_tracked(file) or file.name in leave:
                continue
            key = key_and_suffix(file.name)[0]
            if problem := findings.problem(file):
                problems[file.name] = problem
            elif key in videos and findings.is_same_recording(file, videos[key]):
                problems[file.name] = (
                    f"{file}: the same recording as {videos[key].name}; remove one of the two"
                )
            else:
                named = _named(file, paths, videos)
                videos[named.stem] = named
    return RawFolder(dict(sorted(videos.items())), [problems[name] for name in sorted(problems)])


def free_key(paths: Paths, key: str, suffix: str, videos: Collection[str], own: Path | None = None) -> str:
    """Find a free key: the key itself, or with a number appended.

    Args:
        videos: Keys in use.
        own: The file that gets the key, if it is in data/raw already.
    """
    tracked = {entry.name.removesuffix(_DVC).partition(".")[0] for entry in paths.raw.glob(f"*{_DVC}")}

    def is_free(key: str) -> bool:
        target = paths.raw / f"{key}{suffix}"
        in_the_way = (target.exists() or target.is_symlink()) and target != own
        return key not in videos and key not in tracked and not in_the_way

    return next(filter(is_free, chain([key], (f"{key}_{number}" for number in count(2)))))


def is_equal(one: Path, other: Path) -> bool:
    """Whether two files have the same bytes."""
    return one.stat().st_size == other.stat().st_size and filecmp.cmp(one, other, shallow=False)


def is_same_recording(one: Path, other: Path, digest: Callable[[Path], str] = packets_digest) -> bool:
    """Whether two files have the same packets, like the MKV and the MP4 that OBS writes of one recording."""
    if is_equal(one, other):
        return True
    try:
        return digest(one) == digest(other)
    except InputError:  # one of them is not a video any more
        return False


def _named(file: Path, paths: Paths, videos: Collection[str]) -> Path:
    """Rename a file to its key; returns the new path."""
    key, suffix = key_and_suffix(file.name)
    clean = file.with_name(free_key(paths, key, suffix, videos, own=file) + suffix)
    return file if clean == file else file.rename(clean)


def _is_tracked(file: Path) -> bool:
    return file.with_name(file.name + _DVC).exists()


@dataclass
class _Findings:
    """Cached findings of unchanged files, so that a sync opens new files only."""

    before: dict[str, _Found]
    current: dict[str, _Found] = field(default_factory=dict)

    def problem(self, file: Path) -> str:
        """Why a file is not a video, in one sentence; empty if it is one."""
        if file.suffix.lower() in _UNFINISHED:
            return f"{file}: still being copied or downloaded; if not, remove {file.suffix} from its name"
        try:
            problem = self._of(file, "problem", _problem)
        except OSError as error:  # an error of the system, not of the file: do not cache it
            return system_sentence(error) or f"{file}: cannot be read ({error})"
        return f"{file}: {problem}" if problem else ""

    def is_same_recording(self, one: Path, other: Path) -> bool:
        return is_same_recording(one, other, lambda file: self._of(file, "digest", packets_digest))

    def _of(self, file: Path, what: str, find: Callable[[Path], str]) -> str:
        state = file.stat() if file.exists() else file.lstat()
        mark, name = (state.st_size, state.st_mtime_ns, state.st_ino), f"{what} {file.name}"
        known = self.current.get(name) or self.before.get(name)
        found = known[3] if known and known[:3] == mark else find(file)
        self.current[name] = *mark, found
        return found


def _problem(file: Path) -> str:
    try:
        check(file)
    except InputError as error:
        return str(error).removeprefix(f"{file}: ")
    return ""


@contextmanager
def _findings(paths: Paths) -> Generator[_Findings]:
    path = paths.work("raw_videos.json")
    try:
        before = _REMEMBERED.validate_json(path.read_bytes())
    except (OSError, ValueError):
        before = {}
    findings = _Findings(before)
    yield findings
    if findings.current != before:
        # The cache only saves time; a read-only folder is reported by code that must write there.
        with contextlib.suppress(OSError), fresh_file(path) as new:
            new.write_bytes(_REMEMBERED.dump_json(findings.current))
