"""`gotowce init`: a new project."""

from pathlib import Path
from typing import Annotated

import typer

from gotowce_dagster.cli import console
from gotowce_dagster.cli.options import Json


def init(
    folder: Annotated[Path, typer.Argument(help="A new or empty folder; below a git repository or not.")],
    json: Json = False,
) -> None:
    """Make a project of your own in a folder: settings, pipelines, git and DVC."""
    from gotowce_dagster.intake import new_project

    notes = new_project.create(folder)
    if json:
        console.show_json({"project": str(folder.resolve()), "notes": notes})
        return
    console.say("A new project: ", console.bold(folder.resolve()))
    console.say("Go there and commit it with `git add -A && git commit -m start`; its README has five steps.")
    for note in notes:
        console.note(note)
