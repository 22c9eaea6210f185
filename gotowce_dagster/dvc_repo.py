"""The bridge to DVC, and the only module that imports it.

DVC's Repo class is no public API, so what is used of it is little and held by contract tests. It resolves
names against the current folder of the process, hence every call runs inside the project's root.
"""

import contextlib
import hashlib
import json
import logging
from collections.abc import Generator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml

from gotowce_dagster.errors import BusyError, InputError, system_sentence
from gotowce_dagster.yaml_files import read_yaml

if TYPE_CHECKING:
    from dvc.repo import Repo


def stage_name(stage: str, video: str | None) -> str:
    """How dvc.yaml names a stage of a video: ``masks@duel``."""
    return stage if video is None else f"{stage}@{video}"


@dataclass(frozen=True)
class DvcRepo:
    """A project's DVC repository."""

    root: Path

    @contextlib.contextmanager
    def _open(self) -> Generator["Repo"]:
        from dvc.exceptions import DvcException
        from dvc.parsing import ResolveError
        from dvc.repo import Repo

        # Its hints ("to track the changes with git, run ...") are for people who typed a dvc command.
        logging.getLogger("dvc").setLevel(logging.WARNING)
        with contextlib.chdir(self.root), Repo(str(self.root), _wait_for_lock=True) as repo:
            try:
                yield repo
            except ResolveError as error:
                raise InputError(
                    f"{error}; run `gotowce sync`: it writes data/videos.yaml and data/engines.yaml anew"
                ) from error
            except DvcException as error:
                # Of the system's own errors the command line knows what to say.
                if system_sentence(error):
                    raise
                raise InputError(f"DVC: {' '.join(str(error).split())}") from error

    def is_current(self, name: str) -> bool:
        """Whether the stage's outputs are there and made from the inputs as they are now."""
        with self._open() as repo:
            return not repo.status(targets=[name])

    def stale(self) -> list[str]:
        """The stages and tracked files that are not current."""
        with self._open() as repo:
            return sorted(repo.status())

    def restore(self, name: str) -> bool:
        """Bring back the outputs of an earlier run with the same inputs, if DVC's run cache has them."""
        from dvc.exceptions import CheckoutError
        from dvc.stage.cache import RunCacheNotFoundError

        with self._open() as repo, repo.lock:
            try:
                repo.stage_cache.restore(repo.stage.load_one(name=name))
            except (RunCacheNotFoundError, CheckoutError):
                return False
            return True

    def commit(self, name: str) -> str:
        """Record in dvc.lock that the output was made from the inputs as they are; give its digest."""
        with self._open() as repo:
            (stage,) = repo.commit(name, force=True)
            (output,) = stage.outs
            return output.hash_info.value

    def track(self, path: Path) -> None:
        """Put a file under DVC as a source, as `dvc add` does.

        Raises:
            BusyError: a stage that `dvc repro` runs at this moment reads the file.
        """
        from dvc.lock import LockError

        with self._open() as repo, _whole_copies(repo, path):
            try:
                repo.add(str(path.relative_to(self.root)))
            except LockError as error:
                raise BusyError(
                    f"{path}: a stage that DVC runs reads it; the file stays, track it with `gotowce sync` "
                    f"when that is done"
                ) from error

    def is_tracked(self, path: Path) -> bool:
        """Whether `dvc add` was done for the file."""
        return path.with_name(path.name + ".dvc").exists()

    def is_recorded(self, path: Path) -> bool:
        """Whether DVC tracks the file with the content that it has now."""
        if not self.is_tracked(path):
            return False
        digest = hashlib.md5(path.read_bytes(), usedforsecurity=False).hexdigest()
        return digest == self.tracked_digest(path)

    def tracked_digest(self, path: Path) -> str:
        """The digest of a tracked source file, as its .dvc file says.

        Raises:
            InputError: DVC does not track the file.
        """
        if not self.is_tracked(path):
            raise InputError(f"{path}: not tracked by DVC yet; run `gotowce sync`")
        entry = path.with_name(path.name + ".dvc")
        try:
            return output_digest(read_yaml(entry))
        except (KeyError, TypeError, ValueError):
            raise InputError(f"{entry}: not written by `dvc add`; remove it and run `gotowce sync`") from None

    def lock_entries(self) -> dict[str, Any]:
        """What dvc.lock says of each stage.

        Raises:
            yaml.YAMLError: DVC is writing the file at this moment (it writes in place): ask again later.
        """
        path = self.root / "dvc.lock"
        if not path.exists():
            return {}
        content = yaml.safe_load(path.read_text(encoding="utf-8"))
        if not isinstance(content, dict) or "stages" not in content:
            raise yaml.YAMLError(f"{path}: cut short")
        return content["stages"]


@contextlib.contextmanager
def _whole_copies(repo: "Repo", path: Path) -> Generator[None]:
    """If copying a file into DVC's cache fails, for instance on a full disk, leave no half of it there."""
    with path.open("rb") as file:
        digest = hashlib.file_digest(file, "md5").hexdigest()
    folder = Path(repo.cache.local.path) / digest[:2]
    before = set(folder.glob(".*.tmp"))
    transfers = logging.getLogger("dvc_data")  # says what is raised anyway
    level = transfers.level
    transfers.setLevel(logging.CRITICAL)
    try:
        yield
    except BaseException:
        for half in set(folder.glob(".*.tmp")) - before:
            half.unlink(missing_ok=True)
        raise
    finally:
        transfers.setLevel(level)


def output_digest(entry: dict[str, Any]) -> str:
    """The digest of a lock entry's one output, equal to what commit gave."""
    (output,) = entry["outs"]
    return output["md5"]


def fingerprint(entry: dict[str, Any]) -> str:
    """A digest of a whole lock entry: another input changes it even where the output's bytes stay."""
    return hashlib.md5(json.dumps(entry, sort_keys=True).encode(), usedforsecurity=False).hexdigest()
