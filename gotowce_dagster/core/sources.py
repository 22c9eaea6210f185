"""State of source files that DVC tracks (videos and reviews): present, not pulled, or gone.

A file ``X`` is tracked if ``X.dvc`` exists beside it. A tracked file exists even if its content is absent.
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
    """The .dvc file of a tracked file: ``X.dvc`` beside ``X``."""
    return path.with_name(path.name + _SUFFIX)


def tracked_files(folder: Path) -> list[Path]:
    """List the files that DVC tracks in a folder, recursively, present or not, sorted."""
    pointers = (file for file in folder.rglob(f"?*{_SUFFIX}") if file.is_file())
    return sorted(file.with_name(file.name.removesuffix(_SUFFIX)) for file in pointers)


def state(path: Path) -> State:
    """Whether a source file is present, only tracked, or neither. A dangling link is not present."""
    if path.exists():
        return "here"
    return "not pulled" if pointer(path).exists() else "gone"


def not_pulled(paths: Iterable[Path]) -> str | None:
    """A sentence naming tracked files that are not pulled, and the command to pull them; None if all are."""
    absent = [path for path in paths if state(path) == "not pulled"]
    if not absent:
        return None
    names = ", ".join(below_data(path) for path in absent)
    return f"{names}: not pulled; run `dvc pull {shlex.join(below_data(pointer(path)) for path in absent)}`"


def require_pulled(paths: Iterable[Path]) -> None:
    """Check that files are pulled.

    Raises:
        InputError: Files are tracked but not pulled; the message has the command to pull them.
    """
    if problem := not_pulled(paths):
        raise InputError(problem)


def digest(path: Path) -> str:
    """Compute the MD5 of a file's content, as DVC does, in constant memory."""
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
    """The only output in ``tracked.dvc``: md5, size and path.

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
    """A path relative to the project's root, from its last ``data`` folder on."""
    parts = path.parts
    if "data" not in parts:
        return str(path)
    start = len(parts) - 1 - parts[::-1].index("data")
    return Path(*parts[start:]).as_posix()
