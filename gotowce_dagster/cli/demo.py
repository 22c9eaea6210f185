"""`gotowce demo`: the whole pipeline on two sample clips."""

from gotowce_dagster.cli import console
from gotowce_dagster.cli.options import Json


def demo(json: Json = False) -> None:
    """Take the two sample clips through the whole pipeline and say where the report is."""
    from gotowce_dagster.cli import demonstration
    from gotowce_dagster.config.project import Project

    project = Project.find()
    report = demonstration.run(project, quiet=json)
    if json:
        console.show_json({"stages": demonstration.numbers(project), "report": report})
        return
    console.say("The report: ", console.bold(report), "\nLook at the pipeline with `make dev`.")
