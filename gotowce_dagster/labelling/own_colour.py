"""Own colour: the share of a mask in the colour of the mark around it.

A HUD may draw a dot or a line inside the mark in the mark's colour, which stands out so much that it is
segmented instead of the target.
"""

import numpy as np
import pandas as pd

from gotowce_dagster.core import rle
from gotowce_dagster.core.boxes import KEY
from gotowce_dagster.core.colour import Colour
from gotowce_dagster.core.crops import Crop
from gotowce_dagster.designators.evidence import own_colour, to_ycrcb
from gotowce_dagster.designators.profile import Profile
from gotowce_dagster.segmenters.frame_by_frame import Images


def own_colour_shares(
    masks: pd.DataFrame,
    detections: pd.DataFrame,
    profile: Profile,
    images: Images,
) -> pd.Series:
    """Compute the share of each mask's pixels in the colour of its mark, 0 to 1.

    NaN where it is unknown: no mask, no decodable frame, no designator in the profile, or a grey one.

    Args:
        masks, detections: columns of tables.MASKS and DETECTIONS of one video.
        profile: the designator profile of the video.
        images: returns frames by frame_index.
    """
    prompts = detections.drop_duplicates(KEY).set_index(KEY)["prompt"].to_dict()
    shares = pd.Series(np.nan, masks.index, dtype=float)
    cut = masks[masks["rle"].notna()] if profile.designators else masks.iloc[:0]
    by_frame = dict(iter(cut.groupby("frame_index")))
    for index, image in images(sorted(by_frame)) if by_frame else ():
        for place, mask in by_frame[index].to_dict("index").items():
            colours = _colours(profile, prompts.get((index, mask["detection_id"])), mask["class_name"])
            shares[place] = _share(image, rle.mask_of(mask), colours)
    return shares


def _colours(profile: Profile, prompt: str | None, class_name: str) -> list[Colour]:
    """Colours of the detection's designator, else of all designators of its class, else of all."""
    choices = (
        [d for d in profile.designators if d.name == prompt],
        [d for d in profile.designators if d.class_name == class_name],
        list(profile.designators),
    )
    return [
        colour for designator in next(choice for choice in choices if choice) for colour in designator.colours
    ]


def _share(image: np.ndarray, mask: np.ndarray, colours: list[Colour]) -> float:
    window = Crop.of_mask(mask)
    if window is None:
        return np.nan
    found = own_colour(to_ycrcb(window.cut(image)), colours)
    return np.nan if found is None else float(found[window.cut(mask)].mean())
