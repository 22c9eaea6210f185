"""Writing without half-written files: write beside, then rename.

Cached outputs of DVC may be hard links into its cache, so nothing is ever changed in place either.
"""

import os
import shutil
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path


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
