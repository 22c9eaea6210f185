"""Step 2: link, segment, settle."""

from collections.abc import Callable
from pathlib import Path

import pandas as pd

from gotowce_dagster.config.params import MasksParams
from gotowce_dagster.core.boxes import KEY
from gotowce_dagster.core.progress import Progress
from gotowce_dagster.designators.profile import Profile
from gotowce_dagster.designators.relation import at_targets
from gotowce_dagster.labels.tracks import link
from gotowce_dagster.segmenters.base import Segmenter
from gotowce_dagster.segmenters.frame_by_frame import NOTHING, Images, Settled, segment_frame_by_frame


def segment(
    detections: pd.DataFrame,
    frames: pd.DataFrame,
    images: Images,
    segmenter: Callable[[], Segmenter],
    params: MasksParams,
    *,
    profile: Profile,
    among: Settled = NOTHING,
    work: Path,
    progress: Progress,
) -> pd.DataFrame:
    """Segment the targets in their designators: link, segment, settle.

    Args:
        detections, frames: columns of tables.DETECTIONS and FRAMES.
        profile: the video's profile, with the position of targets relative to their marks.
        segmenter: loads the segmenter; called only if there is something to segment.
        among: frames of the video that are already segmented. Objects are linked through them and keep their
            object_id, and doubtful masks are settled by theirs.
        work: an existing folder for finished parts; equal inputs must get the same folder.

    Returns:
        Columns of tables.MASKS, without the rows of ``among``.

    Raises:
        InputError: a frame with a detection cannot be decoded.
    """
    detections = at_targets(detections, profile)
    among = Settled(among.masks, at_targets(among.detections, profile))
    rows = (
        pd.concat([among.detections, detections], ignore_index=True) if len(among.detections) else detections
    )
    rows = rows.assign(object_id=link(rows, frames, params.link_gap_s, params.link_speed))
    if len(among.detections):
        rows["object_id"] = _names(rows, among.masks)
    mine = rows[rows["frame_index"].isin(detections["frame_index"])]
    return segment_frame_by_frame(
        mine, frames, images, segmenter, params, among=among, work=work, progress=progress
    )


def _names(linked: pd.DataFrame, masks: pd.DataFrame) -> pd.Series:
    """The object_id of each detection: that of its mask or its track, else a new one.

    Args:
        linked: detections with the object_id of ``link``.
        masks: columns of tables.MASKS, whose object_id does not change.
    """
    named = linked[KEY].merge(masks[[*KEY, "object_id"]], on=KEY, how="left")["object_id"]
    named.index = linked.index
    of_track = linked["object_id"].map(named.groupby(linked["object_id"]).first())
    return named.fillna(of_track).fillna("new/" + linked["object_id"])
