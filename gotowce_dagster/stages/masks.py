"""Stage 4: a mask of the target inside each designator and, in mode video, in the frames between."""

import hashlib
from functools import cache
from pathlib import Path

from gotowce_dagster.config.engines import UNUSED
from gotowce_dagster.config.project import Project
from gotowce_dagster.core.errors import InputError
from gotowce_dagster.core.files import remove, work_folder
from gotowce_dagster.core.progress import Progress, silent
from gotowce_dagster.core.tables import DETECTIONS, FRAMES, MASKS, read_table, write_table
from gotowce_dagster.designators.profile import read_profile
from gotowce_dagster.labelling.colour import with_own_colour
from gotowce_dagster.labelling.images import decoded
from gotowce_dagster.labelling.propagate import propagate
from gotowce_dagster.labelling.segment import segment
from gotowce_dagster.propagation.points import read_points
from gotowce_dagster.propagation.registry import build_propagator
from gotowce_dagster.segmenters.registry import build_segmenter
from gotowce_dagster.video.decode import probe


def run(project: Project, video: str, progress: Progress = silent) -> None:
    """Write data/masks/VIDEO.parquet, one row per target; an interrupted run resumes.

    Raises:
        InputError: an earlier stage has not run yet, a frame cannot be decoded, the point prompts are
            invalid, or no engine is chosen for the mode.
        MissingWeightsError: the engine's weights are neither on this machine nor downloadable.
    """
    paths, params, path = project.paths, project.params.masks, project.raw(video)
    if params.mode == "video" and project.engines["propagation"] == UNUSED:
        raise InputError(
            f"{paths.engines}: masks.mode is video, but no engine of propagation is chosen yet; "
            "run `gotowce sync`"
        )
    frames = read_table(paths.frame_index(video), FRAMES)
    profile = read_profile(paths.profile(project.video(video).profile))
    detections = read_table(paths.detections(video), DETECTIONS)
    work = _unfinished(project, video)
    masks = segment(
        detections,
        frames,
        decoded(path),
        cache(lambda: build_segmenter(project.engines["masks"], params)),
        params,
        profile=profile,
        work=work,
        progress=progress,
    )
    if params.mode == "video":
        info = probe(path)
        masks = propagate(
            path,
            frames,
            detections,
            masks,
            read_points(paths.points(project.video(video).points), info),
            video=video,
            profile=profile,
            info=info,
            propagator=build_propagator(project.engines["propagation"], params),
            params=params,
            work=work,
            progress=progress,
        )
    masks = with_own_colour(masks, detections, profile, decoded(path))
    write_table(masks, MASKS, paths.masks(video))
    remove(work.parent)


def _unfinished(project: Project, video: str) -> Path:
    """The folder for unfinished work on these inputs."""
    paths, engines = project.paths, project.engines
    settings = f"{engines['masks']} {engines['propagation']} {project.params.masks.model_dump_json()}"
    inputs = hashlib.sha256(settings.encode())
    sources = [paths.frame_index(video), paths.detections(video)]
    if project.params.masks.mode == "video":
        sources.append(paths.points(project.video(video).points))
    for path in sources:
        inputs.update(path.read_bytes() if path.exists() else b"")
    return work_folder(project.paths.work("masks") / video, inputs.hexdigest())
