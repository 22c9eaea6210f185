"""Label any frames of a video as if the pipeline had sampled them.

A frame that the pipeline has labelled is not computed again: its detections and labels are the pipeline's,
byte for byte. Any other frame passes through the same steps among the pipeline's frames: it is linked with
their detections, settled by their masks, in mode video joined with the masks propagated into it, and cleaned
beside their candidates. The rows of the pipeline's frames do not change.
"""

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import pandas as pd

from gotowce_dagster.config.params import Params
from gotowce_dagster.config.paths import Paths
from gotowce_dagster.config.project import Project
from gotowce_dagster.core.progress import silent
from gotowce_dagster.core.tables import FRAMES, LABELS, MASKS, read_table
from gotowce_dagster.designators.profile import Profile, read_profile
from gotowce_dagster.designators.relation import at_targets
from gotowce_dagster.detectors.base import Detector
from gotowce_dagster.detectors.detected import Detected, read_detected
from gotowce_dagster.detectors.registry import build_detectors
from gotowce_dagster.labelling.colour import with_own_colour
from gotowce_dagster.labelling.detect import detect
from gotowce_dagster.labelling.label import label
from gotowce_dagster.labelling.segment import segment
from gotowce_dagster.propagation.video import join_with_propagated
from gotowce_dagster.segmenters.base import Segmenter
from gotowce_dagster.segmenters.frame_by_frame import Settled


@dataclass(frozen=True, eq=False)
class Labelled:
    """The pipeline's tables of one video."""

    frames: pd.DataFrame
    """Columns of tables.FRAMES."""
    detected: Detected
    masks: pd.DataFrame
    """Columns of tables.MASKS."""
    labels: pd.DataFrame
    """Columns of tables.LABELS."""

    @property
    def kept(self) -> set[int]:
        """The frames that were labelled."""
        return set(self.frames.loc[self.frames["kept"], "frame_index"])


def read_labelled(paths: Paths, video: str) -> Labelled:
    """Read the pipeline's tables of a video.

    Raises:
        InputError: a table is missing, damaged or of another version.
    """
    return Labelled(
        read_table(paths.frame_index(video), FRAMES),
        read_detected(paths.detections(video)),
        read_table(paths.masks(video), MASKS),
        read_table(paths.labels(video), LABELS),
    )


@dataclass(frozen=True, eq=False)
class Wanted:
    """Decoded frames to label."""

    video: str
    images: Mapping[int, np.ndarray]
    """RGB uint8 (H, W, 3) by frame_index."""
    times: Mapping[int, float]
    """Seconds by frame_index."""
    sharpness: Mapping[int, float]
    """As in tables.FRAMES, by frame_index."""


def label_in_project(
    project: Project, wanted: Wanted, segmenter: Callable[[], Segmenter]
) -> tuple[Detected, pd.DataFrame]:
    """``label_frames`` with the tables, detectors and settings of a project.

    Raises:
        InputError: a table or the profile is missing or damaged.
    """
    paths, params = project.paths, project.params
    profile = read_profile(paths.profile(project.video(wanted.video).profile))
    detectors = partial(build_detectors, params.designator_detections.detectors, profile)
    pipeline = read_labelled(paths, wanted.video)
    with TemporaryDirectory(prefix="gotowce_") as work:
        return label_frames(
            wanted,
            pipeline,
            params,
            profile=profile,
            detectors=detectors,
            segmenter=segmenter,
            work=Path(work),
        )


def label_frames(
    wanted: Wanted,
    pipeline: Labelled,
    params: Params,
    *,
    profile: Profile,
    detectors: Callable[[], Sequence[Detector]],
    segmenter: Callable[[], Segmenter],
    work: Path,
) -> tuple[Detected, pd.DataFrame]:
    """Detections and labels of the wanted frames.

    Args:
        profile: the video's profile.
        detectors, segmenter: load the models; called only if a frame needs them.
        work: an empty folder.

    Returns:
        The detections, and rows of tables.LABELS.
    """
    done = set(wanted.images) & pipeline.kept
    new = sorted(set(wanted.images) - done)
    known = pipeline.detected.only(done)
    labels = pipeline.labels[pipeline.labels["frame_index"].isin(done)].reset_index(drop=True)
    if not new:
        return known, labels
    found = detect(wanted.video, _images(wanted, new), detectors(), params.designator_detections)
    frames = _with_frames(pipeline.frames, new, wanted)
    others = pipeline.masks[~pipeline.masks["frame_index"].isin(new)]
    masks = segment(
        found.rows,
        frames,
        partial(_images, wanted),
        segmenter,
        params.masks,
        profile=profile,
        among=Settled(others, pipeline.detected.rows),
        work=work,
        progress=silent,
    )
    if params.masks.mode == "video":
        propagated = pipeline.masks[pipeline.masks["frame_index"].isin(new)]
        masks = join_with_propagated(masks, at_targets(found.rows, profile), propagated, params.masks).assign(
            video=wanted.video
        )
    masks = with_own_colour(masks, found.rows, profile, partial(_images, wanted))
    everything = _together(pipeline.detected, found)
    among = label(everything, _joined(others, masks), frames, params.cleaned_labels)
    return _together(known, found), _joined(labels, among[among["frame_index"].isin(new)])


def _images(wanted: Wanted, frames: Collection[int]) -> Iterator[tuple[int, np.ndarray]]:
    return ((index, wanted.images[index]) for index in sorted(frames))


def _together(pipeline: Detected, found: Detected) -> Detected:
    """The pipeline's detections and those of other frames, with the bills of the latter."""
    rows, unanswered = _joined(pipeline.rows, found.rows), {**pipeline.unanswered, **found.unanswered}
    return Detected(rows, unanswered, found.short, found.bills)


def _with_frames(frames: pd.DataFrame, new: Sequence[int], wanted: Wanted) -> pd.DataFrame:
    """Rows of tables.FRAMES with the new frames kept, in the shot of the sampled frame before them."""
    frames = frames.assign(kept=frames["kept"] | frames["frame_index"].isin(new))
    unsampled = sorted(set(new) - set(frames["frame_index"]))
    if not unsampled:
        return frames
    before = frames["frame_index"].searchsorted(unsampled, side="right") - 1
    shots = frames["shot"].to_numpy()[np.maximum(before, 0)] if len(frames) else 0
    rows = pd.DataFrame(
        {
            "frame_index": unsampled,
            "time_s": [wanted.times[index] for index in unsampled],
            "shot": shots,
            "sharpness": [wanted.sharpness[index] for index in unsampled],
            "phash": None,
            "kept": True,
            "reason": "",
            "file": "",
        }
    )
    return _joined(frames, rows[FRAMES.names])


def _joined(rows: pd.DataFrame, others: pd.DataFrame) -> pd.DataFrame:
    """Rows of two tables in the order of their frames."""
    parts = [part for part in (rows, others) if len(part)] or [rows]
    return pd.concat(parts, ignore_index=True).sort_values("frame_index", kind="stable", ignore_index=True)
