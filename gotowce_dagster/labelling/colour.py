"""Step 3b: measure the share of each mask in the colour of its mark."""

import pandas as pd

from gotowce_dagster.designators.profile import Profile
from gotowce_dagster.labelling.own_colour import own_colour_shares
from gotowce_dagster.segmenters.frame_by_frame import Images


def with_own_colour(
    masks: pd.DataFrame, detections: pd.DataFrame, profile: Profile, images: Images
) -> pd.DataFrame:
    """Columns of tables.MASKS with ``own_colour``: the share of each mask's pixels in its mark's own colour.

    Args:
        detections: columns of tables.DETECTIONS of the same video.
    """
    return masks.assign(own_colour=own_colour_shares(masks, detections, profile, images))
