"""Interface to DVC; with dvc_lock_repair the only module that imports it.

DVC's Repo class is not a public API, so we use little of it, covered by contract tests. It resolves names
against the current folder of the process, hence every call runs in the project's root. Every call starts with
a complete dvc.lock: one that was truncated by a kill is repaired first.
"""

import contextlib
import hashlib
import json
import logging
import time
from collections.abc import Callable, Generator, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from gotowce_dagster.core.errors import BusyError, GotowceError, InputError, system_sentence
from gotowce_dagster.core.yaml_files import read_yaml
from gotowce_dagster.intake import dvc_lock_repair
from gotowce_dagster.intake.dvc_lock_repair import Repair
from gotowce_dagster.intake.dvc_lockfile import read_lock

if TYPE_CHECKING:
    from dvc.repo import Repo


T = TypeVar("T")

_logger = logging.getLogger(__name__)

_IN_USE_POLL_S = 1.0


def stage_name(stage: str, video: str | None) -> str:
    """The name of a video's stage in dvc.yaml: ``masks@duel``."""
    return stage if video is None else f"{stage}@{video}"


class LockBusyError(GotowceError):
    """Another process holds DVC's lock."""


@dataclass(frozen=True)
class DvcRepo:
    """A project's DVC repository."""

    root: Path

    @contextlib.contextmanager
    def _open(self) -> Generator["Repo"]:
        with self._connected(wait=True) as repo:
            dvc_lock_repair.whole_lock(repo, self.root)
            yield repo

    @contextlib.contextmanager
    def _connected(self, *, wait: bool) -> Generator["Repo"]:
        """Open DVC's repository, whatever the state of dvc.lock.

        Raises:
            LockBusyError: with ``wait`` false: another process held DVC's lock for three seconds.
        """
        from dvc.exceptions import DvcException
        from dvc.lock import LockError
        from dvc.parsing import ResolveError
        from dvc.repo import Repo

        # Its hints ("to track the changes with git, run ...") are for users of the dvc command.
        logging.getLogger("dvc").setLevel(logging.WARNING)
        dvc_lock_repair.write_through_rename()
        with contextlib.chdir(self.root), Repo(str(self.root), _wait_for_lock=wait) as repo:
            dvc_lock_repair.drop_torn_rwlock(repo)
            try:
                yield repo
            except ResolveError as error:
                raise InputError(
                    f"{error}; run `gotowce sync` to rewrite data/videos.yaml and data/engines.yaml"
                ) from error
            except LockError as error:
                if wait:
                    raise
                raise LockBusyError(
                    "dvc.lock is being written by another process; try again later"
                ) from error
            except DvcException as error:
                # The command line has its own messages for system errors.
                if system_sentence(error):
                    raise
                raise InputError(f"DVC: {' '.join(str(error).split())}") from error

    def _when_free(self, act: Callable[["Repo"], T]) -> T:
        """Run ``act`` once no stage of a concurrent `dvc repro` uses the same files."""
        from dvc.lock import LockError

        has_warned = False
        while True:
            with self._open() as repo:
                try:
                    return act(repo)
                except LockError as error:
                    if not has_warned:
                        _logger.warning("waiting for DVC: %s", error)
                        has_warned = True
            time.sleep(_IN_USE_POLL_S)

    def repair(self, *, run_cache: bool = False) -> Repair | None:
        """Repair a truncated dvc.lock and truncated .dvc files of sources.

        Args:
            run_cache: Also remove unfinished entries of DVC's run cache, which takes a look at each entry.

        Returns:
            The result for each stage; None if dvc.lock was complete.
        """
        from dvc.repo import lock_repo

        is_whole = dvc_lock_repair.is_unchanged(self.root) and not dvc_lock_repair.torn_sources(self.root)
        if is_whole and not run_cache:
            return None
        with self._connected(wait=True) as repo, lock_repo(repo):
            if run_cache:
                dvc_lock_repair.drop_torn_run_cache(repo)
            repair = dvc_lock_repair.make_whole(repo, self.root)
            torn = dvc_lock_repair.torn_sources(self.root)
            for file in torn:
                file.rename(file.with_name(f"{file.name}.cut"))
        for file in torn:
            source = file.with_suffix("")
            _logger.warning(
                "%s was truncated and is %s; the truncated file is kept as %s.cut",
                file,
                "written again"
                if source.exists()
                else "removed, because its file is missing: restore it with `git checkout`",
                file.name,
            )
            if source.exists():
                self.track(source)
        return repair

    def remember(self) -> None:
        """Copy the current dvc.lock, before a plain `dvc repro` that runs this process rewrites it in place.

        Does nothing if another process holds DVC's lock, because that process keeps a copy too.
        """
        if (self.root / ".dvc").is_dir():
            with contextlib.suppress(LockBusyError):
                self.lock_entries(wait=False)

    def is_current(self, name: str) -> bool:
        """Whether the stage's outputs exist and were made from the current inputs."""
        return self._when_free(lambda repo: not repo.status(targets=[name]))

    def stale(self) -> list[str]:
        """List stages and tracked files that are not current."""
        return self._when_free(lambda repo: sorted(repo.status()))

    def restore(self, name: str) -> bool:
        """Restore the outputs of an earlier run with the same inputs, if DVC's run cache has them."""
        from dvc.exceptions import CheckoutError
        from dvc.stage.cache import RunCacheNotFoundError

        def restore_outputs(repo: "Repo") -> bool:
            def restored() -> bool:
                try:
                    repo.stage_cache.restore(repo.stage.load_one(name=name))
                except (RunCacheNotFoundError, CheckoutError):
                    return False
                return True

            with repo.lock:
                try:
                    return restored()
                except (KeyError, TypeError):  # DVC does not expect what it left unfinished when killed
                    if not dvc_lock_repair.drop_torn_run_cache(repo):
                        raise
                    repo._reset()
                    return restored()

        return self._when_free(restore_outputs)

    def commit(self, name: str) -> str:
        """Record in dvc.lock that the output was made from the current inputs; returns its digest."""

        def record(repo: "Repo") -> str:
            (stage,) = repo.commit(name, force=True)
            (output,) = stage.outs
            return output.hash_info.value

        return self._when_free(record)

    def track(self, path: Path) -> None:
        """Track a file with DVC as a source, as `dvc add` does.

        Raises:
            BusyError: A stage that `dvc repro` is running reads the file.
        """
        from dvc.lock import LockError

        with self._open() as repo, _whole_copies(repo, path):
            try:
                repo.add(str(path.relative_to(self.root)))
            except LockError as error:
                raise BusyError(
                    f"{path}: in use by a stage that DVC is running; the file stays, track it with "
                    f"`gotowce sync` when the stage is done"
                ) from error

    def is_tracked(self, path: Path) -> bool:
        """Whether DVC tracks the file."""
        return path.with_name(path.name + ".dvc").exists()

    def is_recorded(self, path: Path) -> bool:
        """Whether DVC tracks the file with its current content."""
        if not self.is_tracked(path):
            return False
        digest = hashlib.md5(path.read_bytes(), usedforsecurity=False).hexdigest()
        return digest == self.tracked_digest(path)

    def tracked_digest(self, path: Path) -> str:
        """Read the digest of a tracked source file from its .dvc file.

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

    def lock_entries(self, *, wait: bool = True) -> dict[str, Any]:
        """Read the entry of each stage in dvc.lock; do not modify the result.

        Args:
            wait: Wait for a process that is writing dvc.lock, as long as it takes.

        Raises:
            LockBusyError: with ``wait`` false: another process held DVC's lock for three seconds.
            InputError: It has git's merge conflict markers.
        """
        path = self.root / "dvc.lock"
        if not (self.root / ".dvc").is_dir():
            text = path.read_text(encoding="utf-8") if path.exists() else ""
        else:
            with self._connected(wait=wait) as repo:
                text = dvc_lock_repair.whole_lock(repo, self.root)
        return read_lock(text, dvc_lock_repair.without_outs(self.root)) if text else {}

    def entries(self, names: Iterable[str]) -> dict[str, Any]:
        """Read the entries of some stages in dvc.lock; do not modify the result."""
        stages = self.lock_entries()
        return {name: stages[name] for name in names if name in stages}

    def replace_entries(self, drop: Iterable[str], put: Mapping[str, Any]) -> None:
        """Remove and add entries of dvc.lock in one write; comments stay."""
        from dvc.repo import lock_repo
        from dvc.utils.serialize import dump_yaml
        from ruamel.yaml import YAML

        path = self.root / "dvc.lock"
        with self._open() as repo, lock_repo(repo):
            content: dict[str, Any] = {"schema": "2.0"}
            if path.exists():
                content = YAML().load(path.read_text(encoding="utf-8"))
            before = content.setdefault("stages", {})
            stages = {name: entry for name, entry in before.items() if name not in set(drop)} | dict(put)
            if stages == before:
                return
            content["stages"] = stages
            # Atomic write that also updates the copy for repairs, so that removed entries stay removed.
            dvc_lock_repair.write_through_rename()
            dump_yaml(str(path), content)

    def keep_unchanged(self, name: str) -> bool:
        """Commit a stage's output if it was made from the current inputs; returns whether it was."""
        with self._open() as repo:
            stage = repo.stage.load_one(name=name)
            with repo.lock:
                if stage.changed_deps() or stage.changed_stage() or not all(out.exists for out in stage.outs):
                    return False
            repo.commit(name, force=True)
            return True

    def refuse_busy(self, paths: Iterable[Path]) -> None:
        """Check that no running stage of a `dvc repro` reads or writes the files.

        Raises:
            GotowceError: One does.
        """
        from dvc.lock import LockError
        from dvc.rwlock import rwlock

        write = [str(path) for path in paths]
        with self._open() as repo:
            try:
                with rwlock(
                    repo.tmp_dir,
                    repo.fs,
                    "gotowce",
                    [],
                    write,
                    repo.config["core"].get("hardlink_lock", False),
                ):
                    pass
            except LockError as error:
                raise GotowceError(
                    "a stage that DVC is running uses the video; wait until it is done and run this again"
                ) from error


@contextlib.contextmanager
def _whole_copies(repo: "Repo", path: Path) -> Generator[None]:
    """Remove a partial copy from DVC's cache if copying a file fails, for example on a full disk."""
    with path.open("rb") as file:
        digest = hashlib.file_digest(file, "md5").hexdigest()
    folder = Path(repo.cache.local.path) / digest[:2]
    before = set(folder.glob(".*.tmp"))
    transfers = logging.getLogger("dvc_data")  # logs what is raised anyway
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
    """The digest of a lock entry's only output, as returned by commit."""
    (output,) = entry["outs"]
    return output["md5"]


def fingerprint(entry: dict[str, Any]) -> str:
    """Digest of a whole lock entry, which changes with the inputs even if the output does not."""
    return hashlib.md5(json.dumps(entry, sort_keys=True).encode(), usedforsecurity=False).hexdigest()
