"""Names read from files that become a part of a path: checked first, so that none leads out of its folder."""

from typing import Annotated

from pydantic import AfterValidator, Field

_LONGEST = 255
"""Bytes of a file's name, on every usual file system."""


def safe_name(name: str) -> str:
    """``name`` as it is, if it names exactly one visible file or folder inside any folder.

    Raises:
        ValueError: it is empty, too long, hidden (``..`` too), or holds a separator or a control character.
    """
    if not name.strip():
        raise ValueError("a name must not be empty")
    if "/" in name or "\\" in name:
        raise ValueError(f"{name!r} is a path; expected the bare name of a file or folder")
    if name.startswith("."):
        raise ValueError(f"{name!r} begins with a dot; expected the name of a visible file or folder")
    if not name.isprintable() or name != name.strip():
        raise ValueError(f"{name!r} holds a control character, or begins or ends with a space")
    if len(name.encode("utf-8", "surrogatepass")) > _LONGEST:
        raise ValueError(f"{name[:20]!r}... is longer than {_LONGEST} bytes")
    return name


def safe_path(path: str) -> str:
    """``path`` as it is, if it stays below the folder that it is relative to: safe names, joined by ``/``.

    Raises:
        ValueError: it is absolute, or a part of it is no safe_name.
    """
    if path.startswith("/"):
        raise ValueError(f"{path!r} is absolute; expected a path inside its folder")
    for part in path.split("/"):
        safe_name(part)
    return path


def readable_path(path: str) -> str:
    """``path`` as it is, if it is a safe_path, perhaps after ``./``, or an absolute one without ``..``.

    For files that are only read.

    Raises:
        ValueError: a part of it is no safe_name.
    """
    safe_path(path.removeprefix("./").removeprefix("/"))
    return path


def _one_line(name: str) -> str:
    if not name.strip() or not name.isprintable():
        raise ValueError(f"a name must hold something readable on one line, not {name!r}")
    return name


ClassName = Annotated[str, Field(max_length=200), AfterValidator(_one_line)]
"""Of a class of objects: no path, so it may hold anything that can be read on one line."""
SafeName = Annotated[str, AfterValidator(safe_name)]
SafePath = Annotated[str, AfterValidator(safe_path)]
ReadablePath = Annotated[str, AfterValidator(readable_path)]
