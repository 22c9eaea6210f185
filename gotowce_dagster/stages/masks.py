"""Stage 4: a mask of the target inside each designator and, in mode video, in the frames between."""

import hashlib
from functools import cache
from pathlib import Path

import numpy as np
import pandas as pd

from gotowce_dagster.detectors.profile import read_profile
from gotowce_dagster.files import remove
from gotowce_dagster.labels.tracks import link
from gotowce_dagster.pictures.carried import prompt_grid, timeline
from gotowce_dagster.pictures.contact_sheet import contact_sheet
from gotowce_dagster.pictures.read import read_rgb
from gotowce_dagster.pictures.targets import GREEN, target_closeup
from gotowce_dagster.progress import Progress, silent
from gotowce_dagster.project import Project
from gotowce_dagster.propagation.follow import BACK, ON
from gotowce_dagster.propagation.points import read_points
from gotowce_dagster.propagation.registry import build_propagator
from gotowce_dagster.propagation.video import through_video
from gotowce_dagster.segmenters import rle
from gotowce_dagster.segmenters.frame_by_frame import segment_frame_by_frame
from gotowce_dagster.segmenters.own_colour import own_colour_shares
from gotowce_dagster.segmenters.registry import build_segmenter
from gotowce_dagster.stages.base import Preview
from gotowce_dagster.tables import DETECTIONS, FRAMES, MASKS, read_table, write_table
from gotowce_dagster.video.decode import probe, read_frames

_SHOWN = 16
_KEY = ["frame_index", "detection_id"]
_BOX = ["x1", "y1", "x2", "y2"]


def run(project: Project, video: str, progress: Progress = silent) -> None:
    """Write data/masks/VIDEO.parquet, one row a target; a killed run goes on where it stopped.

    Raises:
        InputError: frames or detections are not there yet, a frame's picture is damaged, or a human's points
            are wrong.
        MissingWeightsError: the engine's weights are neither here nor reachable.
    """
    paths, params = project.paths, project.params.masks
    frames = read_table(paths.frame_index(video), FRAMES)
    detections = read_table(paths.detections(video), DETECTIONS)
    work = _unfinished(project, video)
    masks = _of_designators(project, video, frames, detections, work=work, progress=progress)
    if params.mode == "video":
        path = project.raw(video)
        info = probe(path)
        masks = through_video(
            path,
            frames,
            detections,
            masks,
            read_points(paths.points(project.video(video).points), info),
            info=info,
            propagator=build_propagator(project.engines["propagation"], params),
            params=params,
            work=work,
            progress=progress,
        ).assign(video=video)
    masks = masks.assign(own_colour=_own_colour(project, video, frames, detections, masks))
    write_table(masks, MASKS, paths.masks(video))
    remove(work.parent)


def _of_designators(
    project: Project,
    video: str,
    frames: pd.DataFrame,
    detections: pd.DataFrame,
    *,
    work: Path,
    progress: Progress,
) -> pd.DataFrame:
    """Columns of tables.MASKS, image by image."""
    params = project.params.masks
    pictures = project.paths.frames(video) / frames.set_index("frame_index")["file"].astype(object)
    objects = link(detections, frames, params.link_gap_s, params.link_speed)
    return segment_frame_by_frame(
        detections.assign(object_id=objects),
        frames,
        lambda frame_index: read_rgb(pictures[frame_index]),
        cache(lambda: build_segmenter(project.engines["masks"], params)),
        params,
        work=work,
        progress=progress,
    )


def _own_colour(
    project: Project, video: str, frames: pd.DataFrame, detections: pd.DataFrame, masks: pd.DataFrame
) -> pd.Series:
    """Of every mask in a frame that has a picture."""
    profile = read_profile(project.paths.profile(project.video(video).profile))
    files = frames.loc[frames["kept"]].set_index("frame_index")["file"].to_dict()

    def picture(frame_index: int) -> np.ndarray | None:
        name = files.get(frame_index)
        return None if name is None else read_rgb(project.paths.frames(video) / name)

    return own_colour_shares(masks, detections, profile, picture)


def preview(project: Project, video: str) -> Preview:
    """How many designators gave a mask, and a sheet of them over the length of the video.

    In mode video also the prompts and how sure each object was when.
    """
    paths = project.paths
    masks = read_table(paths.masks(video), MASKS)
    detections = read_table(paths.detections(video), DETECTIONS)
    frames = read_table(paths.frame_index(video), FRAMES)
    seen = masks[masks["rle"].notna()]
    marked = seen.merge(detections[[*_KEY, *_BOX]], on=_KEY, suffixes=("", "_designator"))
    numbers: dict[str, float | int | str] = {
        "designators": len(detections),
        "masks": len(seen),
        "without_mask": len(detections) - len(marked),
        "objects": masks["object_id"].nunique(),
        "median_area_px": float(seen["area_px"].median()) if len(seen) else 0.0,
        "median_agreement": float(seen["agreement"].median()) if seen["agreement"].notna().any() else 0.0,
        "segmenter": ", ".join(masks["segmenter"].unique()),
    }
    for state in masks["state"].dropna().unique():
        numbers[state] = int((masks["state"] == state).sum())
    more = {}
    if masks["state"].notna().any():
        more = _of_video(project, video, masks, frames)
    return Preview(numbers, _targets(project, video, marked, frames), more=more)


def _targets(project: Project, video: str, marked: pd.DataFrame, frames: pd.DataFrame) -> np.ndarray | None:
    """Targets in their designators, evenly over the video."""
    files = frames.set_index("frame_index")["file"]
    images, captions = [], []
    for row in _spread(marked).to_dict("records"):
        image = read_rgb(project.paths.frames(video) / files[row["frame_index"]])
        designator = np.array([row[f"{side}_designator"] for side in _BOX])
        mask = rle.decode(row["rle"], row["height"], row["width"])
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
    info = probe(path)
    points = read_points(project.paths.points(project.video(video).points), info)
    prompted = masks[~masks["prompt"].isin([ON, BACK])]
    wanted = sorted(_spread(prompted.drop_duplicates("frame_index"))["frame_index"].tolist())
    images = ((frame.index, frame.rgb()) for frame in read_frames(path, wanted))
    times = frames.set_index("frame_index")["time_s"]
    return {"prompts": prompt_grid(images, masks, points), "timeline": timeline(masks, times)}


def _spread(rows: pd.DataFrame) -> pd.DataFrame:
    """Some rows, evenly over all."""
    return rows.iloc[np.unique(np.linspace(0, len(rows) - 1, _SHOWN).astype(int))] if len(rows) else rows


def _unfinished(project: Project, video: str) -> Path:
    """Where what is done so far lies; work that began with other inputs is removed."""
    paths, engines = project.paths, project.engines
    told = f"{engines['masks']} {engines['propagation']} {project.params.masks.model_dump_json()}"
    inputs = hashlib.sha256(told.encode())
    sources = [paths.frame_index(video), paths.detections(video)]
    if project.params.masks.mode == "video":
        sources.append(paths.points(project.video(video).points))
    for path in sources:
        inputs.update(path.read_bytes() if path.exists() else b"")
    folder = project.paths.work("masks") / video / inputs.hexdigest()[:16]
    if folder.parent.exists():
        for other in set(folder.parent.iterdir()) - {folder}:
            remove(other)
    folder.mkdir(parents=True, exist_ok=True)
    return folder
