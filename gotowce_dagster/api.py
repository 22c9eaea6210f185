"""The functions of the public API that run stages and detectors, for notebooks and scripts.

Import them from the package, which lists all public names: ``from gotowce_dagster import detect``.
"""

from collections.abc import Collection
from pathlib import Path

import pandas as pd

from gotowce_dagster.config.project import Project
from gotowce_dagster.core import tables
from gotowce_dagster.core.errors import InputError
from gotowce_dagster.core.progress import Progress, silent
from gotowce_dagster.designators.profile import Profile
from gotowce_dagster.detectors.detect import detect_video
from gotowce_dagster.detectors.registry import build_detector, settings_of
from gotowce_dagster.stages.table import stage_named

_TABLES = {
    "frames": tables.FRAMES,
    "detections": tables.DETECTIONS,
    "masks": tables.MASKS,
    "labels": tables.LABELS,
}


def open_project(folder: str | Path | None = None) -> Project:
    """Open the project in a folder or above it; default: $GOTOWCE_ROOT, else the current folder.

    Raises:
        InputError: there is no params.yaml.
    """
    return Project.find(Path(folder) if folder is not None else None)


def run_stage(project: Project, name: str, video: str | None = None, *, progress: Progress = silent) -> None:
    """Run one stage, as in DVC and Dagster, and write its output to the project's data folder.

    Args:
        name: a stage of dvc.yaml, for instance ``masks``.
        video: the video's key, for stages per video.
        progress: called with the units of work done and their total.

    Raises:
        InputError: no stage or video has that name, or the stage's inputs are missing or invalid.
    """
    stage = stage_named(name, video)
    if video is None:
        stage.run(project, progress)
    else:
        project.video(video)
        stage.run(project, video, progress)


def read_rows(project: Project, table: str, video: str) -> pd.DataFrame:
    """Read a stage's table of a video: boxes as x1, y1, x2, y2 in pixels, exclusive end; times in seconds.

    Args:
        table: ``frames``, ``detections``, ``masks`` or ``labels``; core/tables.py describes their columns.

    Raises:
        InputError: no table or video has that name, or its stage has not run yet.
    """
    if table not in _TABLES:
        raise InputError(f"no table named {table!r}; expected one of {', '.join(_TABLES)}")
    project.video(video)
    paths = project.paths
    path = paths.frame_index(video) if table == "frames" else getattr(paths, table)(video)
    return tables.read_table(path, _TABLES[table])


def detect(
    video: str | Path,
    profile: Profile,
    *,
    detector: str = "bracket",
    frames: Collection[int] | None = None,
    progress: Progress = silent,
) -> pd.DataFrame:
    """Detect designators in a video file.

    Args:
        profile: the marks of the game: ``calibrate(...).profile`` or ``read_profile(path)``.
        detector: a kind of detector with its default settings.
        frames: numbers of the frames to search, from 0; default: all.
        progress: called with frames done and their total.

    Returns:
        One row per box: frame_index, x1, y1, x2, y2 (pixels, exclusive end), confidence, class_name, and
        more columns of core.tables.DETECTIONS.

    Raises:
        InputError: the file is not a video, lacks one of the frames, or no detector has that name.
        MissingWeightsError: the detector's weights are neither on this machine nor downloadable.
    """
    built = build_detector(detector, settings_of(detector, {}), profile)
    return detect_video(Path(video), built, frames, progress).rows
