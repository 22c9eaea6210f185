"""Review labels in Label Studio: push frames, pull reviews."""

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

Json = Annotated[bool, typer.Option("--json", help="Print JSON.")]


@review.command()
def serve(
    port: Annotated[int, typer.Option(min=1, max=65535, help="Port on 127.0.0.1.")] = 8080,
    assist: Annotated[bool, typer.Option("--assist", help="Allow `gotowce review assist`.")] = False,
) -> None:
    """Run this project's Label Studio until Ctrl-C; the first start installs it and takes a minute or two.

    The database is SQLite below .labelstudio. For PostgreSQL set Label Studio's own variables:
    DJANGO_DB=default, POSTGRE_HOST, POSTGRE_PORT, POSTGRE_NAME, POSTGRE_USER, POSTGRE_PASSWORD.
    """
    from gotowce_dagster.review.server import running

    if url := os.environ.get("LABEL_STUDIO_URL"):
        raise InputError(f"LABEL_STUDIO_URL is set to {url}; unset it to run the project's own server")
    # Processes started by a background shell ignore SIGINT unless they set a handler.
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, _interrupt)
    project = Project.find()
    try:
        with ExitStack() as stack:
            with console.progress_bars() as start:
                show = start("starting Label Studio, seconds")
                server = stack.enter_context(running(project.paths, port, show, assist=assist))
            console.say(
                "Label Studio: ",
                console.bold(server.connection.url),
                "\nLog in as ",
                console.bold(server.email),
                ", password ",
                console.bold(server.password),
                ".\nPush frames with `gotowce review push`; Ctrl-C stops the server.",
            )
            code = server.process.wait()
    except KeyboardInterrupt:
        console.err.print("Label Studio stopped.")
        return
    raise GotowceError(f"Label Studio exited with code {code}; see .labelstudio/server.log")


@review.command()
def assist(
    port: Annotated[int, typer.Option(min=1, max=65535, help="Port on 127.0.0.1.")] = 9090,
    engine: Annotated[
        str, typer.Option(help="Segmenter to use instead of the one in data/engines.yaml.")
    ] = "",
) -> None:
    """Segment reviewers' clicks and boxes until Ctrl-C; the server must run with `serve --assist`.

    On the page, switch Auto-Annotation on, choose a class beside Click or Box, and the tool with the wand.
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
        signal.signal(number, _interrupt)
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
            console.say(f"{assistant.version} segments clicks on {page}; Ctrl-C stops it.")
            while True:
                signal.pause()
    except KeyboardInterrupt:
        console.err.print("Stopped; clicks are no longer segmented.")


class RankedBy(StrEnum):
    doubt = "doubt"
    model = "model"
    proposals = "proposals"


@review.command()
def push(
    ranked_by: Annotated[
        RankedBy,
        typer.Option(
            help="doubt: by the rules' scores. model: frames where the fine-tuned model differs first. "
            "proposals: frames in which a training in rounds proposed unmarked targets, with its boxes."
        ),
    ] = RankedBy.doubt,
    json: Json = False,
) -> None:
    """Push frames for review, the most doubtful first; after an interruption, run it again to continue."""
    from gotowce_dagster.evaluation.evaluate import fine_tuned
    from gotowce_dagster.review.disagreements import rank_frames
    from gotowce_dagster.review.frames import frames_to_review, rule_messages
    from gotowce_dagster.review.proposals import ranking_of, read_questions, rows_of
    from gotowce_dagster.review.push import push as send

    project = Project.find()
    paths, params = project.paths, project.params
    room = connect(find(paths.root))
    labelled = [video for video in project.videos if paths.labels(video).exists()]
    with console.progress_bars() as start:
        ranking, proposals = None, None
        if ranked_by is RankedBy.proposals:
            questions = read_questions(paths, labelled, params.finetuned_model.rounds)
            ranking, proposals = ranking_of(questions), rows_of(questions)
        if ranked_by is RankedBy.model:
            show = start("running the model on frames")
            ranking = rank_frames(paths, labelled, fine_tuned(paths), params.review.tasks, progress=show)
        frames = frames_to_review(paths, labelled, params.review.tasks, ranking, proposals)
        pushed = send(
            room,
            frames,
            paths.data / "frames",
            params.review.tasks,
            why=rule_messages(params.cleaned_labels),
            names=project.names,
            progress=start("pushing frames"),
        )
    notes = [f"{video}: no labels yet" for video in project.videos if video not in labelled]
    numbers = asdict(pushed)
    if proposals is not None:
        numbers["proposals"] = sum(len(rows) for rows in proposals.values())
    elif ranking is not None:
        kinds = ranking["kinds"].explode().value_counts().to_dict()
        numbers |= {"looked_at": len(ranking)} | {f"model_{kind}": count for kind, count in kinds.items()}
    _show("Sent to Label Studio", numbers, notes, json)


@review.command()
def pull(
    again: Annotated[bool, typer.Option("--again", help="Read all reviews, not only new ones.")] = False,
    complete: Annotated[
        bool, typer.Option("--complete", help="Also write data/truth/VIDEO.complete.csv.")
    ] = False,
    json: Json = False,
) -> None:
    """Pull reviews into data/reviewed/VIDEO.json; reviews that were pulled before are never lost.

    With --complete, reviewed frames also become complete truth, which measures recall of unmarked targets:
    only where reviewers box every target, marked or not, and call what they cannot judge `unsure`.
    """
    from gotowce_dagster.intake.videos import pull_reviews

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
    _show("Read from Label Studio", asdict(pulled) | made, notes, json)


@review.command()
def push_video(video: str, json: Json = False) -> None:
    """Push a whole video with its tracks, as boxes with few key frames."""
    from gotowce_dagster.review import video_room

    project = Project.find()
    pushed = video_room.push_video(connect(find(project.paths.root)), project, video)
    _show("Sent to Label Studio", asdict(pushed), [], json)


@review.command()
def pull_video(
    video: str,
    truth: Annotated[bool, typer.Option("--truth", help="Also write data/truth/VIDEO.csv.")] = False,
    json: Json = False,
) -> None:
    """Pull a video's reviewed tracks into data/reviewed/tracks/VIDEO.json.

    With --truth the boxes in the sampled frames also become ground truth for the evaluation.
    """
    from gotowce_dagster.intake.videos import pull_tracks
    from gotowce_dagster.review.video_room import save_truth

    project = Project.find()
    pulled = pull_tracks(project, connect(find(project.paths.root)), video)
    made = {"truth": save_truth(project, video)} if truth else {}
    _show("Read from Label Studio", asdict(pulled) | made, [], json)


@review.command()
def status(json: Json = False) -> None:
    """Show review coverage and the error rate of automatic labels; needs no server."""
    from gotowce_dagster.review.measures import reviewed_so_far

    project = Project.find()
    paths = project.paths
    numbers: dict[str, Any] = reviewed_so_far(paths, project.videos, project.params)
    try:
        server = f"running at {connect(find(paths.root)).url}"
    except ServerDownError as error:
        server = str(error)
    _show("Review", numbers | {"server": server}, [], json)


def _show(title: str, numbers: dict[str, Any], notes: list[str], json: bool) -> None:
    notes = [*numbers.pop("problems", []), *notes]
    if json:
        console.show_json(numbers | {"notes": notes})
        return
    shown = {
        what: ", ".join(value) or "none" if isinstance(value, list) else value
        for what, value in numbers.items()
        if value is not None
    }
    console.show_table(title, ["", ""], ([what, console.number(value)] for what, value in shown.items()))
    for note in notes:
        console.note(note)


def _interrupt(number: int, frame: Any) -> NoReturn:
    raise KeyboardInterrupt
