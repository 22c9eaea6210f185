"""Crops of the study `crop_sensitivity`: random windows that grow around a designator."""

from dataclasses import dataclass

import numpy as np

from gotowce_dagster.config.project import Project
from gotowce_dagster.core.boxes import BOX
from gotowce_dagster.core.crops import Crop
from gotowce_dagster.core.tables import DETECTIONS, read_table
from gotowce_dagster.studies.crops import grown, offsets
from gotowce_dagster.video.decode import read_frames


@dataclass(frozen=True, eq=False)
class Sample:
    """One random crop."""

    video: str
    frame_index: int
    max_offset: int
    iteration: int
    window: Crop
    image: np.ndarray
    """RGB uint8 (H, W, 3)."""


def samples_of(project: Project) -> list[Sample]:
    """All crops: around the most confident detection of frames spread over the videos."""
    params = project.params.crop_sensitivity
    random = np.random.default_rng(params.seed)
    samples = []
    for place, video in enumerate(project.videos):
        wanted = params.frames // len(project.videos) + (place < params.frames % len(project.videos))
        detections = read_table(project.paths.detections(video), DETECTIONS)
        best = detections.sort_values("confidence", ascending=False).drop_duplicates("frame_index")
        boxes = best.set_index("frame_index")[list(BOX)].sort_index()
        places = np.unique(((np.arange(wanted) + 0.5) * len(boxes) / max(wanted, 1)).astype(int))
        chosen = boxes.iloc[places] if len(boxes) else boxes
        for frame in read_frames(project.raw(video), chosen.index.tolist()) if len(chosen) else ():
            image = frame.rgb()
            size = (image.shape[1], image.shape[0])
            for most in offsets(size, params.steps):
                for iteration in range(params.iterations):
                    window = grown(chosen.loc[frame.index].to_numpy(float), most, size, random)
                    piece = np.ascontiguousarray(window.cut(image))
                    samples.append(Sample(video, frame.index, most, iteration, window, piece))
    return samples


def row_of(describer: str, sample: Sample, text: str | None) -> dict[str, object]:
    """The row of a crop's description; None: no usable response."""
    x1, y1, x2, y2 = sample.window.box
    return {
        "describer": describer,
        "video": sample.video,
        "frame_index": sample.frame_index,
        "max_offset": sample.max_offset,
        "iteration": sample.iteration,
        "x1": x1,
        "y1": y1,
        "width": x2 - x1,
        "height": y2 - y1,
        "description": text,
    }
