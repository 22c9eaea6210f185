"""`gotowce trust`: vouch for weights."""

from pathlib import Path
from typing import Annotated

import typer

from gotowce_dagster.cli import console
from gotowce_dagster.cli.options import Json
from gotowce_dagster.core.errors import InputError


def trust(
    files: Annotated[list[Path], typer.Argument(help="Weights of others: a file, or a folder with code.")],
    yes: Annotated[bool, typer.Option("--yes", help="You have read the warning.")] = False,
    json: Json = False,
) -> None:
    """Vouch for weights that somebody made, so that models may be built from them; see SECURITY.md."""
    from gotowce_dagster.config.project import Project
    from gotowce_dagster.core.trust import TRUSTED, add

    root = Project.find().paths.root
    console.err.print(
        "A file that holds a whole model decides which code runs when it is used, and a folder with "
        "code runs it. Trust only what you made, or what somebody you trust gave you over a way that others "
        f"cannot change. {TRUSTED} lets everybody who uses this project run it.",
        style="yellow",
    )
    if not yes and not typer.confirm(f"Trust {', '.join(map(str, files))}?"):
        raise InputError("nothing was changed")
    added = [add(file, root) for file in files]
    if json:
        console.show_json([entry.model_dump() for entry in added])
        return
    for entry in added:
        console.out.print(f"{entry.file} is trusted, SHA-256 {entry.sha256}", markup=False, soft_wrap=True)
    console.out.print(f"Commit {TRUSTED}.", markup=False)
