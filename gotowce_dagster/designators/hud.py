"""Parts of the HUD that look like a mark: they stand still while marks move."""

from collections.abc import Sequence

import numpy as np

from gotowce_dagster.designators.base import blobs_of, closed
from gotowce_dagster.designators.bracket import STILL

NEARLY_ALL = 0.8
"""Share of the frames in which a part of the HUD shows the same."""


def still(found: Sequence[Sequence[np.ndarray]], boxes: Sequence[np.ndarray]) -> list[np.ndarray]:
    """Boxes found at one place in most frames, where the marks of the examples move.

    Args:
        found: boxes xyxy (4,) of each frame.
        boxes: of the examples.
    """
    if len(found) < 3 or not is_moving(boxes):
        return []
    places: list[tuple[np.ndarray, set[int]]] = []
    for number, frame in enumerate(found):
        for box in frame:
            near = [seen for place, seen in places if np.abs(place - box).max() <= STILL]
            if near:
                near[0].add(number)
            else:
                places.append((box, {number}))
    return [place for place, seen in places if len(seen) >= max(3, 0.5 * len(found))]


def is_moving(boxes: Sequence[np.ndarray]) -> bool:
    return bool(np.ptp(np.stack(boxes), axis=0).max() > 12)


def still_regions(
    masks: Sequence[np.ndarray], boxes: Sequence[np.ndarray], join: int = 12, most: float = 0.08
) -> list[np.ndarray]:
    """Boxes xyxy (4,) of bars and text near the screen's edges that stand still in nearly all frames, the
    largest first.

    Args:
        masks: bool (H, W) of each frame.
        boxes: of the examples; a region that touches one of them may be the mark's.
        join: pixels up to which letters and bars are of one region.
        most: share of a frame that a region covers at most.
    """
    fixed = np.mean(masks, axis=0) >= NEARLY_ALL
    height, width = fixed.shape
    joined = closed(fixed.astype(np.uint8), join)
    blobs = blobs_of(joined, least=200)
    found = []
    for row in np.argsort(-blobs.area, kind="stable"):
        box = blobs.boxes[row]
        area = float(np.prod(box[2:] - box[:2]))
        # What is hollow is the border of a panel or of the screen, in which marks move.
        dense = blobs.area[row] >= 0.5 * area
        apart = all(((box[2:] < own[:2]) | (own[2:] < box[:2])).any() for own in boxes)
        # Elsewhere it may be the scene of a camera that stands still.
        across, down = box[[0, 2]] / width, box[[1, 3]] / height
        aside = min(across[1], 1 - across[0]) <= 0.25 or min(down[1], 1 - down[0]) <= 0.2
        if dense and apart and aside and area <= most * fixed.size:
            found.append(box)
    return found[:8]


def is_at(box: np.ndarray, known: Sequence[np.ndarray]) -> bool:
    return any(np.abs(box - place).max() <= STILL for place in known)
