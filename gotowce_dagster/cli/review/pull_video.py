"""`gotowce review pull-video`: pull the tracks of a whole video."""

from dataclasses import asdict
from typing import Annotated

import typer

from gotowce_dagster.cli.review.options import Json
from gotowce_dagster.cli.review.result import show_result


def pull_video(
    video: str,
    truth: Annotated[bool, typer.Option("--truth", help="Also write data/truth/VIDEO.csv.")] = False,
    json: Json = False,
) -> None:
    """Pull a video's reviewed tracks into data/reviewed/tracks/VIDEO.json.

    With --truth the boxes in the sampled frames also become ground truth for the evaluation.
    """
    from gotowce_dagster.config.project import Project
    from gotowce_dagster.intake.videos import pull_tracks
    from gotowce_dagster.review.connection import connect, find
    from gotowce_dagster.review.video_room import save_truth

    project = Project.find()
    pulled = pull_tracks(project, connect(find(project.paths.root)), video)
    made = {"truth": save_truth(project, video)} if truth else {}
    show_result("Read from Label Studio", asdict(pulled) | made, [], json)
