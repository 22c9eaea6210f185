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
    """Masks of the targets in their designators: linked, segmented, settled.

    Args:
        detections, frames: columns of tables.DETECTIONS and FRAMES.
        profile: of the video; it says where targets stand relative to their marks.
        segmenter: gives the segmenter; called only if there is something to segment.
        among: other frames of the video that are done: objects are linked through them and keep their names,
            doubtful masks are settled by theirs.
        work: an existing folder for what is finished; the same inputs must find the same folder again.

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
    """The object of each detection: as it is named already, or by a name that no other has.

    Args:
        linked: detections with the object_id that ``link`` gave.
        masks: columns of tables.MASKS, whose object_id stands.
    """
    named = linked[KEY].merge(masks[[*KEY, "object_id"]], on=KEY, how="left")["object_id"]
    named.index = linked.index
    of_track = linked["object_id"].map(named.groupby(linked["object_id"]).first())
    return named.fillna(of_track).fillna("new/" + linked["object_id"])
