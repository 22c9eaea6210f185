"""Reviewed frames as complete truth: data/truth/VIDEO.complete.csv."""

from gotowce_dagster.config.project import Project
from gotowce_dagster.core.files import fresh_file
from gotowce_dagster.core.tables import LABELS, read_table
from gotowce_dagster.core.truth import read_complete_truth, with_other_frames
from gotowce_dagster.labels.in_force import reviews_in_force
from gotowce_dagster.labels.reviewed import complete_truth_from_reviews


def save_complete_truth(project: Project, video: str) -> int:
    """Write the reviewed frames of a video as complete truth; rows of other frames stay as they are.

    Frames of which only the tracks of the whole video were reviewed are left out: a timeline shows what is
    followed, not every object of each frame.

    Returns:
        The number of reviewed frames written.

    Raises:
        InputError: The video has no frames or labels yet, or its reviews or its complete truth are malformed.
    """
    labels = read_table(project.paths.labels(video), LABELS)
    reviews = {index: one for index, one in reviews_in_force(project, video).items() if one.sample != "video"}
    rows = complete_truth_from_reviews(reviews, labels, project.video(video).file)
    if rows.empty:
        return 0
    count = int(rows["frame_index"].nunique())
    file = project.paths.complete_truth(video)
    if file.exists():
        rows = with_other_frames(rows, read_complete_truth(file))
    file.parent.mkdir(parents=True, exist_ok=True)
    with fresh_file(file) as new:
        rows.to_csv(new, index=False, lineterminator="\n")
    return count
