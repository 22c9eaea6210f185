"""Verified downloads: length and digest are checked, HTML pages are refused.

Files of a hub are downloaded by huggingface_hub into its own cache, with its own variables: HF_HOME,
HF_TOKEN, HF_HUB_OFFLINE, HF_ENDPOINT. A bad file is kept as NAME.bad for inspection.
"""

import io
import json
import urllib.request
from collections.abc import Callable, Generator, Iterable, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from gotowce_dagster.core import formats
from gotowce_dagster.core.digests import sha256
from gotowce_dagster.core.files import fresh_file, remove
from gotowce_dagster.core.progress import Progress

_BLOCK = 1 << 20
_TRIES = 2
_LFS_DIGEST_CHARS = 64


class BadDownloadError(OSError):
    """The downloaded file is not the published one."""


def file(url: str, target: Path, expected: str | None, progress: Progress) -> Path:
    """Download a file; a bad file is set aside and downloaded once more.

    Args:
        expected: SHA-256. None: the digest is recorded beside the file, so that later changes are detected.
        progress: Called with bytes done and in total.

    Raises:
        BadDownloadError: The file was truncated, of another format, or had another digest, twice.
        OSError: The URL does not respond.
    """
    for attempt in range(_TRIES):
        try:
            _download(url, target, expected, progress)
        except BadDownloadError:
            if attempt == _TRIES - 1:
                raise
        else:
            break
    if expected is None:
        with fresh_file(_note(target)) as new:
            new.write_text(json.dumps({"url": url, "sha256": sha256(target)}) + "\n", encoding="utf-8")
    remove(aside(target))
    return target


def noted_digest(path: Path, cache: Path) -> str | None:
    """The SHA-256 recorded when a file in our cache was downloaded, or None; damaged ones match nothing."""
    note = _note(path)
    if path.parent != cache or not note.is_file():
        return None
    try:
        return str(json.loads(note.read_text(encoding="utf-8"))["sha256"])
    except (ValueError, KeyError, TypeError):
        return f"unknown, for {note} is damaged"


def fault(path: Path, expected: str | None, suffix: str | None = None) -> str | None:
    """Explain why a file is not the published one, by its SHA-256 if known, else by its format; or None.

    Args:
        suffix: Suffix of the format; the file's own by default.
    """
    if expected is None:
        return formats.fault(path, suffix)
    found = sha256(path)
    if found == expected:
        return None
    what = formats.fault(path, suffix)
    return f"{f'{what}; ' if what else ''}SHA-256 is {found}, expected {expected}"


def aside(path: Path) -> Path:
    """Path to which a bad file is moved."""
    return path.with_name(f"{path.name}.bad")


def set_aside(path: Path) -> None:
    """Move a bad file aside; in the hub's cache, the target of its link."""
    bad = aside(path)
    remove(bad)
    path.resolve().rename(bad)
    path.unlink(missing_ok=True)


def hub_folder(repo: str, revision: str, files: Mapping[str, str | None], progress: Progress) -> Path:
    """Download files of a hub's repository, except those already in its cache.

    Args:
        files: Names and SHA-256. If None, the digest published by the hub is checked, else the format.

    Returns:
        The folder of this revision in the hub's cache.

    Raises:
        BadDownloadError: A file is not the published one, twice.
        OSError: The hub does not respond, refuses the request, or is offline by HF_HUB_OFFLINE.
    """
    for name, expected in files.items():
        path = _hub_file(repo, revision, name, progress)
        digest = expected or _lfs_digest(path)
        if problem := fault(path, digest):
            set_aside(path)
            path = _hub_file(repo, revision, name, progress)
            if problem := fault(path, digest):
                set_aside(path)
                raise BadDownloadError(f"{name}: {problem}")
        remove(aside(path))
    found = in_hub_cache(repo, revision, files)
    assert found is not None, "all files have just been downloaded"
    return found


def in_hub_cache(repo: str, revision: str, files: Iterable[str]) -> Path | None:
    """Find the folder of a revision in the hub's cache, if it has all these files."""
    from huggingface_hub import try_to_load_from_cache

    found = [try_to_load_from_cache(repo, name, revision=revision) for name in files]
    paths = [Path(path) for path in found if isinstance(path, str)]
    return paths[0].parent if len(paths) == len(found) else None


def hub_has_file(repo: str, revision: str, name: str, timeout_s: float) -> bool:
    """Whether the hub provides the file, without downloading it."""
    from huggingface_hub import get_hf_file_metadata, hf_hub_url

    try:
        with _hub_errors():
            get_hf_file_metadata(hf_hub_url(repo, name, revision=revision), timeout=timeout_s)
    except OSError:
        return False
    return True


@contextmanager
def no_hub() -> Generator[None]:
    """Disable access to the hub inside the block, whatever the weights' configuration names."""
    from huggingface_hub import constants

    before, constants.HF_HUB_OFFLINE = constants.HF_HUB_OFFLINE, True
    try:
        yield
    finally:
        constants.HF_HUB_OFFLINE = before


def _hub_file(repo: str, revision: str, name: str, progress: Progress) -> Path:
    from huggingface_hub import hf_hub_download
    from huggingface_hub.utils import tqdm

    class Bar(tqdm):
        """Draws nothing; calls ``progress``."""

        def __init__(self, *args: Any, **kwargs: Any) -> None:
            super().__init__(*args, **{**kwargs, "file": io.StringIO()})
            self._done = int(self.n)  # tqdm does not count while its bar is not drawn

        def update(self, n: float | None = 1) -> bool | None:
            self._done += int(n or 0)
            progress(self._done, max(int(self.total or 0), self._done))
            return super().update(n)

    with _hub_errors():
        return Path(hf_hub_download(repo, name, revision=revision, tqdm_class=Bar))


@contextmanager
def _hub_errors() -> Generator[None]:
    """Convert any error of the hub's client to an OSError with one line."""
    try:
        yield
    except Exception as error:
        # It says that a file is not in its cache, and only in the cause why it could not be fetched.
        why = error.__cause__ or error
        raise OSError((str(why).strip().splitlines() or [type(why).__name__])[0]) from None


def _lfs_digest(path: Path) -> str | None:
    """The hub's published SHA-256 of a large file, which names its blob in the cache."""
    name = path.resolve().name
    is_digest = len(name) == _LFS_DIGEST_CHARS and set(name) <= set("0123456789abcdef")
    return name if is_digest else None


def _note(path: Path) -> Path:
    return path.with_name(f"{path.name}.fetched.json")


def _download(url: str, target: Path, expected: str | None, progress: Progress) -> None:
    with (
        urllib.request.urlopen(url, timeout=60) as response,  # noqa: S310 - our own https addresses
        fresh_file(target) as new,
    ):
        if url.startswith("https:") and not response.url.startswith("https:"):
            raise OSError(f"it redirects to {response.url}, which is not encrypted")
        announced = response.headers.get("Content-Length")
        total = int(announced) if announced and announced.isdecimal() else None
        with new.open("wb") as out:
            done = _copy(response.read, out.write, total or 0, progress)
        problem = None if total in (None, done) else f"{done} of {total} bytes received"
        if problem := problem or fault(new, expected, target.suffix):
            bad = aside(target)
            remove(bad)
            new.rename(bad)
            raise BadDownloadError(f"{problem}; the file is kept as {bad}")


def _copy(read: Callable[[int], bytes], write: Callable[[bytes], int], total: int, progress: Progress) -> int:
    done = 0
    while block := read(_BLOCK):
        write(block)
        done += len(block)
        progress(done, max(total, done))
    return done
