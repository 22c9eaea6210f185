"""`gotowce add`: bring videos into the project."""

from pathlib import Path
from typing import Annotated

import typer

from gotowce_dagster.cli import console
from gotowce_dagster.cli.options import Json
from gotowce_dagster.core.errors import GotowceError, InputError, PartlyDoneError, one_sentence


def add(
    videos: Annotated[
        list[Path], typer.Argument(help="Video files; with --truth also keys of added videos.")
    ],
    link: Annotated[
        bool, typer.Option(help="Keep one copy, in DVC's cache, instead of two; your file is not modified.")
    ] = False,
    truth: Annotated[
        Path | None,
        typer.Option(
            help="Ground truth for evaluation: CSV, COCO file or YOLO folder; other frames keep theirs."
        ),
    ] = None,
    json: Json = False,
) -> None:
    """Bring videos into the project: check, name, copy to data/raw, track with DVC."""
    from gotowce_dagster.cli.arguments import is_key
    from gotowce_dagster.config.project import Project, listed_videos
    from gotowce_dagster.intake import videos as intake

    project = Project.find()
    intake.check(project)
    keys, problems = {}, []
    with console.progress_bars() as start:
        show = start("adding")
        for done, video in enumerate(videos, start=1):
            try:
                if truth and is_key(str(video)):
                    intake.add_truth(project, str(video), truth)
                    keys[str(video)] = str(video)
                else:
                    keys[str(video)] = intake.add(project, video, link, truth)
            except (GotowceError, OSError) as error:
                what = "ground truth not added" if truth and is_key(str(video)) else "not added"
                problems.append(f"{video}: {what}: {one_sentence(error, video)}")
            show(done, len(videos))
    try:
        notes = intake.sync(project)
    except PartlyDoneError as error:
        notes = []
        problems.append(str(error))
    known = listed_videos(project.paths)
    if json:
        console.show_json({"added": keys, "refused": problems, "notes": notes})
    for video, key in {} if json else keys.items():
        profile = known[key].profile if key in known else "none"
        known_by_key = truth is not None and video == key
        console.say(
            f"{key}: ground truth added" if known_by_key else f"{video} is now {key}, profile {profile}"
        )
    for note in notes:
        console.note(note)
    if problems:
        raise InputError("; ".join(problems))
