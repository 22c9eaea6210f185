"""DVC's repository on a machine that has some of the data and exchanges it through the DVC remote."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from gotowce_dagster.core.errors import GotowceError
from gotowce_dagster.intake.dvc_repo import DvcRepo
from gotowce_dagster.intake.pipelines import PIPELINE, split_address

if TYPE_CHECKING:
    from dvc.repo import Repo


class RemoteError(GotowceError):
    """Data could not be pulled from or pushed to the DVC remote; trying again may help."""


@dataclass(frozen=True)
class SharedRepo(DvcRepo):
    """A project's DVC repository whose data may be in the remote only."""

    def has_current_entry(self, name: str) -> bool:
        """Whether a stage's entry in dvc.lock belongs to the current inputs, wherever its data is.

        A missing input has the digest that the stage before it, or its .dvc file, records. DVC alone takes a
        missing input for an unchanged one.
        """
        folder, own = split_address(name)
        if own not in self.entries_in(folder):
            return False

        def is_unchanged(repo: "Repo") -> bool:
            stage = repo.stage.get_target(name)
            upstream = repo.stage.load_all(f"{folder}/{PIPELINE}")
            tracked = (f"{dep.fs_path}.dvc" for dep in stage.deps)
            upstream += [repo.stage.load_one(file) for file in tracked if Path(file).exists()]
            with repo.lock:
                return not stage.changed(allow_missing=True, upstream=upstream)

        return self._when_free([self._folder_of(name)], is_unchanged)

    def missing(self, name: str, *, inputs: bool = False) -> list[str]:
        """List what a stage lacks of its output, or of its inputs, below the root."""

        def absent(repo: "Repo") -> list[str]:
            stage = repo.stage.get_target(name)
            return [str(item) for item in (stage.deps if inputs else stage.outs) if not item.exists]

        return self._when_free([self._folder_of(name)], absent)

    def pull(self, targets: Sequence[str]) -> None:
        """Pull outputs or tracked files by their paths below the root; does nothing without any.

        Raises:
            RemoteError: One is not in the remote, or the remote cannot be reached.
        """
        if targets:
            self._transfer(
                lambda repo: repo.pull(targets=list(targets)),
                f"{', '.join(targets)}: cannot be pulled",
                "check that this machine reaches the DVC remote, and run `dvc push` where the data is",
            )

    def push(self, name: str) -> None:
        """Push a stage's output, by the stage's address, or a tracked file, by its path below the root.

        Raises:
            RemoteError: The remote cannot be reached, or refuses a file.
        """
        self._transfer(
            lambda repo: repo.push(targets=[name]),
            f"{name}: cannot be pushed",
            "check that this machine reaches the DVC remote and may write there",
        )

    def _transfer(self, act: Callable[["Repo"], object], problem: str, advice: str) -> None:
        from dvc.exceptions import DvcException
        from dvc.lock import LockError

        def transfer(repo: "Repo") -> None:
            try:
                act(repo)
            except LockError:
                raise
            except (DvcException, OSError) as error:
                raise RemoteError(f"{problem} ({' '.join(str(error).split())}); {advice}") from error

        self._when_free((), transfer)
