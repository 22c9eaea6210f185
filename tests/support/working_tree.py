"""Copies of the working tree, for projects in temporary folders."""

import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

_MADE = ("data/", "videos/")
"""Folders of a project's own files."""


def copy_working_tree(source: Path, target: Path, is_wanted: Callable[[str], bool]) -> None:
    """Copy the files of a git checkout as they stand, those that git ignores left out.

    What a project in the checkout has made, such as the demo, is left out too: locks, and what git does not
    track of data and pipelines.

    Args:
        is_wanted: whether to copy a file, by its path below the checkout.
    """
    untracked = _listed(source, "--others", "--exclude-standard")
    names = _listed(source, "--cached") + [name for name in untracked if not name.startswith(_MADE)]
    for name in names:
        if is_wanted(name) and Path(name).name != "dvc.lock" and (source / name).is_file():
            (target / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(source / name, target / name)


def _listed(source: Path, *which: str) -> list[str]:
    command = ["git", "ls-files", *which]
    return subprocess.run(command, cwd=source, check=True, capture_output=True, text=True).stdout.splitlines()


def commit_all(root: Path) -> None:
    """Make a folder a git repository with one commit of all its files, in few files of git's own."""
    for arguments in (
        ["init", "-q"],
        ["add", "-A"],
        ["-c", "user.name=t", "-c", "user.email=t@t.test", "commit", "-qm", "start"],
        ["repack", "-adq"],
    ):
        subprocess.run(["git", *arguments], cwd=root, check=True)
