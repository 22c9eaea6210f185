"""`gotowce demo`: the whole pipeline on two sample clips."""

from typing import Annotated

import typer

from gotowce_dagster.cli import console
from gotowce_dagster.cli.options import Json


def demo(
    studies: Annotated[
        bool, typer.Option("--studies", help="Run studies too, which takes minutes more.")
    ] = False,
    json: Json = False,
) -> None:
    """Take the two sample clips through the whole pipeline and say where the report is."""
    from gotowce_dagster.cli import demonstration
    from gotowce_dagster.config.project import Project

    project = Project.find()
    report = demonstration.run(project, quiet=json, studies=studies)
    if json:
        numbers = demonstration.numbers(project, studies=studies)
        console.show_json({"stages": numbers, "report": report})
        return
    console.say("The report: ", console.bold(report), "\nLook at the pipeline with `dagster dev`.")
