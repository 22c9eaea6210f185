"""`gotowce review serve`: run Label Studio."""

import os
import signal
from contextlib import ExitStack
from typing import Annotated

import typer

from gotowce_dagster.cli import console
from gotowce_dagster.cli.review.interrupt import interrupt
from gotowce_dagster.core.errors import GotowceError, InputError


def serve(
    port: Annotated[int, typer.Option(min=1, max=65535, help="Port on 127.0.0.1.")] = 8080,
    assist: Annotated[bool, typer.Option("--assist", help="Allow `gotowce review assist`.")] = False,
) -> None:
    """Run this project's Label Studio until Ctrl-C; the first start installs it and takes a minute or two.

    The database is SQLite below .labelstudio. For PostgreSQL set Label Studio's own variables:
    DJANGO_DB=default, POSTGRE_HOST, POSTGRE_PORT, POSTGRE_NAME, POSTGRE_USER, POSTGRE_PASSWORD.
    """
    from gotowce_dagster.config.project import Project
    from gotowce_dagster.review.server import running

    if url := os.environ.get("LABEL_STUDIO_URL"):
        raise InputError(f"LABEL_STUDIO_URL is set to {url}; unset it to run the project's own server")
    # Processes started by a background shell ignore SIGINT unless they set a handler.
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, interrupt)
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
