import numpy as np
import pytest

from gotowce_dagster.training.standouts import stand_still, standouts, usual_picture


def _frame(*boxes: tuple[int, int, int, int], hud: bool = True) -> np.ndarray:
    image = np.full((240, 320, 3), 20, np.uint8)
    if hud:
        image[200:220, 40:70] = 200
    for x1, y1, x2, y2 in boxes:
        image[y1:y2, x1:x2] = 180
    return image


def _usual() -> np.ndarray:
    return usual_picture([_frame((10 * n, 20, 10 * n + 20, 40)) for n in range(9)])


@pytest.mark.parametrize(
    ("box", "found"),
    [((100, 60, 120, 76), 1), ((100, 60, 104, 64), 0), ((0, 60, 320, 100), 0)],
    ids=["as large as targets", "a star", "a beam across the picture"],
)
def test_what_is_a_candidate(box: tuple, found: int) -> None:
    boxes = standouts(_frame(box), _usual(), (16.0, 40.0), limit=12)
    assert len(boxes) == found
    if found:
        assert np.abs(boxes[0] - box).max() <= 2


def test_panels_are_none_unless_nothing_is_known_of_the_place() -> None:
    assert len(standouts(_frame(), _usual(), (16.0, 40.0), limit=12)) == 0
    assert len(standouts(_frame(), None, (16.0, 40.0), limit=12)) == 1


def test_the_largest_come_first() -> None:
    boxes = standouts(_frame((20, 60, 40, 80), (100, 60, 130, 80)), _usual(), (16.0, 40.0), limit=1)
    assert np.abs(boxes - [[100, 60, 130, 80]]).max() <= 2


def test_nothing_is_usual_without_frames() -> None:
    with pytest.raises(ValueError, match="no frames"):
        usual_picture([])


def test_icons_of_the_hud_stand_still() -> None:
    boxes = np.array([[40.0, 200, 70, 220], [100, 60, 120, 76], [200, 100, 220, 120]])
    assert stand_still(_frame((100, 60, 120, 76)), _usual(), boxes).tolist() == [True, False, True]
