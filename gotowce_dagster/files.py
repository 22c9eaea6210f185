"""Writing without half-written files: write beside, then rename.

Cached outputs of DVC may be hard links into its cache, so nothing is ever changed in place either.
"""

import json
import os
import shutil
import tomllib
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from gotowce_dagster.errors import InputError, system_sentence


def _beside(path: Path) -> Path:
    return path.with_name(f".{path.name}.new")


def remove(path: Path) -> None:
    """Remove a file or a folder tree, if it is there."""
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


@contextmanager
def fresh_file(path: Path) -> Generator[Path]:
    """Give a path to write to; it becomes ``path`` only when the block ends without an error."""
    path.parent.mkdir(parents=True, exist_ok=True)
    new = _beside(path)
    remove(new)
    try:
        yield new
        new.replace(path)
    finally:
        remove(new)


@contextmanager
def fresh_dir(path: Path) -> Generator[Path]:
    """Give an empty folder to fill; it replaces ``path`` only when the block ends without an error."""
    path.parent.mkdir(parents=True, exist_ok=True)
    new = _beside(path)
    remove(new)
    new.mkdir()
    try:
        yield new
        remove(path)
        new.rename(path)
    finally:
        remove(new)


def link_or_copy(source: str | Path, target: str | Path) -> None:
    """Hard link a file that nobody changes in place, or copy it where the file system cannot link."""
    try:
        os.link(source, target)
    except OSError:
        shutil.copyfile(source, target)


def read_text(path: Path, missing: str = "") -> str:
    """Read a text file that people write, with or without a byte order mark.

    Args:
        missing: what to do if it does not exist.

    Raises:
        InputError: naming the file: it is missing, a folder, not readable or not UTF-8.
    """
    try:
        content = path.read_bytes()
    except FileNotFoundError:
        raise InputError(f"{path}: not there" + (f"; {missing}" if missing else "")) from None
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
