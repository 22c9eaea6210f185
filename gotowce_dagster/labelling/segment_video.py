"""`gotowce segment`: propagate masks through any video file, from point prompts or from designators."""

import hashlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np
import pandas as pd

from gotowce_dagster.config.engines import precision
from gotowce_dagster.config.params import Params
from gotowce_dagster.core.files import fresh_file, remove, work_folder
from gotowce_dagster.core.progress import Progress, tracked
from gotowce_dagster.core.tables import DETECTIONS, MASKS, empty, write_table
from gotowce_dagster.designators.profile import Profile
from gotowce_dagster.detectors.registry import build_detectors
from gotowce_dagster.labelling.detect import detect
from gotowce_dagster.labelling.images import decoded
from gotowce_dagster.labelling.propagate import propagate
from gotowce_dagster.labelling.segment import segment as segment_targets
from gotowce_dagster.pictures.write import write_picture
from gotowce_dagster.propagation.follow import BACKWARD, FORWARD
from gotowce_dagster.propagation.pictures import annotated, prompt_grid, timeline
from gotowce_dagster.propagation.points import COLUMNS, read_points
from gotowce_dagster.propagation.registry import build_propagator
from gotowce_dagster.segmenters.registry import build_segmenter
from gotowce_dagster.video.decode import Frame, probe, read_frames
from gotowce_dagster.video.encode import write_video
from gotowce_dagster.video.extract import index_frames

VIDEO, PROMPTS, TIMELINE = "annotated.mp4", "prompts.jpg", "timeline.png"

_SHOWN = 24
_NO_POINTS = pd.DataFrame({name: [] for name in COLUMNS}).astype({"frame_index": "int64", "object_id": str})


@dataclass(frozen=True)
class Segmented:
    """The result of a run: what was written, and a summary."""

    out: Path
    """The folder with the table masks.parquet and the files VIDEO, PROMPTS and TIMELINE."""
    engine: str
    device: str
    precision: str
    """Precision of inference, bfloat16 or float32."""
    objects: int
    frames: int
    states: dict[str, int]


def segment(
    path: Path,
    prompted_by: Path | Profile,
    out: Path,
    *,
    params: Params,
    engines: dict[str, str],
    start: Callable[[str], Progress],
) -> Segmented:
    """Propagate masks through a video file and write the table, an annotated video and two pictures.

    Args:
        prompted_by: a file of point prompts, or a profile whose designators' targets are the objects.
        out: the output folder. An interrupted run resumes when it is called again.
        start: returns the progress callback for each part of the work, by name.

    Raises:
        InputError: the video or the points are invalid.
        MissingWeightsError: the engine's weights are not on this machine and cannot be fetched.
    """
    info = probe(path)
    points = read_points(prompted_by, info) if isinstance(prompted_by, Path) else _NO_POINTS
    work = _work(out, path, f"{points.to_csv()} {prompted_by} {engines} {params}")
    frames = index_frames(path, params.extracted_frames, start("frames"))
    detections, masks = empty(DETECTIONS), empty(MASKS)
    if not isinstance(prompted_by, Path):
        detections = _detect(path, frames, prompted_by, params, start("designators"))
        masks = segment_targets(
            detections,
            frames,
            decoded(path),
            cache(lambda: build_segmenter(engines["masks"], params.masks)),
            params.masks,
            profile=prompted_by,
            work=work,
            progress=start("masks"),
        )
    propagator = build_propagator(engines["propagation"], params.masks)
    propagated = propagate(
        path,
        frames,
        detections,
        masks,
        points,
        video=path.stem,
        profile=Profile(name="none") if isinstance(prompted_by, Path) else prompted_by,
        info=info,
        propagator=propagator,
        params=params.masks,
        work=work,
        progress=start("frames with masks"),
    )
    write_table(propagated, MASKS, out / "masks.parquet")
    _show(path, propagated, points, out, start("annotated video"))
    remove(work.parent)
    return Segmented(
        out=out,
        engine=engines["propagation"],
        device=propagator.device,
        precision=precision(engines["propagation"], propagator.device),
        objects=propagated["object_id"].nunique(),
        frames=propagated["frame_index"].nunique(),
        states=propagated["state"].value_counts().to_dict(),
    )


def _detect(
    path: Path, frames: pd.DataFrame, profile: Profile, params: Params, progress: Progress
) -> pd.DataFrame:
    wanted = frames.loc[frames["kept"], "frame_index"].tolist()
    images = tracked(decoded(path)(wanted), len(wanted), progress)
    detectors = build_detectors(params.designator_detections.detectors, profile)
    return detect(path.stem, images, detectors, params.designator_detections).rows


def _show(path: Path, masks: pd.DataFrame, points: pd.DataFrame, out: Path, progress: Progress) -> None:
    """Write the annotated video, the prompts and the timeline."""
    visited = np.unique(masks["frame_index"])
    step = int(np.median(np.diff(visited))) if len(visited) > 1 else 1
    # Evenly spaced, or the video would stutter: point prompts may lie between visited frames.
    wanted = range(visited[0] - visited[0] % step, visited[-1] + 1, step) if len(visited) else range(1)
    times: dict[int, float] = {}

    def timed_frames() -> Iterator[Frame]:
        for frame in tracked(read_frames(path, wanted), len(wanted), progress):
            times[frame.index] = frame.time_s
            yield frame

    with fresh_file(out / VIDEO) as new:
        fps, options = probe(path).fps / step, {"crf": "20", "preset": "veryfast"}
        write_video(new, annotated(timed_frames(), masks), fps=fps, options=options, container_format="mp4")
    prompted = masks.loc[~masks["prompt"].isin([FORWARD, BACKWARD]), "frame_index"].unique()[:_SHOWN]
    images = ((frame.index, frame.rgb()) for frame in read_frames(path, prompted.tolist()))
    write_picture(prompt_grid(images, masks, points), out / PROMPTS)
    write_picture(timeline(masks, pd.Series(times, dtype=float)), out / TIMELINE)


def _work(out: Path, path: Path, settings: str) -> Path:
    """The folder for unfinished work on these inputs."""
    state = path.stat()
    inputs = f"{path.resolve()} {state.st_size} {state.st_mtime_ns} {settings}"
    return work_folder(out / ".work", hashlib.sha256(inputs.encode()).hexdigest())
