"""`gotowce trust`: trust weights."""

from pathlib import Path
from typing import Annotated

import typer

from gotowce_dagster.cli import console
from gotowce_dagster.cli.options import Json
from gotowce_dagster.core.errors import InputError


def trust(
    files: Annotated[list[Path], typer.Argument(help="Third-party weights: a file, or a folder with code.")],
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask for confirmation.")] = False,
    json: Json = False,
) -> None:
    """Trust weights, so that models may be loaded from them; see SECURITY.md."""
    from gotowce_dagster.config.project import Project
    from gotowce_dagster.core.trust import TRUSTED, add

    root = Project.find().paths.root
    console.err.print(
        "A file that contains a whole model can run arbitrary code when it is loaded, and so can a folder "
        "with code. Trust only files that you made yourself, or that you got from a trusted source over a "
        f"secure channel. {TRUSTED} applies to everyone who uses this project.",
        style="yellow",
    )
    if not yes and not typer.confirm(f"Trust {', '.join(map(str, files))}?"):
        raise InputError("not confirmed; nothing was changed")
    added = [add(file, root) for file in files]
    if json:
        console.show_json([entry.model_dump() for entry in added])
        return
    for entry in added:
        console.out.print(f"{entry.file} is trusted, SHA-256 {entry.sha256}", markup=False, soft_wrap=True)
    console.out.print(f"Commit {TRUSTED}.", markup=False)
