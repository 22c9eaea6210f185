"""Preview of stage 6: the dataset."""

from gotowce_dagster.config.project import Project
from gotowce_dagster.evaluation import summary
from gotowce_dagster.previews.base import Preview
from gotowce_dagster.training.dataset_sheet import dataset_sheet


def preview(project: Project) -> Preview:
    """Counts of images and objects by split and of what was left out, and example images."""
    made = summary.yolo_dataset(project)
    return Preview(made.numbers, dataset_sheet(project.paths.dataset), made.notes)
