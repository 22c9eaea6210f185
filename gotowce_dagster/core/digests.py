"""SHA-256 of files, cached: an unchanged file is not read again."""

import contextlib
import hashlib
import json
import os
from pathlib import Path

from gotowce_dagster.core.files import fresh_file


def sha256(path: Path) -> str:
    """SHA-256 of a file, in hex.

    The digest is remembered in the user's cache folder with the file's size, inode and times of change. Tools
    that copy a file can set its mtime but not its ctime, so a file that was replaced is read again.
    """
    path = path.resolve()
    status = path.stat()
    state = [status.st_size, status.st_mtime_ns, status.st_ctime_ns, status.st_ino]
    note = _notes() / f"{hashlib.sha256(str(path).encode()).hexdigest()[:32]}.json"
    with contextlib.suppress(OSError, ValueError, KeyError, TypeError):
        noted = json.loads(note.read_text(encoding="utf-8"))
        if noted["state"] == state:
            return str(noted["sha256"])
    with path.open("rb") as file:
        found = hashlib.file_digest(file, "sha256").hexdigest()
    # A note that cannot be kept costs a second reading, nothing else.
    with contextlib.suppress(OSError), fresh_file(note) as new:
        new.write_text(json.dumps({"path": str(path), "state": state, "sha256": found}), encoding="utf-8")
    return found


def content_sha256(path: Path) -> str:
    """SHA-256 of a file, or of a folder: of the names and digests of all files in it."""
    if not path.is_dir():
        return sha256(path)
    files = sorted(file for file in path.rglob("*") if file.is_file() and "__pycache__" not in file.parts)
    lines = (f"{sha256(file)}  {file.relative_to(path).as_posix()}\n" for file in files)
    return hashlib.sha256("".join(lines).encode()).hexdigest()


def _notes() -> Path:
    return Path(os.environ.get("XDG_CACHE_HOME", Path.home() / ".cache")) / "gotowce" / "digests"
