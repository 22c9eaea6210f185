"""Preview of the study `prompt_inputs`."""

import pandas as pd

from gotowce_dagster.config.project import Project
from gotowce_dagster.pictures.read import read_rgb
from gotowce_dagster.previews.base import Preview
from gotowce_dagster.studies.prompt_inputs import conclusion
from gotowce_dagster.studies.prompt_inputs_report import PICTURE, RESULTS

NAME = "prompt_inputs"


def preview(project: Project) -> Preview:
    """F1 and seconds per frame of each detector with each input, the conclusions, and what it sees."""
    folder = project.paths.study(NAME)
    table = pd.read_csv(folder / RESULTS)
    numbers: dict[str, float | int | str] = {}
    for row in table.to_dict("records"):
        values = {"F1": row["f1_50"], "s per frame": row["median_s"]}
        numbers |= {
            f"{row['name']}: {what}": float(value) for what, value in values.items() if pd.notna(value)
        }
    notes = [conclusion(table, name) for name in table["detector"].unique()]
    notes += [
        f"{row['name']}: {row['reason']}" for row in table.to_dict("records") if pd.notna(row["reason"])
    ]
    drawn = folder / PICTURE
    return Preview(numbers, read_rgb(drawn) if drawn.exists() else None, notes)
