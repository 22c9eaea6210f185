"""Atomic writes: write beside the target, then rename.

Cached outputs of DVC may be hard links into its cache, so nothing is ever changed in place either.

What is being written lies in a scratch folder beside its target, ``.NAME.RANDOM.new``, which its process
holds locked. The kernel drops the lock when the process dies, however it dies: a scratch folder that can be
locked is a leftover, and the next process that writes there removes it. Process ids could not tell that,
because they are reused and mean nothing in another container.
"""

import contextlib
import fcntl
import hashlib
import json
import os
import re
import secrets
import shutil
import tomllib
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from gotowce_dagster.core.errors import InputError, system_sentence

_SCRATCH = re.compile(r"\..+\.[0-9a-f]{8}\.new", re.DOTALL)
_MAX_LABEL_BYTES = 200
_LARGE_FOLDER = 1000
# Listed once a process: for each of thousands of files that are written there it would take long.
_large: set[Path] = set()


def remove(path: Path) -> None:
    """Remove a file or a folder tree, if it exists."""
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


def work_folder(parent: Path, digest: str) -> Path:
    """The folder below ``parent`` for unfinished work on inputs with this digest.

    Unfinished work on other inputs is removed.
    """
    folder = parent / digest[:16]
    if parent.exists():
        for other in set(parent.iterdir()) - {folder}:
            remove(other)
    folder.mkdir(parents=True, exist_ok=True)
    return folder


@contextmanager
def scratch_dir(path: Path) -> Generator[Path]:
    """Yield an empty folder beside ``path`` that is removed at the end of the block.

    That of a killed process is removed by the next process that makes one there.
    """
    with _scratch(path) as scratch:
        new = scratch / path.name
        new.mkdir()
        yield new


@contextmanager
def fresh_file(path: Path, *, durable: bool = False) -> Generator[Path]:
    """Yield a path to write to; it becomes ``path`` only if the block ends without an error.

    Args:
        durable: wait until the disk has the content, so that not even a power cut leaves an empty file.
    """
    with _scratch(path) as scratch:
        new = scratch / "new"
        yield new
        if durable:
            _flush(new)
        new.replace(path)
        if durable:
            _flush(path.parent)


@contextmanager
def fresh_dir(path: Path) -> Generator[Path]:
    """Yield an empty folder to fill; it replaces ``path`` only if the block ends without an error.

    Two processes may make the same folder at once: each replaces it as a whole, the last stays.
    """
    with _scratch(path) as scratch:
        new = scratch / "new"
        new.mkdir()
        yield new
        while True:
            with contextlib.suppress(FileNotFoundError):
                path.rename(scratch / f"old-{secrets.token_hex(4)}")
            try:
                new.rename(path)
            except OSError:
                if not path.exists():
                    raise
                continue  # another process put its own there in between
            break


def link_or_copy(source: str | Path, target: str | Path) -> None:
    """Hard link a file that is never modified in place, or copy it if the file system cannot link."""
    try:
        os.link(source, target)
    except OSError:
        shutil.copyfile(source, target)


def read_text(path: Path, missing: str = "") -> str:
    """Read a hand-written text file, with or without a byte order mark.

    Args:
        missing: what to do if it does not exist.

    Raises:
        InputError: naming the file: it is missing, a folder, not readable or not UTF-8.
    """
    try:
        content = path.read_bytes()
    except FileNotFoundError:
        raise InputError(f"{path}: does not exist" + (f"; {missing}" if missing else "")) from None
    except OSError as error:
        raise InputError(system_sentence(error) or f"{path}: cannot be read ({error})") from None
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        raise InputError(
            f"{path}: line {line}: byte 0x{content[error.start]:02x} is not UTF-8; save the file as UTF-8"
        ) from None


def read_toml(path: Path, missing: str = "") -> dict[str, Any]:
    """Parse a TOML file.

    Raises:
        InputError: as read_text, or it is not TOML.
    """
    try:
        return tomllib.loads(read_text(path, missing))
    except tomllib.TOMLDecodeError as error:
        raise InputError(f"{path}: not valid TOML: {error}") from None
    except RecursionError:
        raise InputError(f"{path}: nested too deeply to be read; make it flatter") from None


def read_json(path: Path, advice: str) -> Any:
    """Parse a JSON file.

    Args:
        advice: what to do if it is missing or damaged.

    Raises:
        InputError: as read_text, or it is not JSON.
    """
    text = read_text(path, advice)
    try:
        return json.loads(text)
    except (ValueError, RecursionError) as error:
        reason = "nested too deeply" if isinstance(error, RecursionError) else error
        raise InputError(f"{path}: not valid JSON ({reason}); {advice}") from None


def remove_leftovers(folder: Path) -> None:
    """Remove the scratch folders of killed processes in a folder; those of running ones stay."""
    paths = list(folder.iterdir())
    if len(paths) > _LARGE_FOLDER:
        _large.add(folder.absolute())
    for path in paths:
        if not _SCRATCH.fullmatch(path.name) or not path.is_dir() or path.is_symlink():
            continue
        # A file system that cannot lock folders cannot tell either: nothing is removed there.
        with contextlib.suppress(OSError), _opened(path) as opened:
            fcntl.flock(opened, fcntl.LOCK_EX | fcntl.LOCK_NB)
            if _is_at(opened, path):
                shutil.rmtree(path)


@contextmanager
def _scratch(path: Path) -> Generator[Path]:
    """An empty folder beside a path, locked inside the block and removed afterwards."""
    path.parent.mkdir(parents=True, exist_ok=True)
    if (parent := path.parent.absolute()) not in _large:
        remove_leftovers(parent)
    label = path.name
    if len(os.fsencode(label)) > _MAX_LABEL_BYTES:
        label = hashlib.md5(os.fsencode(label), usedforsecurity=False).hexdigest()
    while True:
        scratch = path.with_name(f".{label}.{secrets.token_hex(4)}.new")
        scratch.mkdir()
        try:
            opened = os.open(scratch, os.O_RDONLY)
        except FileNotFoundError:
            continue  # taken for a leftover before it could be locked
        with contextlib.suppress(OSError):
            fcntl.flock(opened, fcntl.LOCK_EX)
        if _is_at(opened, scratch):
            break
        os.close(opened)
    try:
        yield scratch
    finally:
        shutil.rmtree(scratch, ignore_errors=True)
        os.close(opened)


@contextmanager
def _opened(path: Path) -> Generator[int]:
    opened = os.open(path, os.O_RDONLY)
    try:
        yield opened
    finally:
        os.close(opened)


def _is_at(opened: int, path: Path) -> bool:
    """Whether an open file or folder is still the one at the path."""
    try:
        return os.path.samestat(os.fstat(opened), path.stat())
    except FileNotFoundError:
        return False


def _flush(path: Path) -> None:
    with _opened(path) as opened:
        os.fsync(opened)
