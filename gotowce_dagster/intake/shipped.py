"""Files of a project that come with the package: this repository's own, of which the wheel has copies.

A few differ outside the repository: .gitignore, because git has data/code there, and the README.
"""

from pathlib import Path

import gotowce_dagster
from gotowce_dagster.core.errors import InputError

FILES = (
    ".dagster/dagster.yaml",
    ".dvc/config",
    ".dvcignore",
    ".gitignore",
    "README.md",
    "data/points/none.csv",
    "data/profiles/naev.toml",
    "data/profiles/none.toml",
    "data/profiles/oolite.toml",
    "dvc.yaml",
    "params.yaml",
    "studies/dvc.yaml",
    "videos/template.yaml",
    "workspace.yaml",
)
"""What `gotowce init` writes and `gotowce upgrade` brings up to date."""

_ONLY_BESIDE_THE_SOURCE = "# Only beside the source code"
_STEPS = "## Your own game in five steps\n"
_README = """\
# A project of gotowce

Made by `gotowce init`. `gotowce --help` lists the commands, `gotowce doctor` says what this machine lacks,
`gotowce upgrade` brings this project to another installed version of gotowce-dagster.

Git has the settings and what is recorded of each result; DVC has the videos and the results. Connect a remote
with `dvc remote add --default NAME URL`, then run `dvc push`. In a clone, run `dvc pull` and `gotowce sync`,
and put `DAGSTER_HOME=FOLDER/.dagster`, with the clone's folder, into `.env`, which `dagster dev` reads.

"""


def root() -> Path:
    """The folder with the shipped files: inside the installed package, else the repository around it."""
    package = Path(gotowce_dagster.__file__).parent
    inside = package / "project"
    return inside if inside.is_dir() else package.parent


def samples() -> Path:
    """The folder of the sample clips and their ground truth."""
    return root() / "data" / "samples"


def content(name: str) -> bytes:
    """A shipped file as a project outside the repository has it.

    Args:
        name: One of FILES.

    Raises:
        InputError: The package was installed without its files.
    """
    path = root() / name
    if not path.is_file():
        raise InputError(f"{path}: missing; install gotowce-dagster again, from a wheel or a clone")
    if name == "README.md":
        return _readme(path.read_text(encoding="utf-8")).encode()
    if name == ".gitignore":
        return path.read_text(encoding="utf-8").partition(_ONLY_BESIDE_THE_SOURCE)[0].encode()
    return path.read_bytes()


def _readme(text: str) -> str:
    """The README of a project: how it is used, and the five steps as the package's README has them."""
    steps = text.partition(_STEPS)[2].partition("\n## ")[0]
    return _README + _STEPS + steps + "\n"
