"""Stage 3: the designators in every kept frame."""

from collections.abc import Iterator
from dataclasses import replace

import numpy as np

from gotowce_dagster.config.project import Project
from gotowce_dagster.core.errors import InputError
from gotowce_dagster.core.progress import Progress, silent, tracked
from gotowce_dagster.core.tables import FRAMES, read_table
from gotowce_dagster.designators.profile import read_profile
from gotowce_dagster.detectors.detected import write_detected
from gotowce_dagster.detectors.registry import build_detectors
from gotowce_dagster.labelling.detect import detect
from gotowce_dagster.labelling.images import decoded

_UNREADABLE = {"video": "the frame cannot be decoded"}


def run(project: Project, video: str, progress: Progress = silent) -> None:
    """Write data/detections/VIDEO.parquet: detections, unanswered frames, the number of objects below the
    quorum, and the bills of detectors.

    A frame that cannot be decoded counts as unanswered and does not stop the run.

    Raises:
        InputError: the frames are not extracted yet, none of them can be decoded, or a detector or the
            profile is unknown.
    """
    params, raw = project.params.designator_detections, project.raw(video)
    profile = read_profile(project.paths.profile(project.video(video).profile))
    detectors = build_detectors(params.detectors, profile)
    index = read_table(project.paths.frame_index(video), FRAMES)
    kept = index.loc[index["kept"], "frame_index"].tolist()
    seen: set[int] = set()

    def images() -> Iterator[tuple[int, np.ndarray]]:
        for frame_index, image in tracked(decoded(raw)(kept), len(kept), progress):
            seen.add(frame_index)
            yield frame_index, image

    detected = detect(video, images() if kept else (), detectors, params)
    if kept and not seen:
        raise InputError(f"{raw}: none of its sampled frames can be decoded; extract its frames again")
    unreadable = {frame_index: _UNREADABLE for frame_index in kept if frame_index not in seen}
    detected = replace(detected, unanswered={**detected.unanswered, **unreadable})
    write_detected(detected, project.paths.detections(video))
