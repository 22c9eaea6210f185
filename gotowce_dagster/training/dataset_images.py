"""The images of a dataset: as recorded, with marks erased, cutouts of targets, and unreviewed frames."""

import shutil
from collections.abc import Mapping
from pathlib import Path

import pandas as pd

from gotowce_dagster.config.project import Project
from gotowce_dagster.core.files import link_or_copy
from gotowce_dagster.core.progress import Progress, tracked
from gotowce_dagster.designators.profile import read_profile
from gotowce_dagster.detectors.detected import read_detected
from gotowce_dagster.labels.export import label_file, yolo_lines
from gotowce_dagster.labels.split import SPLITS
from gotowce_dagster.pictures.read import read_rgb
from gotowce_dagster.pictures.write import write_picture
from gotowce_dagster.training.targets_and_marks import cutouts, marks_in, without_marks


def image_path(frame: Mapping) -> str:
    """Path of a frame's image below the dataset folder; frame: video, frame_index, split, unknown."""
    folder = "unknown" if frame["unknown"] else f"images/{frame['split']}"
    return f"{folder}/{frame['video']}_{frame['frame_index']:06d}.jpg"


def write_images(
    project: Project,
    new: Path,
    used: pd.DataFrame,
    *,
    kept: pd.DataFrame,
    labels: Mapping[str, pd.DataFrame],
    numbers: Mapping[str, int],
    progress: Progress,
) -> list[dict]:
    """Write images and labels, the images with marks erased, cutouts and unreviewed frames.

    Returns:
        The rows of the images with marks erased.
    """
    paths = project.paths
    profiles = {name: read_profile(paths.profile(name)) for name in sorted(set(used["profile"]))}
    found = {video: read_detected(paths.detections(video)).rows for video in sorted(set(used["video"]))}
    for kind in ("images", "labels"):
        for split in SPLITS:
            (new / kind / split).mkdir(parents=True)
    for kind in ("unknown", "cutouts"):
        (new / kind).mkdir()
    erased = []
    for frame in tracked(used.to_dict("records"), len(used), progress):
        source = paths.frames(frame["video"]) / frame["file"]
        link_or_copy(source, new / frame["image"])
        if frame["kind"] == "unknown":
            continue
        objects = _of_frame(labels[frame["video"]], frame)
        lines = yolo_lines(objects, numbers, project.params.yolo_dataset.polygons)
        label_file(new, frame["image"]).write_text("".join(f"{line}\n" for line in lines), "utf-8")
        marks = marks_in(_of_frame(found[frame["video"]], frame), profiles[frame["profile"]])
        others = [paths.frames(frame["video"]) / file for file in _neighbours(frame, kept)] if marks else []
        twin = without_marks(read_rgb(source), marks, objects, [read_rgb(file) for file in others])
        if twin.painted.any():
            name = frame["image"].removesuffix(".jpg") + "_erased.jpg"
            write_picture(twin.image, new / name, project.params.extracted_frames.jpeg_quality)
            shutil.copyfile(label_file(new, frame["image"]), label_file(new, name))
            erased.append({**frame, "image": name, "kind": "erased"})
        if frame["split"] == "train":
            for number, (class_name, cutout) in enumerate(cutouts(twin.image, objects)):
                stem = f"{Path(frame['image']).stem}_{number}_{numbers[class_name]}"
                write_picture(cutout, new / "cutouts" / f"{stem}.png")
    return erased


def _of_frame(rows: pd.DataFrame, frame: Mapping) -> pd.DataFrame:
    return rows[rows["frame_index"] == frame["frame_index"]]


def _neighbours(frame: Mapping, kept: pd.DataFrame, count: int = 2) -> list[str]:
    """The images of the kept frames of the same shot, nearest in time first."""
    rows = kept[(kept["video"] == frame["video"]) & (kept["shot"] == frame["shot"]) & ~kept["damaged"]]
    rows = rows[rows["frame_index"] != frame["frame_index"]]
    return rows.loc[(rows["time_s"] - frame["time_s"]).abs().sort_values().index[:count], "file"].tolist()
