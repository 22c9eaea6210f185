"""`gotowce review assist`: turn reviewers' clicks into masks."""

import signal
from typing import Annotated

import typer

from gotowce_dagster.cli import console
from gotowce_dagster.cli.review.interrupt import interrupt


def assist(
    port: Annotated[int, typer.Option(min=1, max=65535, help="Port on 127.0.0.1.")] = 9090,
    engine: Annotated[
        str, typer.Option(help="Segmenter to use instead of the one in data/engines.yaml.")
    ] = "",
) -> None:
    """Segment reviewers' clicks and boxes until Ctrl-C; the server must run with `serve --assist`.

    On the page, turn on Auto-Annotation, then choose a class beside Click or Box and the tool with the wand.
    """
    from gotowce_dagster.config.project import Project
    from gotowce_dagster.core import extras

    extras.require("assist", "gotowce review assist")
    from gotowce_dagster.review.assist import Assistant, build_model
    from gotowce_dagster.review.assist_registration import registered
    from gotowce_dagster.review.assist_server import application, new_token, serving
    from gotowce_dagster.review.connection import connect, find

    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, interrupt)
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
