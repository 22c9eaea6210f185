"""Reviewed frames as complete truth: data/truth/VIDEO.complete.csv."""

import pandas as pd

from gotowce_dagster.config.project import Project
from gotowce_dagster.core.files import fresh_file
from gotowce_dagster.core.tables import LABELS, read_complete_truth, read_table
from gotowce_dagster.labels.in_force import reviews_in_force
from gotowce_dagster.labels.reviewed import complete_truth_from_reviews


def save_complete_truth(project: Project, video: str) -> int:
    """Write the reviewed frames of a video as complete truth; rows of other frames stay as they are.

    Returns:
        The number of reviewed frames written.

    Raises:
        InputError: The video has no frames or labels yet, or its reviews or its complete truth are malformed.
    """
    labels = read_table(project.paths.labels(video), LABELS)
    rows = complete_truth_from_reviews(reviews_in_force(project, video), labels, project.video(video).file)
    if rows.empty:
        return 0
    count = int(rows["frame_index"].nunique())
    file = project.paths.complete_truth(video)
    if file.exists():
        before = read_complete_truth(file)
        kept = before[~before["frame_index"].isin(rows["frame_index"])]
        rows = pd.concat([kept, rows], ignore_index=True) if len(kept) else rows
    file.parent.mkdir(parents=True, exist_ok=True)
    with fresh_file(file) as new:
        rows.sort_values("frame_index", kind="stable").to_csv(new, index=False, lineterminator="\n")
    return count
