import numpy as np
import pytest

from gotowce_dagster.core.boxes import share_inside


def test_share_inside_is_of_the_box() -> None:
    mask = np.zeros((20, 20), bool)
    mask[:, 10:] = True
    boxes = np.array([[5.0, 0, 15, 10], [12, 0, 14, 4], [30, 30, 40, 40]])
    assert share_inside(mask, boxes) == pytest.approx([0.5, 1.0, 0.0])
