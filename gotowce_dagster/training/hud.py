"""The parts of a game's screen that are HUD: panels that are static in several of its videos."""

from pathlib import Path

import numpy as np
import pandas as pd

from gotowce_dagster.labels.export import read_boxes
from gotowce_dagster.pictures.read import read_rgb
from gotowce_dagster.training.standouts import panels, share_inside, stand_still, usual_picture

_MEDIAN_OF, _LEAST_FRAMES = 25, 5
"""Most and fewest frames of a video from which the usual picture is computed."""
_SHARED = 0.5
"""Share of a game's videos in which a panel is static, and at least two of them if there are two."""
_STANDING = 0.1
"""Share of stationary labelled targets above which a stationary box is no evidence for HUD."""


def some_frames(frames: pd.DataFrame) -> pd.DataFrame:
    """Select evenly spaced rows of a video, at most as many as the usual picture needs."""
    return frames.iloc[np.unique(np.linspace(0, len(frames) - 1, _MEDIAN_OF).astype(int))]


def usual_of(dataset: Path, frames: pd.DataFrame) -> np.ndarray | None:
    """The median picture of a video, if it separates the HUD from the scene.

    Args:
        frames: rows of tables.PROVENANCE of one video.

    Returns:
        RGB uint8 (H, W, 3). None for too few frames, and where labelled targets are stationary too, because
        then the camera is.
    """
    if len(frames) < _LEAST_FRAMES:
        return None
    some = some_frames(frames)
    pictures = [read_rgb(dataset / image) for image in some["image"]]
    usual = usual_picture(pictures)
    still = [
        stand_still(picture, usual, boxes)
        for picture, boxes in zip(pictures, _boxes(dataset, some), strict=True)
    ]
    return None if _too_many(still) else usual


def hud_panels(dataset: Path, provenance: pd.DataFrame) -> dict[str, np.ndarray]:
    """The HUD of each game, by profile: bool (H, W), the panels that half of its videos share.

    A nebula is static in one video, where the camera is, but hardly at the same position in others. A panel
    may be missing in some: one that shows the target is, where nothing is targeted. Of a single video, all
    its panels count. A game without an entry has no panels, videos of different sizes, or labelled targets
    inside the panels.

    Args:
        provenance: rows of tables.PROVENANCE.
    """
    found: dict[str, np.ndarray] = {}
    rows = provenance[(provenance["split"] == "train") & (provenance["kind"] != "erased")]
    for profile, of_game in rows.groupby("profile"):
        masks, inside = [], []
        for _, frames in of_game.groupby("video"):
            if len(frames) < _LEAST_FRAMES:
                continue
            some = some_frames(frames)
            masks.append(panels([read_rgb(dataset / image) for image in some["image"]]))
            inside += [share_inside(masks[-1], boxes) > 0.5 for boxes in _boxes(dataset, some)]
        if masks and len({mask.shape for mask in masks}) == 1 and not _too_many(inside):
            found[str(profile)] = np.sum(masks, axis=0) >= max(_SHARED * len(masks), min(2, len(masks)))
    return found


def _boxes(dataset: Path, frames: pd.DataFrame) -> list[np.ndarray]:
    """The labelled targets of each frame, xyxy (n, 4)."""
    return [
        np.zeros((0, 4)) if row["kind"] == "unknown" else read_boxes(dataset, row["image"]).xyxy
        for row in frames.to_dict("records")
    ]


def _too_many(targets: list[np.ndarray]) -> bool:
    every = np.concatenate([np.zeros(0, bool), *targets])
    return bool(every.any() and every.mean() > _STANDING)
