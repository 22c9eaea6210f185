"""Downloads that count only when whole: length and digest compared, pages of HTML refused.

A hub's files go through huggingface_hub into its own cache, under its own variables: HF_HOME, HF_TOKEN,
HF_HUB_OFFLINE, HF_ENDPOINT. A bad file is kept beside its place as NAME.bad, for a look at it.
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
    """What came is not the published file."""


def file(url: str, target: Path, expected: str | None, progress: Progress) -> Path:
    """Fetch a file; a bad one is set aside and fetched once more.

    Args:
        expected: its SHA-256. None: it is noted beside the file, so that a later change is seen.
        progress: called with bytes done and in all.

    Raises:
        BadDownloadError: it came cut short, as something else, or with another digest, twice.
        OSError: the address does not answer.
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
    """The SHA-256 noted when a file in our cache was fetched, or None; a damaged note matches no file."""
    note = _note(path)
    if path.parent != cache or not note.is_file():
        return None
    try:
        return str(json.loads(note.read_text(encoding="utf-8"))["sha256"])
    except (ValueError, KeyError, TypeError):
        return f"unknown, for {note} is damaged"


def fault(path: Path, expected: str | None, suffix: str | None = None) -> str | None:
    """Why a file is not the published one: by its SHA-256 where that is known, else by its format.

    Args:
        suffix: of the format; the file's own by default.
    """
    if expected is None:
        return formats.fault(path, suffix)
    found = sha256(path)
    if found == expected:
        return None
    what = formats.fault(path, suffix)
    return f"{f'{what}; ' if what else ''}SHA-256 is {found}, expected {expected}"


def aside(path: Path) -> Path:
    """Where a bad file is put."""
    return path.with_name(f"{path.name}.bad")


def set_aside(path: Path) -> None:
    """Move a bad file out of the way; in the hub's cache, what its link points to."""
    bad = aside(path)
    remove(bad)
    path.resolve().rename(bad)
    path.unlink(missing_ok=True)


def hub_folder(repo: str, revision: str, files: Mapping[str, str | None], progress: Progress) -> Path:
    """Fetch files of a hub's repository; those already in its cache are not fetched again.

    Args:
        files: names and SHA-256. Where it is None, the digest that the hub itself publishes is compared, else
            the format.

    Returns:
        The folder of this revision in the hub's cache.

    Raises:
        BadDownloadError: a file is not the published one, twice.
        OSError: the hub does not answer, refuses, or is not to be asked (HF_HUB_OFFLINE).
    """
    for name, expected in files.items():
        path = _hub_file(repo, revision, name, progress)
        wanted = expected or _lfs_digest(path)
        if problem := fault(path, wanted):
            set_aside(path)
            path = _hub_file(repo, revision, name, progress)
            if problem := fault(path, wanted):
                set_aside(path)
                raise BadDownloadError(f"{name}: {problem}")
        remove(aside(path))
    found = in_hub_cache(repo, revision, files)
    assert found is not None, "all files have just been fetched"
    return found


def in_hub_cache(repo: str, revision: str, files: Iterable[str]) -> Path | None:
    """The folder of a revision in the hub's cache, if it has all these files."""
    from huggingface_hub import try_to_load_from_cache

    found = [try_to_load_from_cache(repo, name, revision=revision) for name in files]
    paths = [Path(path) for path in found if isinstance(path, str)]
    return paths[0].parent if len(paths) == len(found) else None


def hub_answers(repo: str, revision: str, name: str, timeout_s: float) -> bool:
    """Whether the hub has the file for us, asked without fetching it."""
    from huggingface_hub import get_hf_file_metadata, hf_hub_url

    try:
        with _hub_errors():
            get_hf_file_metadata(hf_hub_url(repo, name, revision=revision), timeout=timeout_s)
    except OSError:
        return False
    return True


@contextmanager
def no_hub() -> Generator[None]:
    """While the block lasts, the hub is not asked, whatever the weights' configuration names."""
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
            self._done = int(self.n)  # a bar that is not drawn does not count

        def update(self, n: float | None = 1) -> bool | None:
            self._done += int(n or 0)
            progress(self._done, max(int(self.total or 0), self._done))
            return super().update(n)

    with _hub_errors():
        return Path(hf_hub_download(repo, name, revision=revision, tqdm_class=Bar))


@contextmanager
def _hub_errors() -> Generator[None]:
    """Whatever the hub's client raises becomes an OSError of one line."""
    try:
        yield
    except Exception as error:
        # It says that a file is not in its cache, and only in the cause why it could not be fetched.
        why = error.__cause__ or error
        raise OSError((str(why).strip().splitlines() or [type(why).__name__])[0]) from None


def _lfs_digest(path: Path) -> str | None:
    """The SHA-256 that the hub publishes for a large file: its cache names the blob by it."""
    name = path.resolve().name
    is_digest = len(name) == _LFS_DIGEST_CHARS and set(name) <= set("0123456789abcdef")
    return name if is_digest else None


def _note(path: Path) -> Path:
    return path.with_name(f"{path.name}.fetched.json")


def _download(url: str, target: Path, expected: str | None, progress: Progress) -> None:
    with (
        urllib.request.urlopen(url, timeout=60) as answer,  # noqa: S310 - our own https addresses
        fresh_file(target) as new,
    ):
        if url.startswith("https:") and not answer.url.startswith("https:"):
            raise OSError(f"it sends us on to {answer.url}, which is not encrypted")
        announced = answer.headers.get("Content-Length")
        total = int(announced) if announced and announced.isdecimal() else None
        with new.open("wb") as out:
            done = _copy(answer.read, out.write, total or 0, progress)
        problem = None if total in (None, done) else f"{done} of {total} bytes came"
        if problem := problem or fault(new, expected, target.suffix):
            bad = aside(target)
            remove(bad)
            new.rename(bad)
            raise BadDownloadError(f"{problem}; what came is kept as {bad}")


def _copy(read: Callable[[int], bytes], write: Callable[[bytes], int], total: int, progress: Progress) -> int:
    done = 0
    while block := read(_BLOCK):
        write(block)
        done += len(block)
        progress(done, max(total, done))
    return done
