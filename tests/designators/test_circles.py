import cv2
import numpy as np
import pytest

from gotowce_dagster.designators.circles import circles

_CENTRE, _RADIUS, _LINE = np.array([450, 350]), 120, 6


@pytest.mark.parametrize("seed", range(12))
def test_a_large_broken_ring_of_a_wide_line_is_found(seed: int) -> None:
    """Four arcs with ticks between them, turned, among stray pixels of their colour."""
    rng = np.random.default_rng(seed)
    mask = (rng.random((700, 900)) < 0.004).astype(np.uint8)
    x, y = _CENTRE.tolist()
    turn = rng.uniform(0, 90)
    for arc in range(4):
        cv2.ellipse(mask, (x, y), (_RADIUS, _RADIUS), turn + 90 * arc, 0, 52, 1, _LINE)
        to = np.deg2rad(turn + 90 * arc + 71)
        ends = [(_CENTRE + away * np.array([np.cos(to), np.sin(to)])).astype(int) for away in (115, 125)]
        cv2.line(mask, ends[0].tolist(), ends[1].tolist(), 1, _LINE)
    found = circles(mask, (17, 132), thickness=_LINE)
    assert any(
        np.hypot(*(circle.centre - _CENTRE)) < 3 and abs(circle.line - _RADIUS) < 4 for circle in found
    )
