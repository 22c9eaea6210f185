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
    """Propagate the masks of detections and of point prompts through the frames of a video.

    Args:
        masks: as from ``segment``.
        points: as from propagation.points.read_points.
        video: the video's name in the rows.
        profile: the video's profile, with the position of targets relative to their marks.
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
