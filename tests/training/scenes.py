"""Small scenes and settings for tests of training crops."""

import numpy as np

from gotowce_dagster.config.params import CropParams
from gotowce_dagster.training.pasting import Scene

PARAMS = CropParams(
    px=64, count=40, per_frame=40, erased=0.75, away=0.3, standouts=0, pasted=(1, 2), paste_scale=(0.7, 1.4),
    foreign=0.5, marked=0.3, stretch=1.5, turn_deg=180, recolour=0.3, brightness=0.3,
)  # fmt: skip


def scene_of(*boxes: tuple[float, float, float, float], doubtful: tuple = ()) -> Scene:
    image = np.full((96, 160, 3), 30, np.uint8)
    for box in (*boxes, *doubtful):
        x1, y1, x2, y2 = map(int, box)
        image[y1:y2, x1:x2] = 220
    return Scene(
        image,
        np.array(boxes, float).reshape(-1, 4),
        np.zeros(len(boxes), int),
        np.array(doubtful, float).reshape(-1, 4),
    )
