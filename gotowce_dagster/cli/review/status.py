"""`gotowce review status`: coverage and error rate."""

from typing import Any

from gotowce_dagster.cli.review.options import Json
from gotowce_dagster.cli.review.result import show_result


def status(json: Json = False) -> None:
    """Show review coverage and the error rate of automatic labels; needs no server."""
    from gotowce_dagster.config.project import Project
    from gotowce_dagster.review.connection import ServerDownError, connect, find
    from gotowce_dagster.review.measures import reviewed_so_far

    project = Project.find()
    paths = project.paths
    numbers: dict[str, Any] = reviewed_so_far(paths, project.videos, project.params)
    try:
        server = f"running at {connect(find(paths.root)).url}"
    except ServerDownError as error:
        server = str(error)
    show_result("Review", numbers | {"server": server}, [], json)
