"""Source files that DVC tracks (videos and reviews): here, not pulled, or gone.

A file ``X`` is tracked when ``X.dvc`` lies beside it. What is tracked exists, even if its content is absent.
"""

import hashlib
import shlex
from collections.abc import Iterable
from pathlib import Path
from typing import Literal

from gotowce_dagster.core.errors import InputError
from gotowce_dagster.core.yaml_files import read_yaml

State = Literal["here", "not pulled", "gone"]
_SUFFIX = ".dvc"


def pointer(path: Path) -> Path:
    """The file by which DVC tracks another: ``X.dvc`` beside ``X``."""
    return path.with_name(path.name + _SUFFIX)


def tracked_files(folder: Path) -> list[Path]:
    """The files of a folder and of those below that DVC tracks, here or not, sorted."""
    pointers = (file for file in folder.rglob(f"?*{_SUFFIX}") if file.is_file())
    return sorted(file.with_name(file.name.removesuffix(_SUFFIX)) for file in pointers)


def state(path: Path) -> State:
    """Whether a source file is here, only tracked, or neither. A dangling link is not here."""
    if path.exists():
        return "here"
    return "not pulled" if pointer(path).exists() else "gone"


def not_pulled(paths: Iterable[Path]) -> str | None:
    """One sentence naming the files that are tracked but not here, and how to get them; None if all are."""
    absent = [path for path in paths if state(path) == "not pulled"]
    if not absent:
        return None
    names = ", ".join(below_data(path) for path in absent)
    return f"{names}: not pulled; run `dvc pull {shlex.join(below_data(pointer(path)) for path in absent)}`"


def require_pulled(paths: Iterable[Path]) -> None:
    """Raises: InputError: files are tracked but not here; it says how to get them."""
    if problem := not_pulled(paths):
        raise InputError(problem)


def digest(path: Path) -> str:
    """The MD5 of a file's content, as DVC computes it, in constant memory."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, lambda: hashlib.md5(usedforsecurity=False)).hexdigest()


def is_tracked_content(source: Path, tracked: Path) -> bool:
    """Whether a file has the content that ``tracked.dvc`` records.

    Raises:
        InputError: the .dvc file is damaged.
    """
    entry = read_pointer(tracked)
    if entry.get("size", source.stat().st_size) != source.stat().st_size:
        return False
    return entry.get("md5") == digest(source)


def read_pointer(tracked: Path) -> dict:
    """The one output that ``tracked.dvc`` records: md5, size and path.

    Raises:
        InputError: the .dvc file is damaged.
    """
    file = pointer(tracked)
    try:
        (entry,) = read_yaml(file)["outs"]
        return dict(entry)
    except (InputError, ValueError, KeyError, TypeError):
        raise InputError(
            f"{file}: not a .dvc file with one output; restore it with `git checkout {below_data(file)}`"
        ) from None


def below_data(path: Path) -> str:
    """A path as it is typed in the project's root, in which ``data`` lies."""
    parts = path.parts
    if "data" not in parts:
        return str(path)
    start = len(parts) - 1 - parts[::-1].index("data")
    return Path(*parts[start:]).as_posix()
