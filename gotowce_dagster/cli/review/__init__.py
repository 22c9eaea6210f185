"""Review labels in Label Studio: push frames, pull reviews."""

import typer

from gotowce_dagster.cli.lazy import lazy_group

VERBS = ("serve", "assist", "push", "pull", "push-video", "pull-video", "status")
"""In the order of the help."""

review = typer.Typer(
    name="review", cls=lazy_group(__name__, VERBS), no_args_is_help=True, add_completion=False, help=__doc__
)


@review.callback()
def _review() -> None:
    pass
