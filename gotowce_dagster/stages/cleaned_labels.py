"""Stage 5: labels, one per candidate, with verdict, reasons and scores; no candidate is dropped."""

from gotowce_dagster.config.project import Project
from gotowce_dagster.core.progress import Progress, silent
from gotowce_dagster.core.tables import FRAMES, LABELS, MASKS, read_table, write_table
from gotowce_dagster.detectors.detected import read_detected
from gotowce_dagster.labelling.label import label


def run(project: Project, video: str, progress: Progress = silent) -> None:
    """Write data/labels/VIDEO.parquet, one row per candidate.

    Raises:
        InputError: an earlier stage has not run yet, or params.yaml names a rule that does not exist.
    """
    paths = project.paths
    progress(0, 1)
    labels = label(
        read_detected(paths.detections(video)),
        read_table(paths.masks(video), MASKS),
        read_table(paths.frame_index(video), FRAMES),
        project.params.cleaned_labels,
    )
    write_table(labels, LABELS, paths.labels(video))
    progress(1, 1)
