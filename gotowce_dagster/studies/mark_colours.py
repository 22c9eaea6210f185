"""Colours of the marks: values of their pixels in each channel, against those of the background.

A mark's pixels are those inside a detection that have a colour of its designator; where the profile
describes no designator, all pixels of the detection. Background is all outside the detections of a frame.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from gotowce_dagster.config.detector_settings import CHANNELS
from gotowce_dagster.core.boxes import BOX
from gotowce_dagster.designators.evidence import mask_of, to_ycrcb
from gotowce_dagster.designators.profile import Profile
from gotowce_dagster.designators.thresholds import Separation, histograms, separations

ALL = "all recordings"
_SMOOTHED_PX = 1
"""Compression spreads a mark's edge by about so much beyond its box."""


@dataclass(frozen=True, eq=False)
class Counts:
    """Histograms int (9, 256) of the pixels of one designator's marks, and of the background around them."""

    mark: np.ndarray
    background: np.ndarray

    def __add__(self, other: "Counts") -> "Counts":
        return Counts(self.mark + other.mark, self.background + other.background)


Groups = Mapping[tuple[str, str, str], Counts]
"""By profile, designator and video."""


def count(
    image: np.ndarray, detections: pd.DataFrame, profile: Profile, background_px: int
) -> dict[str, Counts]:
    """Count the pixels of one frame, by designator.

    Args:
        image: RGB uint8 (H, W, 3).
        detections: of this frame, columns of tables.DETECTIONS.
        background_px: number of background pixels, evenly spaced.
    """
    height, width = image.shape[:2]
    ycrcb, inside, marks = to_ycrcb(image), np.zeros((height, width), bool), {}
    for name, rows in detections.groupby("prompt"):
        own = np.zeros((height, width), bool)
        for box in rows[list(BOX)].to_numpy(float):
            x1, y1 = np.maximum(np.floor(box[:2]).astype(int) - _SMOOTHED_PX, 0)
            x2, y2 = np.ceil(box[2:]).astype(int) + _SMOOTHED_PX
            own[y1:y2, x1:x2] = True
        inside |= own
        colours = [c for each in profile.designators if each.name == name for c in each.colours]
        marks[str(name)] = own & (mask_of(ycrcb, colours) > 0) if colours else own
    around = image[~inside]
    some = around[:: max(len(around) // background_px, 1)]
    background = histograms(some)
    return {name: Counts(histograms(image[mark]), background) for name, mark in marks.items()}


def pooled(groups: Groups) -> dict[tuple[str, str, str], Counts]:
    """The groups, each designator's sum over all its recordings (ALL) first."""
    sums: dict[tuple[str, str, str], Counts] = {}
    for (profile, name, _), counts in groups.items():
        key = (profile, name, ALL)
        sums[key] = sums[key] + counts if key in sums else counts
    return sums | dict(groups)


def percentile_table(groups: Groups, percentiles: Sequence[int]) -> pd.DataFrame:
    """One row per group, channel, and mark or background, with the number of pixels and the percentiles."""
    rows = []
    for (profile, name, video), counts in pooled(groups).items():
        for kind, table in (("mark", counts.mark), ("background", counts.background)):
            for place, channel in enumerate(CHANNELS):
                values = percentiles_of(table[place], percentiles)
                rows.append((profile, name, video, channel, kind, int(table[place].sum()), *values))
    columns = ["profile", "designator", "video", "channel", "of", "pixels", *(f"p{p}" for p in percentiles)]
    return pd.DataFrame(rows, columns=columns)


def percentiles_of(counts: np.ndarray, percentiles: Sequence[int]) -> list[float]:
    """Percentiles of values with these counts, int (256,): the least value that reaches each; NaN of none."""
    total = counts.sum()
    if not total:
        return [np.nan] * len(percentiles)
    return np.searchsorted(np.cumsum(counts), np.array(percentiles) / 100 * total).astype(float).tolist()


def threshold_table(groups: Groups) -> pd.DataFrame:
    """One row per group and channel, the best channel of each group first."""
    rows = []
    for (profile, name, video), counts in pooled(groups).items():
        rows += [
            (profile, name, video, *_columns(found)) for found in separations(counts.mark, counts.background)
        ]
    kept = ["mark_kept", "background_kept"]
    columns = ["profile", "designator", "video", "channel", "at_least", "at_most", *kept, "score"]
    return pd.DataFrame(rows, columns=columns)


def _columns(found: Separation) -> tuple[str, float, float, float, float, float]:
    least, most = (
        np.nan if limit is None else limit for limit in (found.threshold.at_least, found.threshold.at_most)
    )
    return (found.threshold.channel, least, most, found.mark_kept, found.background_kept, found.score)


def movement(thresholds: pd.DataFrame) -> pd.DataFrame:
    """How the threshold of each designator's best channel moves between recordings.

    Returns:
        One row per designator: profile, designator, channel, side, ``of_all`` (over all recordings), the
        lowest and the highest of single recordings, and their number.
    """
    rows = []
    names = thresholds[["profile", "designator"]].drop_duplicates()
    for profile, name in names.itertuples(index=False):
        mine = thresholds[(thresholds["profile"] == profile) & (thresholds["designator"] == name)]
        best = mine[mine["video"] == ALL].iloc[0]
        side = "at_least" if pd.notna(best["at_least"]) else "at_most"
        own = mine[(mine["video"] != ALL) & (mine["channel"] == best["channel"])][side].dropna()
        low, high = (own.min(), own.max()) if len(own) else (np.nan, np.nan)
        rows.append((profile, name, best["channel"], side, best[side], low, high, len(own)))
    columns = ["profile", "designator", "channel", "side", "of_all", "lowest", "highest", "recordings"]
    return pd.DataFrame(rows, columns=columns)
