"""Preview of the study `crop_sensitivity`."""

import pandas as pd

from gotowce_dagster.config.project import Project
from gotowce_dagster.pictures.read import read_rgb
from gotowce_dagster.previews.base import Preview
from gotowce_dagster.studies.crop_sensitivity import answer, noticed_up_to
from gotowce_dagster.studies.crop_sensitivity_report import PICTURE, SHARES

NAME = "crop_sensitivity"


def preview(project: Project) -> Preview:
    """The offset up to which each describer notices the mark, and the share of descriptions over offset."""
    folder, least = project.paths.study(NAME), project.params.crop_sensitivity.least_share
    table = pd.read_csv(folder / SHARES)
    numbers: dict[str, float | int | str] = {}
    describers = table["describer"].unique().tolist()
    for name in describers:
        row = noticed_up_to(table, name, least)
        numbers[f"{name}: noticed up to, px"] = 0 if row is None else int(row["max_offset"])
    return Preview(numbers, read_rgb(folder / PICTURE), [answer(table, name, least) for name in describers])
