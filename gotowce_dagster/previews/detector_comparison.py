"""Preview of the detector comparison."""

import pandas as pd

from gotowce_dagster.comparison.compare import TABLE
from gotowce_dagster.comparison.study import PARQUET, SCATTER
from gotowce_dagster.config.project import Project
from gotowce_dagster.core.tables import read_table
from gotowce_dagster.pictures.read import read_rgb
from gotowce_dagster.previews.base import Preview

NAME = "detector_comparison"
_SHOWN = ("f1_50", "median_s", "memory_mb", "money_per_1000")


def preview(project: Project) -> Preview:
    """F1, seconds, memory and money of each detector, those that did not run, and the scatter plot."""
    folder = project.paths.study(NAME)
    table = read_table(folder / PARQUET, TABLE)
    numbers: dict[str, float | int | str] = {"ran": f"{(table['status'] == 'ran').sum()} of {len(table)}"}
    for row in table.to_dict("records"):
        numbers |= {f"{row['name']}: {name}": float(row[name]) for name in _SHOWN if pd.notna(row[name])}
    notes = [
        f"{row['name']}: {row['status']}: {row['reason']}"
        for row in table.to_dict("records")
        if row["reason"]
    ]
    drawn = folder / SCATTER
    return Preview(numbers, read_rgb(drawn) if drawn.exists() else None, notes)
