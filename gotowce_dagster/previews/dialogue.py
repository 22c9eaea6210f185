"""Preview of the study `dialogue`."""

import pandas as pd

from gotowce_dagster.config.project import Project
from gotowce_dagster.pictures.read import read_rgb
from gotowce_dagster.previews.base import Preview
from gotowce_dagster.studies.dialogue import conclusion
from gotowce_dagster.studies.dialogue_report import PICTURE, RESULTS

NAME = "dialogue"
_SHOWN = {"f1_50": "F1", "exact_share": "counted right", "money_per_1000": "$ per 1,000 frames"}


def preview(project: Project) -> Preview:
    """F1, share of right counts and price of each round, the conclusions, and the boxes of each round."""
    folder = project.paths.study(NAME)
    table = pd.read_csv(folder / RESULTS)
    numbers: dict[str, float | int | str] = {}
    for row in table.to_dict("records"):
        values = {what: row[name] for name, what in _SHOWN.items() if pd.notna(row[name])}
        numbers |= {f"{row['model']}, {row['round']}: {what}": float(value) for what, value in values.items()}
    notes = [conclusion(table, name) for name in table["model"].unique()]
    drawn = folder / PICTURE
    return Preview(numbers, read_rgb(drawn) if drawn.exists() else None, notes)
