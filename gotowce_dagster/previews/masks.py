"""Preview of stage 4: masks in their designators and, in mode video, propagated masks."""

import numpy as np
import pandas as pd

from gotowce_dagster.config.project import Project
from gotowce_dagster.core import rle
from gotowce_dagster.core.boxes import BOX, KEY, evenly
from gotowce_dagster.core.tables import DETECTIONS, FRAMES, MASKS, read_table
from gotowce_dagster.labelling import summary
from gotowce_dagster.pictures.contact_sheet import contact_sheet
from gotowce_dagster.pictures.read import read_rgb
from gotowce_dagster.pictures.targets import GREEN, target_closeup
from gotowce_dagster.previews.base import Preview
from gotowce_dagster.propagation.follow import BACKWARD, FORWARD
from gotowce_dagster.propagation.pictures import prompt_grid, timeline
from gotowce_dagster.propagation.points import read_points
from gotowce_dagster.video.decode import probe, read_frames

_SHOWN = 16


def preview(project: Project, video: str) -> Preview:
    """Count of designators with a mask, and a contact sheet of masks evenly spaced over the video.

    In mode video also the prompts, and a timeline of each object's state.
    """
    paths = project.paths
    made = summary.masks(project, video)
    masks = read_table(paths.masks(video), MASKS)
    detections = read_table(paths.detections(video), DETECTIONS)
    frames = read_table(paths.frame_index(video), FRAMES)
    seen = masks[masks["rle"].notna()]
    marked = seen.merge(detections[[*KEY, *BOX]], on=KEY, suffixes=("", "_designator"))
    more = _of_video(project, video, masks, frames) if masks["state"].notna().any() else {}
    return Preview(made.numbers, _targets(project, video, marked, frames), made.notes, more)


def _targets(project: Project, video: str, marked: pd.DataFrame, frames: pd.DataFrame) -> np.ndarray | None:
    """Draw targets in their designators, evenly spaced over the video."""
    files = frames.set_index("frame_index")["file"]
    images, captions = [], []
    for row in marked.iloc[evenly(len(marked), _SHOWN)].to_dict("records"):
        image = read_rgb(project.paths.frames(video) / files[row["frame_index"]])
        designator = np.array([row[f"{side}_designator"] for side in BOX])
        mask = rle.mask_of(row)
        images.append(target_closeup(image, designator, mask, GREEN))
        captions.append(
            f"frame {row['frame_index']} · {row['prompt']}\n"
            f"agreement {row['agreement']:.2f} · stability {row['stability']:.2f} · fill {row['fill']:.2f}"
        )
    return contact_sheet(images, captions) if images else None


def _of_video(
    project: Project, video: str, masks: pd.DataFrame, frames: pd.DataFrame
) -> dict[str, np.ndarray]:
    path = project.raw(video)
    points = read_points(project.paths.points(project.video(video).points), probe(path))
    prompted = masks[~masks["prompt"].isin([FORWARD, BACKWARD])].drop_duplicates("frame_index")
    wanted = prompted["frame_index"].iloc[evenly(len(prompted), _SHOWN)].tolist()
    images = ((frame.index, frame.rgb()) for frame in read_frames(path, wanted))
    times = frames.set_index("frame_index")["time_s"]
    return {"prompts": prompt_grid(images, masks, points), "timeline": timeline(masks, times)}
