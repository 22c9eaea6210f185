import numpy as np
import pytest

from gotowce_dagster.segmenters.shapes import best_likeness, shape

BOX = np.array([20.0, 20, 60, 60])


def rectangle(x1: int, y1: int, x2: int, y2: int, size: int = 200) -> np.ndarray:
    mask = np.zeros((size, size), bool)
    mask[y1:y2, x1:x2] = True
    return mask


SHIP = shape(rectangle(30, 35, 50, 45), BOX)


@pytest.mark.parametrize(
    ("mask", "box", "low", "high"),
    [
        pytest.param(rectangle(30, 35, 50, 45), BOX, 0.99, 1, id="identical"),
        pytest.param(rectangle(33, 33, 53, 43), BOX, 0.95, 1, id="elsewhere in its designator"),
        pytest.param(rectangle(60, 70, 100, 90), BOX * 2, 0.9, 1, id="twice as large, with its designator"),
        pytest.param(rectangle(30, 35, 50, 50), BOX, 0.6, 0.72, id="half larger"),
        pytest.param(rectangle(20, 20, 60, 60), BOX, 0.1, 0.15, id="the square between the corners"),
        pytest.param(rectangle(0, 0, 200, 200), BOX, 0.0, 0.15, id="whole frame"),
    ],
)
def test_likeness(mask: np.ndarray, box: np.ndarray, low: float, high: float) -> None:
    assert low <= best_likeness(shape(mask, box), [SHIP]) <= high + 1e-6


def test_most_similar_neighbour_counts() -> None:
    square = shape(rectangle(20, 20, 60, 60), BOX)
    assert best_likeness(SHIP, [square, SHIP]) == pytest.approx(1)
    assert np.isnan(best_likeness(SHIP, []))
