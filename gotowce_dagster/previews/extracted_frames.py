"""Preview of stage 1: sampled frames."""

from gotowce_dagster.config.project import Project
from gotowce_dagster.core.boxes import evenly
from gotowce_dagster.core.tables import FRAMES, read_table
from gotowce_dagster.labelling import summary
from gotowce_dagster.pictures.contact_sheet import contact_sheet
from gotowce_dagster.pictures.read import read_rgb
from gotowce_dagster.previews.base import Preview

_SHOWN = 12
"""Pictures on the contact sheet."""


def preview(project: Project, video: str) -> Preview:
    """Counts of frames sampled, kept and lost, and kept frames evenly spaced over the video."""
    made = summary.extracted_frames(project, video)
    folder = project.paths.frames(video)
    index = read_table(project.paths.frame_index(video), FRAMES)
    kept = index[index["kept"]]
    shown = kept.iloc[evenly(len(kept), _SHOWN)]
    sheet = contact_sheet(
        [read_rgb(folder / file) for file in shown["file"]],
        [f"{row.frame_index} · {row.time_s:.2f} s" for row in shown.itertuples()],
    )
    return Preview(made.numbers, sheet, made.notes)
