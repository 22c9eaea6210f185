"""Preview of stage 7: the training."""

import pandas as pd

from gotowce_dagster.config.project import Project
from gotowce_dagster.evaluation import summary
from gotowce_dagster.pictures.curves import training_curves
from gotowce_dagster.previews.base import Preview


def preview(project: Project) -> Preview:
    """Scores of the best epoch on the validation split, and the training curves."""
    made = summary.finetuned_model(project)
    curves = training_curves(pd.read_csv(project.paths.model / "results.csv"))
    return Preview(made.numbers, curves, made.notes)
