"""Paste what flies by into training crops as background, in other colours and directions.

A frame shows few shots, of few colours, so that a model soon takes one of another colour for a target.
"""

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd

from gotowce_dagster.config.params import CropParams
from gotowce_dagster.core.boxes import evenly
from gotowce_dagster.pictures.read import read_rgb
from gotowce_dagster.training.pasting import Cutout, Scene, paste

_FRAMES, _OF_FRAME = 40, 4
"""Maximum number of frames of a game that distractors are cut from, and of distractors of a frame."""
_AROUND = 3
"""Pixels around a fly-by that belong to its glow, and tell what is behind it."""
_NOISE, _OPAQUE = 12, 60
"""Difference in levels from what is behind it of a pixel that shows nothing of a fly-by, and nothing else."""
_LEAST_PIXELS = 8
"""A fly-by with fewer opaque pixels is noise."""
_SCALE = 0.7, 1.5
"""Minimum and maximum size of a distractor relative to the original."""


def read_distractors(
    dataset: Path, provenance: pd.DataFrame, fly_bys: Mapping[tuple[str, int], np.ndarray]
) -> dict[str, list[Cutout]]:
    """The fly-bys of training frames, cut out, by profile.

    Args:
        provenance: rows of tables.PROVENANCE of the dataset.
        fly_bys: as from read_fly_bys.
    """
    rows = provenance[(provenance["split"] == "train") & (provenance["kind"] != "erased")]
    found: dict[str, list[Cutout]] = {}
    for profile, of_game in rows.groupby("profile"):
        frames = [row for row in of_game.to_dict("records") if (row["video"], row["frame_index"]) in fly_bys]
        for row in [frames[place] for place in evenly(len(frames), _FRAMES)]:
            image, boxes = read_rgb(dataset / row["image"]), fly_bys[row["video"], row["frame_index"]]
            cut = [_cutout(image, boxes[place]) for place in evenly(len(boxes), _OF_FRAME)]
            found.setdefault(str(profile), []).extend(one for one in cut if one is not None)
    return {profile: some for profile, some in found.items() if some}


def distract(
    scene: Scene, cutout: Cutout, params: CropParams, rng: np.random.Generator, hud: np.ndarray | None = None
) -> Scene:
    """The scene with a distractor pasted away from its targets, which stay the same.

    Args:
        hud: bool (H, W), the panels of the scene, where nothing is pasted; None: unknown.
    """
    settings = params.model_copy(update={"paste_scale": _SCALE})
    return replace(scene, image=paste(scene, cutout, settings, rng, hud).image)


def _cutout(image: np.ndarray, box: np.ndarray) -> Cutout | None:
    """What differs from the edge of a box; None if hardly anything does."""
    height, width = image.shape[:2]
    x1, y1 = (np.floor(box[:2]).astype(int) - _AROUND).clip(0).tolist()
    x2, y2 = np.minimum(np.ceil(box[2:]).astype(int) + _AROUND, [width, height]).tolist()
    part = image[y1:y2, x1:x2]
    edge = np.concatenate([part[0], part[-1], part[:, 0], part[:, -1]])
    differs = np.abs(part - np.median(edge, axis=0)).max(axis=2)
    alpha = np.clip((differs - _NOISE) / (_OPAQUE - _NOISE), 0, 1).astype(np.float32)
    return Cutout(part.copy(), alpha, 0) if int((alpha > 0.5).sum()) >= _LEAST_PIXELS else None
