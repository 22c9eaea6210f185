"""Copies of the working tree, for projects in temporary folders."""

import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path


def copy_working_tree(source: Path, target: Path, is_wanted: Callable[[str], bool]) -> None:
    """Copy the files of a git checkout as they stand, those that git ignores left out.

    Args:
        is_wanted: whether to copy a file, by its path below the checkout.
    """
    command = ["git", "ls-files", "--cached", "--others", "--exclude-standard"]
    listed = subprocess.run(command, cwd=source, check=True, capture_output=True, text=True).stdout
    for name in listed.splitlines():
        if is_wanted(name) and (source / name).is_file():
            (target / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(source / name, target / name)


def commit_all(root: Path) -> None:
    """Make a folder a git repository with one commit of all its files."""
    for arguments in (
        ["init", "-q"],
        ["add", "-A"],
        ["-c", "user.name=t", "-c", "user.email=t@t.test", "commit", "-qm", "start"],
    ):
        subprocess.run(["git", *arguments], cwd=root, check=True)
