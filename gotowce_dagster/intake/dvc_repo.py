"""Interface to DVC; with dvc_remote and dvc_lock_repair the only module that imports it.

DVC's Repo class is not a public API, so we use little of it, covered by contract tests. It resolves names
against the current folder of the process, hence every call runs in the project's root. Every call starts with
a complete dvc.lock: one that was truncated by a kill is repaired first. A call about one stage reads the
files of its own pipeline only, and a stage is named by its address (``pipelines.stage_address``).
"""

import contextlib
import hashlib
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
from gotowce_dagster.intake.dvc_lockfile import output_digest, read_lock
from gotowce_dagster.intake.pipelines import (
    LOCK,
    PIPELINE,
    ROOT,
    address,
    folders_with_lock,
    split_address,
)

if TYPE_CHECKING:
    from dvc.repo import Repo


T = TypeVar("T")

_logger = logging.getLogger(__name__)

_IN_USE_POLL_S = 1.0


class LockBusyError(GotowceError):
    """Another process holds DVC's lock."""


@dataclass(frozen=True)
class DvcRepo:
    """A project's DVC repository."""

    root: Path

    @contextlib.contextmanager
    def _open(self, folders: Iterable[str] = (), *, wait: bool = True) -> Generator["Repo"]:
        """Open DVC's repository with the dvc.lock of these pipelines complete."""
        with self._connected(wait=wait) as repo:
            for folder in folders:
                dvc_lock_repair.whole_lock(repo, self.root, folder)
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
                    f"{error}; run `gotowce sync` to rewrite data/videos.yaml, data/engines.yaml and the "
                    "video.yaml of each video"
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

    def _when_free(self, folders: Iterable[str], act: Callable[["Repo"], T]) -> T:
        """Run ``act`` on some pipelines once no stage of a concurrent `dvc repro` uses the same files."""
        from dvc.lock import LockError

        has_warned = False
        while True:
            with self._open(folders) as repo:
                try:
                    return act(repo)
                except LockError as error:
                    if not has_warned:
                        _logger.warning("waiting for DVC: %s", error)
                        has_warned = True
            time.sleep(_IN_USE_POLL_S)

    def _folder_of(self, name: str) -> str:
        """The folder of a stage's pipeline.

        Raises:
            InputError: The pipeline file does not exist.
        """
        folder = split_address(name)[0]
        if folder != ROOT and not (self.root / folder / PIPELINE).exists():
            raise InputError(f"{folder}/{PIPELINE}: does not exist; write it with `gotowce sync`")
        return folder

    def repair(self, *, wait: bool = True, run_cache: bool = False) -> Repair | None:
        """Repair every truncated dvc.lock, and truncated .dvc files of sources.

        Args:
            wait: Wait for a process that is writing one of them, as long as it takes.
            run_cache: Also remove unfinished entries of DVC's run cache, which takes a look at each entry.

        Returns:
            The result for each stage of the truncated ones; None if all were complete.

        Raises:
            LockBusyError: with ``wait`` false: another process held DVC's lock for three seconds.
        """
        from dvc.repo import lock_repo

        folders = folders_with_lock(self.root)
        changed = [folder for folder in folders if dvc_lock_repair.unchanged_text(self.root, folder) is None]
        if not changed and not dvc_lock_repair.torn_sources(self.root) and not run_cache:
            return None
        with self._connected(wait=wait) as repo, lock_repo(repo):
            if run_cache:
                dvc_lock_repair.drop_torn_run_cache(repo)
            repairs = [dvc_lock_repair.make_whole(repo, self.root, folder) for folder in changed]
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
        return dvc_lock_repair.joined([repair for repair in repairs if repair])

    def remember(self, name: str) -> None:
        """Copy the dvc.lock with a stage, before a plain `dvc repro` that runs us rewrites it in place.

        Does nothing if another process holds DVC's lock, because that process keeps a copy too.
        """
        if (self.root / ".dvc").is_dir():
            with contextlib.suppress(LockBusyError), self._connected(wait=False) as repo:
                dvc_lock_repair.whole_lock(repo, self.root, split_address(name)[0])

    def is_current(self, name: str) -> bool:
        """Whether the stage's outputs exist and were made from the current inputs."""
        return self._when_free([self._folder_of(name)], lambda repo: not repo.status(targets=[name]))

    def stale(self) -> list[str]:
        """List the addresses of stages and the tracked files that are not current."""
        return self._when_free(folders_with_lock(self.root), lambda repo: sorted(repo.status()))

    def restore(self, name: str) -> bool:
        """Restore the outputs of an earlier run with the same inputs, if DVC's run cache has them."""
        from dvc.exceptions import CheckoutError
        from dvc.stage.cache import RunCacheNotFoundError

        def restore_outputs(repo: "Repo") -> bool:
            def restored() -> bool:
                try:
                    repo.stage_cache.restore(repo.stage.get_target(name))
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

        return self._when_free([self._folder_of(name)], restore_outputs)

    def commit(self, name: str) -> str:
        """Record in dvc.lock that the output was made from the current inputs; returns its digest."""

        def record(repo: "Repo") -> str:
            (stage,) = repo.commit(name, force=True)
            (output,) = stage.outs
            return output.hash_info.value

        return self._when_free([self._folder_of(name)], record)

    def track(self, path: Path) -> None:
        """Track a file with DVC as a source, as `dvc add` does.

        Raises:
            BusyError: A stage that `dvc repro` is running reads the file.
        """
        from dvc.lock import LockError

        with self._open() as repo, _whole_copies(repo, path):
            try:
                _add(repo, path)
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
        """Read the entries of all stages in all dvc.lock files, by address; do not modify the result.

        Args:
            wait: Wait for a process that is writing one of them, as long as it takes.

        Raises:
            LockBusyError: with ``wait`` false: another process held DVC's lock for three seconds.
            InputError: One has git's merge conflict markers.
        """
        return {
            address(folder, stage): entry
            for folder in folders_with_lock(self.root)
            for stage, entry in self.entries_in(folder, wait=wait).items()
        }

    def entries_in(self, folder: str, *, wait: bool = True) -> dict[str, Any]:
        """Read the entries of one pipeline's dvc.lock by stage; do not modify the result.

        Raises:
            LockBusyError, InputError: As in lock_entries.
        """
        path = self.root / folder / LOCK
        if not (self.root / ".dvc").is_dir():
            text = path.read_text(encoding="utf-8") if path.exists() else ""
        elif (text := dvc_lock_repair.unchanged_text(self.root, folder)) is None:
            with self._connected(wait=wait) as repo:
                text = dvc_lock_repair.whole_lock(repo, self.root, folder)
        return read_lock(text, dvc_lock_repair.without_outs(self.root, folder)) if text else {}

    def entry(self, name: str) -> dict[str, Any]:
        """Read the entry of one stage; do not modify the result.

        Raises:
            KeyError: It has none.
        """
        folder, stage = split_address(name)
        return self.entries_in(folder)[stage]

    def replace_entries(
        self, folder: str, drop: Iterable[str], put: Mapping[str, Any], *, wait: bool = True
    ) -> None:
        """Remove and add entries of one pipeline's dvc.lock in one write; comments stay.

        Raises:
            LockBusyError: with ``wait`` false: another process held DVC's lock for three seconds.
        """
        from dvc.repo import lock_repo
        from dvc.utils.serialize import dump_yaml
        from ruamel.yaml import YAML

        path = self.root / folder / LOCK
        with self._open([folder], wait=wait) as repo, lock_repo(repo):
            content: dict[str, Any] = {"schema": "2.0"}
            if path.exists():
                text = path.read_text(encoding="utf-8")
                # Several times slower than the other, the parser that keeps comments; DVC itself writes none.
                content = YAML(typ="rt" if "#" in text else "safe").load(text)
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
        with self._open([self._folder_of(name)]) as repo:
            stage = repo.stage.get_target(name)
            with repo.lock:
                if stage.changed_deps() or stage.changed_stage() or not all(out.exists for out in stage.outs):
                    return False
            repo.commit(name, force=True)
            return True

    def refuse_busy(self, paths: Iterable[Path]) -> None:
        """Check that no running stage of a `dvc repro` reads or writes files of a video.

        Raises:
            BusyError: One does.
        """
        if self.is_busy(paths):
            raise BusyError("a stage that DVC is running uses the video; wait until it is done and try again")

    def is_busy(self, paths: Iterable[Path]) -> bool:
        """Whether a running stage of a `dvc repro` reads or writes the files."""
        from dvc.lock import LockError
        from dvc.rwlock import rwlock

        write = [str(path) for path in paths]
        with self._open() as repo:
            hardlink = repo.config["core"].get("hardlink_lock", False)
            try:
                with rwlock(repo.tmp_dir, repo.fs, "gotowce", [], write, hardlink):
                    return False
            except LockError:
                return True


def _add(repo: "Repo", path: Path) -> None:
    """What `dvc add` does, without loading every pipeline: none makes an output where sources are.

    Raises:
        dvc.lock.LockError: A running stage reads the file.
    """
    from dvc.repo import lock_repo
    from dvc.utils import resolve_paths

    file, wdir, out = resolve_paths(repo, str(path))
    with lock_repo(repo), repo.scm_context:
        if Path(file).exists():
            stage = repo.stage.load_one(path=file)
        else:
            stage = repo.stage.create(
                single_stage=True, validate=False, fname=file, wdir=wdir, outs=[out], force=False
            )
        stage.add_outs()
        stage.dump()


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
