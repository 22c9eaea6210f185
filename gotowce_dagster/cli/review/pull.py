"""`gotowce review pull`: pull reviews."""

from dataclasses import asdict
from typing import Annotated

import typer

from gotowce_dagster.cli import console
from gotowce_dagster.cli.review.options import Json
from gotowce_dagster.cli.review.result import show_result


def pull(
    again: Annotated[bool, typer.Option("--again", help="Read all reviews, not only new ones.")] = False,
    complete: Annotated[
        bool, typer.Option("--complete", help="Also write data/truth/VIDEO.complete.csv.")
    ] = False,
    json: Json = False,
) -> None:
    """Pull reviews into data/reviewed/VIDEO.json; earlier reviews are kept.

    With --complete, reviewed frames also become complete ground truth, which measures recall of unmarked
    targets. Use it only if reviewers box every target, marked or not, and label doubtful ones `unsure`.
    """
    from gotowce_dagster.config.project import Project
    from gotowce_dagster.intake.videos import pull_reviews
    from gotowce_dagster.review.connection import connect, find

    project = Project.find()
    room, title = connect(find(project.paths.root)), project.params.review.tasks.project
    with console.progress_bars() as start:
        pulled = pull_reviews(project, room, again=again, progress=start("reading reviews"))
    notes = (
        []
        if pulled.project
        else [f"Label Studio has no project {title!r}; create it with `gotowce review push`"]
    )
    made = {}
    if complete:
        from gotowce_dagster.review.complete_truth import save_complete_truth

        known = [video for video in project.videos if project.paths.labels(video).exists()]
        made = {"complete_frames": sum(save_complete_truth(project, video) for video in known)}
    show_result("Read from Label Studio", asdict(pulled) | made, notes, json)
