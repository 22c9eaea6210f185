"""`gotowce stage`: run one stage."""

from typing import Annotated

import typer
from rich.text import Text

from gotowce_dagster.cli import console
from gotowce_dagster.cli.options import Json


def stage(
    name: Annotated[str, typer.Argument(help="A stage of dvc.yaml, for example masks.")],
    video: Annotated[str | None, typer.Argument(help="The video's key, for stages per video.")] = None,
    json: Json = False,
) -> None:
    """Run one stage, as dvc.yaml does; an empty result is reported on standard error."""
    from gotowce_dagster.config.engines import choose_newly_used
    from gotowce_dagster.config.project import Project
    from gotowce_dagster.intake.code_digests import require
    from gotowce_dagster.intake.dvc_repo import DvcRepo
    from gotowce_dagster.intake.pipelines import stage_address
    from gotowce_dagster.previews.found_nothing import found_nothing
    from gotowce_dagster.previews.table import PREVIEWS
    from gotowce_dagster.stages.table import stage_named

    chosen = stage_named(name, video)
    project = Project.find()
    arguments = (project,) if video is None else (project, video)
    if video is not None:
        project.video(video)
    require(project.paths, name)
    choose_newly_used(project.paths.engines, project.params)
    DvcRepo(project.paths.root).remember(stage_address(name, video))
    with console.progress_bars() as start:
        chosen.run(*arguments, start(" ".join(filter(None, (name, video)))))
    preview = PREVIEWS[name](*arguments)
    warning = found_nothing(project, name, video)
    if warning:
        # On standard error also with --json: `dvc repro` shows it there and nowhere else.
        console.err.print(Text.assemble(("WARNING: ", "bold red"), warning))
    if json:
        notes = [warning, *preview.notes] if warning else preview.notes
        console.show_json({"numbers": preview.numbers, "notes": notes})
        return
    rows = ([what, console.number(value)] for what, value in preview.numbers.items())
    console.show_table(name, ["", ""], rows)
    for note in preview.notes:
        console.note(note)
