"""`gotowce restore`: restore a removed video."""

from typing import Annotated

import typer

from gotowce_dagster.cli import console
from gotowce_dagster.cli.options import Json


def restore(
    name: Annotated[str, typer.Argument(help="Name of a folder in data/.trash.")],
    json: Json = False,
) -> None:
    """Restore a removed video, with its reviews and results."""
    from gotowce_dagster.config.project import Project
    from gotowce_dagster.intake import videos as intake
    from gotowce_dagster.intake.removal import restore as bring_back

    project = Project.find()
    key = bring_back(project, name)
    intake.sync(Project(project.paths))
    if json:
        console.show_json({"restored": key})
        return
    console.out.print(
        f"{key} is back. If it was reviewed in Label Studio meanwhile, run `gotowce review pull --again`.",
        soft_wrap=True,
        markup=False,
    )
