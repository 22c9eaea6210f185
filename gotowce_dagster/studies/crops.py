"""Random crops around a box that grow: how much context a model sees."""

import numpy as np

from gotowce_dagster.core.crops import Crop


def offsets(size: tuple[int, int], steps: int) -> list[int]:
    """Maximum offsets from 1 pixel to the longer side of a frame less one, evenly spaced by ratio.

    Args:
        size: width and height of the frame, pixels.
    """
    return np.unique(np.geomspace(1, max(max(size) - 1, 1), steps).round().astype(int)).tolist()


def grown(box: np.ndarray, most: int, size: tuple[int, int], random: np.random.Generator) -> Crop:
    """A crop whose corners lie at most so far outside a box, each side drawn alone, inside the frame.

    Args:
        box: xyxy (4,), pixels.
        most: the maximum offset, pixels.
        size: width and height of the frame, pixels.
    """
    left, top, right, bottom = random.integers(0, most + 1, 4).tolist()
    x1, y1 = np.floor(box[:2]).astype(int) - np.array([left, top])
    x2, y2 = np.ceil(box[2:]).astype(int) + np.array([right, bottom])
    return Crop(max(int(x1), 0), max(int(y1), 0), min(int(x2), size[0]), min(int(y2), size[1]))
