import cv2
import numpy as np
import pytest

from gotowce_dagster.designators.base import Scene
from gotowce_dagster.designators.frame import reaches_corners


def drawn(side: int, gap_from: float, gap_to: float) -> tuple[Scene, np.ndarray]:
    """A square whose sides have a gap, in shares of a side."""
    mask = np.zeros((200, 200), np.uint8)
    box = np.array([40, 40, 40 + side, 40 + side])
    cv2.rectangle(mask, (40, 40), (39 + side, 39 + side), 1, 1)
    begin, end = (40 + round(side * share) for share in (gap_from, gap_to))
    mask[begin:end, :] = mask[:, begin:end] = 0
    return Scene(np.zeros((200, 200, 3), np.uint8), mask), box


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize(
    ("side", "gap_from", "gap_to", "fill"),
    [
        (80, 0.5, 0.5, 1.0),  # closed
        (80, 0.4, 0.6, 0.8),  # dashed
        (12, 0.5, 0.5, 1.0),  # quarters too short to be measured
    ],
)
def test_frames_reach_their_corners(side: int, gap_from: float, gap_to: float, fill: float) -> None:
    scene, box = drawn(side, gap_from, gap_to)
    assert reaches_corners([scene], [box], fill)


def test_arcs_do_not() -> None:
    mask = np.zeros((200, 200), np.uint8)
    cv2.ellipse(mask, (80, 80), (40, 40), 0, 0, 360, 1, 2)
    scene = Scene(np.zeros((200, 200, 3), np.uint8), mask)
    assert not reaches_corners([scene], [np.array([39, 39, 122, 122])], 0.4)
