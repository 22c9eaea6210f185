"""Step 3, in mode video: propagate."""

from pathlib import Path

import pandas as pd

from gotowce_dagster.config.params import MasksParams
from gotowce_dagster.core.progress import Progress
from gotowce_dagster.designators.profile import Profile
from gotowce_dagster.designators.relation import at_targets
from gotowce_dagster.propagation.base import Propagator
from gotowce_dagster.propagation.video import through_video
from gotowce_dagster.video.decode import VideoInfo


def propagate(
    path: Path,
    frames: pd.DataFrame,
    detections: pd.DataFrame,
    masks: pd.DataFrame,
    points: pd.DataFrame,
    *,
    video: str,
    profile: Profile,
    info: VideoInfo,
    propagator: Propagator,
    params: MasksParams,
    work: Path,
    progress: Progress,
) -> pd.DataFrame:
    """Masks of detections and of a human's points, through the frames of a video.

    Args:
        masks: as from ``segment``.
        points: as from propagation.points.read_points.
        video: what the rows call the video.
        profile: of the video; it says where targets stand relative to their marks.
        work: as for ``segment``.

    Returns:
        Columns of tables.MASKS.
    """
    return through_video(
        path,
        frames,
        at_targets(detections, profile),
        masks,
        points,
        info=info,
        propagator=propagator,
        params=params,
        work=work,
        progress=progress,
    ).assign(video=video)
