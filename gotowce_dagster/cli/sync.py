"""`gotowce sync`: list the videos and choose the engines; with --code, list the code of each stage."""

from typing import TYPE_CHECKING, Annotated

import typer

from gotowce_dagster.cli import console
from gotowce_dagster.cli.options import Json

if TYPE_CHECKING:
    from gotowce_dagster.config.project import Project


def sync(
    refresh: Annotated[bool, typer.Option("--refresh", help="Choose the engines again.")] = False,
    code: Annotated[
        bool,
        typer.Option(
            "--code",
            help="Only update data/code: source files that each stage runs; --json names those that changed.",
        ),
    ] = False,
    json: Json = False,
) -> None:
    """Write data/videos.yaml, data/engines.yaml and pipelines from the videos, profiles and weights here."""
    from gotowce_dagster.config.project import Project
    from gotowce_dagster.core.sources import not_pulled
    from gotowce_dagster.detectors.obstacles import missing_extras
    from gotowce_dagster.intake import videos as intake

    project = Project.find()
    if code:
        _sync_code(project, json)
        return
    notes = intake.sync(project, refresh)
    lacking = missing_extras(project.params.designator_detections.detectors)
    notes += [f"params.yaml: designator_detections.detectors: {each}" for each in lacking]
    if json:
        videos = {k: v.model_dump() | {"state": project.raw_state(k)} for k, v in project.videos.items()}
        console.show_json({"videos": videos, "engines": project.engines, "notes": notes})
        return
    rows = ([k, v.file, v.profile, project.raw_state(k)] for k, v in project.videos.items())
    console.show_table("Videos", ["video", "file", "profile", "state"], rows)
    if problem := not_pulled(project.raw_path(key) for key in project.videos):
        console.note(problem)
    console.show_table("Engines", ["stage", "engine"], project.engines.items())
    for note in notes:
        console.note(note)


def _sync_code(project: "Project", json: bool) -> None:
    from dataclasses import asdict

    from gotowce_dagster.core.errors import InputError
    from gotowce_dagster.intake import code_digests

    if not code_digests.has_source(project.paths):
        raise InputError(
            "the source code is not part of this project; bring it to the installed version with "
            "`gotowce upgrade`"
        )
    changed = code_digests.write(project.paths)
    if json:
        console.show_json({stage: asdict(change) for stage, change in changed.items()})
        return
    if not changed:
        console.out.print("data/code lists exactly the source files that each stage runs")
        return
    rows = (
        [stage, *map(str, (new.files, len(new.added), len(new.removed), len(new.changed)))]
        for stage, new in changed.items()
    )
    console.show_table("Source files", ["stage", "files", "added", "removed", "changed"], rows)
