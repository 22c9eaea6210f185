"""Let people look at labels in Label Studio, and bring home what they say."""

import os
import signal
from contextlib import ExitStack
from dataclasses import asdict
from enum import StrEnum
from typing import Annotated, Any, NoReturn

import typer

from gotowce_dagster.cli import console
from gotowce_dagster.config.project import Project
from gotowce_dagster.core.errors import GotowceError, InputError
from gotowce_dagster.review.connection import ServerDownError, connect, find

review = typer.Typer(no_args_is_help=True, help=__doc__)

Json = Annotated[bool, typer.Option("--json", help="Print JSON, for machines.")]


@review.command()
def serve(
    port: Annotated[int, typer.Option(min=1, max=65535, help="On 127.0.0.1.")] = 8080,
    assist: Annotated[bool, typer.Option("--assist", help="Let `gotowce review assist` answer it.")] = False,
) -> None:
    """Run this project's Label Studio until Ctrl-C; the first start installs it and takes a minute or two.

    Its database is SQLite below .labelstudio. For PostgreSQL set Label Studio's own variables:
    DJANGO_DB=default, POSTGRE_HOST, POSTGRE_PORT, POSTGRE_NAME, POSTGRE_USER, POSTGRE_PASSWORD.
    """
    from gotowce_dagster.review.server import running

    if url := os.environ.get("LABEL_STUDIO_URL"):
        raise InputError(f"push and pull use {url}, as LABEL_STUDIO_URL says; unset it to run a server here")
    # A shell in the background hands SIGINT down as ignored.
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, _end)
    project = Project.find()
    try:
        with ExitStack() as until_the_end:
            with console.progress_bars() as start:
                show = start("starting Label Studio, seconds")
                server = until_the_end.enter_context(running(project.paths, port, show, assist=assist))
            console.say(
                "Label Studio: ",
                console.bold(server.connection.url),
                "\nLog in as ",
                console.bold(server.email),
                ", password ",
                console.bold(server.password),
                ".\nSend frames with `gotowce review push`; Ctrl-C ends it.",
            )
            code = server.process.wait()
    except KeyboardInterrupt:
        console.err.print("Label Studio has stopped.")
        return
    raise GotowceError(f"Label Studio ended by itself with code {code}; see .labelstudio/server.log")


@review.command()
def assist(
    port: Annotated[int, typer.Option(min=1, max=65535, help="On 127.0.0.1.")] = 9090,
    engine: Annotated[str, typer.Option(help="Another segmenter than data/engines.yaml names.")] = "",
) -> None:
    """Give reviewers masks for clicks and boxes until Ctrl-C; the server must run with `serve --assist`.

    On the page switch Auto-Annotation on, choose a class beside Click or Box, and the tool with the wand.
    """
    from gotowce_dagster.review.assist import (
        Assistant,
        application,
        build_model,
        new_token,
        registered,
        serving,
    )

    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, _end)
    project = Project.find()
    room = connect(find(project.paths.root))
    assistant = Assistant(project, build_model(engine or project.engines["masks"], project))
    token = new_token()
    app = application(assistant, console.err.print, token)
    try:
        with (
            serving(app, port) as url,
            registered(room, project.params.review.tasks.project, url, token) as page,
        ):
            console.say(f"{assistant.version} answers clicks on {page}; Ctrl-C ends it.")
            while True:
                signal.pause()
    except KeyboardInterrupt:
        console.err.print("Clicks are no longer answered.")


class RankedBy(StrEnum):
    doubt = "doubt"
    model = "model"


@review.command()
def push(
    ranked_by: Annotated[
        RankedBy,
        typer.Option(
            help="doubt: of the rules. model: first what the fine-tuned model sees otherwise than the labels."
        ),
    ] = RankedBy.doubt,
    json: Json = False,
) -> None:
    """Send the frames that a human should see, the most doubtful first; again after a break, it goes on."""
    from gotowce_dagster.evaluation.evaluate import fine_tuned
    from gotowce_dagster.review.disagreements import rank_frames
    from gotowce_dagster.review.frames import frames_to_review, why
    from gotowce_dagster.review.push import push as send

    project = Project.find()
    paths, params = project.paths, project.params
    room = connect(find(paths.root))
    labelled = [video for video in project.videos if paths.labels(video).exists()]
    with console.progress_bars() as start:
        ranking = None
        if ranked_by is RankedBy.model:
            show = start("frames the model looks at")
            ranking = rank_frames(paths, labelled, fine_tuned(paths), params.review.tasks, progress=show)
        frames = frames_to_review(paths, labelled, params.review.tasks, ranking)
        pushed = send(
            room,
            frames,
            paths.data / "frames",
            params.review.tasks,
            why=why(params.cleaned_labels),
            names=project.names,
            progress=start("sending frames"),
        )
    notes = [f"{video}: no labels yet" for video in project.videos if video not in labelled]
    numbers = asdict(pushed)
    if ranking is not None:
        kinds = ranking["kinds"].explode().value_counts().to_dict()
        numbers |= {"looked_at": len(ranking)} | {f"model_{kind}": count for kind, count in kinds.items()}
    _show("Sent to Label Studio", numbers, notes, json)


@review.command()
def pull(
    again: Annotated[bool, typer.Option("--again", help="Read everything, not only what is new.")] = False,
    json: Json = False,
) -> None:
    """Bring home what reviewers said, into data/reviewed/VIDEO.json; what is home already is never lost."""
    from gotowce_dagster.intake.videos import pull_reviews

    project = Project.find()
    room, title = connect(find(project.paths.root)), project.params.review.tasks.project
    with console.progress_bars() as start:
        pulled = pull_reviews(project, room, again=again, progress=start("reading reviews"))
    notes = (
        [] if pulled.project else [f"Label Studio has no project {title!r}; `gotowce review push` makes it"]
    )
    _show("Read from Label Studio", asdict(pulled), notes, json)


@review.command()
def push_video(video: str, json: Json = False) -> None:
    """Send a whole video with the objects that its masks follow, as boxes with few key frames."""
    from gotowce_dagster.review import video_room

    project = Project.find()
    pushed = video_room.push_video(connect(find(project.paths.root)), project, video)
    _show("Sent to Label Studio", asdict(pushed), [], json)


@review.command()
def pull_video(
    video: str,
    truth: Annotated[bool, typer.Option("--truth", help="Also as data/truth/VIDEO.csv.")] = False,
    json: Json = False,
) -> None:
    """Bring home a video's objects, into data/reviewed/tracks/VIDEO.json.

    With --truth the boxes in the sampled frames become hand-checked ones, which evaluation measures by.
    """
    from gotowce_dagster.intake.videos import pull_tracks
    from gotowce_dagster.review.video_room import save_truth

    project = Project.find()
    pulled = pull_tracks(project, connect(find(project.paths.root)), video)
    made = {"truth": save_truth(project, video)} if truth else {}
    _show("Read from Label Studio", asdict(pulled) | made, [], json)


@review.command()
def status(json: Json = False) -> None:
    """Tell how much was reviewed and how often automatic labels are wrong; needs no server."""
    from gotowce_dagster.review.measures import reviewed_so_far

    project = Project.find()
    paths = project.paths
    numbers: dict[str, Any] = reviewed_so_far(paths, project.videos, project.params)
    try:
        server = f"answers at {connect(find(paths.root)).url}"
    except ServerDownError as error:
        server = str(error)
    _show("Review", numbers | {"server": server}, [], json)


def _show(title: str, numbers: dict[str, Any], notes: list[str], json: bool) -> None:
    notes = [*numbers.pop("problems", []), *notes]
    if json:
        console.show_json(numbers | {"notes": notes})
        return
    told = {
        what: ", ".join(value) or "none" if isinstance(value, list) else value
        for what, value in numbers.items()
        if value is not None
    }
    console.show_table(title, ["", ""], ([what, console.number(value)] for what, value in told.items()))
    for note in notes:
        console.note(note)


def _end(number: int, frame: Any) -> NoReturn:
    raise KeyboardInterrupt
