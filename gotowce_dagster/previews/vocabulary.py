"""Preview of the study `vocabulary`."""

import pandas as pd

from gotowce_dagster.config.project import Project
from gotowce_dagster.previews.base import Preview
from gotowce_dagster.stages.vocabulary import ADVICE, BEHAVIOUR, MATCHES

NAME = "vocabulary"


def preview(project: Project) -> Preview:
    """Phrases that are in a vocabulary, the highest confidence of each role, and the advice."""
    folder = project.paths.study(NAME)
    advice, matches, shown = (pd.read_csv(folder / file) for file in (ADVICE, MATCHES, BEHAVIOUR))
    known = matches[matches["match"] != "near"]["phrase"].nunique()
    numbers: dict[str, float | int | str] = {"phrases": len(advice), "in a vocabulary": int(known)}
    highest = shown.groupby(["detector", "role"], sort=False)["highest"].max()
    for place, (detector, role) in enumerate(highest.index.tolist()):
        numbers[f"{detector}: {role}, highest confidence"] = float(highest.iloc[place])
    return Preview(numbers, notes=advice["advice"].tolist())
