"""Preview of the study `mark_colours`."""

import pandas as pd

from gotowce_dagster.config.project import Project
from gotowce_dagster.pictures.read import read_rgb
from gotowce_dagster.previews.base import Preview
from gotowce_dagster.studies.mark_colours import ALL, movement
from gotowce_dagster.studies.mark_colours_report import (
    PERCENTILES,
    PICTURE,
    THRESHOLDS,
    conclusions,
    threshold_of,
)

NAME = "mark_colours"


def preview(project: Project) -> Preview:
    """The best threshold of each designator with the shares it keeps, and the masked frames."""
    folder = project.paths.study(NAME)
    percentiles, thresholds = pd.read_csv(folder / PERCENTILES), pd.read_csv(folder / THRESHOLDS)
    of_all = thresholds[thresholds["video"] == ALL].groupby(["profile", "designator"]).head(1)
    numbers: dict[str, float | int | str] = {"designators": len(of_all)}
    for _, row in of_all.iterrows():
        name = f"{row['designator']} ({row['profile']})"
        numbers |= {
            f"{name}: threshold": str(threshold_of(row)),
            f"{name}: mark kept": float(row["mark_kept"]),
            f"{name}: background kept": float(row["background_kept"]),
        }
    notes = conclusions(percentiles, thresholds, movement(thresholds))
    return Preview(numbers, read_rgb(folder / PICTURE), notes)
