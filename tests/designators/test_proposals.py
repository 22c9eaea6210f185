"""Boxes that corners propose."""

import numpy as np
import pytest

from gotowce_dagster.core.colour import Colour
from gotowce_dagster.designators.arms import Corners
from gotowce_dagster.designators.profile import Designator
from gotowce_dagster.designators.proposals import propose

ANY_SHAPE = Designator(
    name="mark",
    class_name="unit",
    colours=(Colour(ycrcb=(134, 65, 71), tolerance=(50, 44, 41)),),
    arm=(0.03, 0.281),
    arm_px=6,
    gap=(0.438, 0.941),
    arm_law="fixed",
    arm_longest_px=6,
    thickness_px=2,
    size_px=(8, 0),
    aspect=(0.25, 3),
)


@pytest.mark.parametrize("pairs", [0, 10, 18])
def test_pairs_of_corners_of_a_hud_do_not_crowd_out_a_mark_with_hidden_corners(pairs: int) -> None:
    mask = np.zeros((720, 1280), np.uint8)
    x1, y1, x2, y2 = 312, 537, 330, 566
    mask[y1, x1 : x1 + 6] = mask[y1, x2 - 6 : x2] = 1
    mask[y1 : y1 + 6, [x1, x2 - 1]] = mask[y2 - 6 : y2, [x1, x2 - 1]] = 1  # its lower corners are hidden
    hud = [
        ((40 + 60 * k, 20 + 3 * k), (70 + 60 * k, 60 + 3 * k)) for k in range(pairs)
    ]  # upper left and lower right
    xy = [(x1, y1), (x2 - 1, y1), *(corner for pair in hud for corner in pair)]
    corners = Corners(np.array(xy), np.array([0, 1, *([0, 3] * pairs)]), np.full(len(xy), 6.0))
    boxes = propose(corners, ANY_SHAPE, mask)
    assert (np.abs(boxes - [x1, y1, x2, y2]).max(axis=1) <= 1).any()
