"""`gotowce model-card`: write the trained model's card."""

from pathlib import Path
from typing import Annotated

import typer

from gotowce_dagster.cli import console


def model_card(
    out: Annotated[
        Path | None, typer.Option(help="Output file; default: data/MODEL_CARD.md, to be committed.")
    ] = None,
) -> None:
    """Write the model's card: data, metrics with and without marks, intended use, licences."""
    from gotowce_dagster.config.project import Project
    from gotowce_dagster.core.files import fresh_file
    from gotowce_dagster.inference.card import model_card as write

    paths = Project.find().paths
    card = write(paths.model, paths.evaluation)
    # Beside the model, not in it: its folder is what a stage made, and DVC would take it for changed.
    target = out or paths.data / "MODEL_CARD.md"
    with fresh_file(target) as new:
        new.write_text(card, encoding="utf-8")
    console.say(console.bold(target))
