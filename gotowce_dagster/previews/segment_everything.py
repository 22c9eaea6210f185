"""Preview of the study `segment_everything`."""

import pandas as pd

from gotowce_dagster.config.project import Project
from gotowce_dagster.pictures.read import read_rgb
from gotowce_dagster.previews.base import Preview
from gotowce_dagster.studies.everything_report import CUTS, FITS, PICTURE, by_method

NAME = "segment_everything"


def preview(project: Project) -> Preview:
    """Segments, seconds and the fit of the best segment by method, and the figure."""
    folder = project.paths.study(NAME)
    cuts, fits = pd.read_csv(folder / CUTS), pd.read_csv(folder / FITS)
    numbers: dict[str, float | int | str] = {"frames": len(cuts.drop_duplicates(["video", "frame_index"]))}
    for method, row in by_method(cuts, fits, project.params.segment_everything).iterrows():
        numbers |= {f"{method}: {name}": float(value) for name, value in row.items() if pd.notna(value)}
    return Preview(numbers, read_rgb(folder / PICTURE))
