"""A new project in a folder of its own, for the installed package."""

import subprocess
from pathlib import Path

from gotowce_dagster.config.paths import Paths
from gotowce_dagster.config.project import Project
from gotowce_dagster.core.errors import GotowceError, InputError
from gotowce_dagster.core.files import fresh_file
from gotowce_dagster.intake import code_digests, shipped
from gotowce_dagster.intake.videos import sync

_KEPT = ("raw", "frames", "detections", "masks", "labels", "reviewed", "truth")
"""Folders of data that stages depend on, which git keeps empty."""


def create(folder: Path) -> list[str]:
    """Make a project: settings, pipelines, folders, git and DVC.

    Returns:
        What it still lacks, a sentence each.

    Raises:
        InputError: The folder has one of the files already, or a project is around it.
    """
    folder.mkdir(parents=True, exist_ok=True)
    root = folder.resolve()
    for place in (root, *root.parents):
        if (place / "params.yaml").exists():
            raise InputError(f"{place}: a project already; another version: `gotowce upgrade`")
    if existing := [name for name in shipped.FILES if (root / name).exists()]:
        raise InputError(f"{root}: has {', '.join(existing)} already; choose another folder")
    paths = Paths(root)
    _init_git_and_dvc(root)
    for name in shipped.FILES:
        write_shipped(root, name, shipped.content(name))
    for name in _KEPT:
        (paths.data / name).mkdir(parents=True, exist_ok=True)
        (paths.data / name / ".keep").touch()
    (root / ".env").write_text(f"DAGSTER_HOME={root / '.dagster'}\n", encoding="utf-8")
    code_digests.write(paths)
    try:
        return sync(Project(paths))
    except GotowceError as error:
        return [f"{error}; then run `gotowce sync`"]


def write_shipped(root: Path, name: str, content: bytes) -> None:
    """Write a shipped file, and a copy of it to compare with at the next `gotowce upgrade`."""
    for path in (root / name, original(root, name)):
        path.parent.mkdir(parents=True, exist_ok=True)
        with fresh_file(path) as new:
            new.write_bytes(content)


def original(root: Path, name: str) -> Path:
    """The file as it was shipped with the version that the project has."""
    # Under a name by which neither git nor DVC takes it for what it is.
    return root / ".gotowce" / f"{name.replace('/', '~')}.shipped"


def _init_git_and_dvc(root: Path) -> None:
    from dvc.repo import Repo

    command = ["git", "-C", str(root), "rev-parse", "--show-toplevel"]
    around = subprocess.run(command, check=False, capture_output=True, text=True)
    if around.returncode:
        subprocess.run(["git", "init", "-q", str(root)], check=True)
    is_below = not around.returncode and Path(around.stdout.strip()).resolve() != root
    Repo.init(str(root), subdir=is_below).close()
    # Those of the package follow.
    for name in (".dvc/config", ".dvcignore"):
        (root / name).unlink(missing_ok=True)
