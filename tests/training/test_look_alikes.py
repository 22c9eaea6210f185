import numpy as np
import pytest

from gotowce_dagster.training.look_alikes import have_look_alikes

_STARS = [(20 + 34 * column, 20 + 30 * row) for column in range(9) for row in range(7)]
_SHIP = (150, 64, 174, 80)


def _sky(stars: list[tuple[int, int]], ship: bool = True) -> np.ndarray:
    """A frame of 240 by 320 px with soft spots of different brightness, and a ship of lines."""
    rng = np.random.default_rng(1)
    y, x = np.mgrid[:240, :320]
    sky = np.zeros((240, 320))
    for at_x, at_y in stars:
        sky += rng.uniform(60, 200) * np.exp(-((x - at_x) ** 2 + (y - at_y) ** 2) / 18)
    if ship:
        x1, y1, x2, y2 = _SHIP
        sky[y1:y2, x1:x2] = rng.integers(0, 255, (y2 - y1, x2 - x1))
    return np.repeat(sky.clip(0, 255).astype(np.uint8)[..., None], 3, axis=2)


def _around(x: int, y: int) -> list[float]:
    return [x - 6.0, y - 6, x + 6, y + 6]


@pytest.mark.parametrize(
    ("stars", "box", "found"),
    [
        (_STARS, _around(*_STARS[20]), True),
        (_STARS, _around(*_STARS[0]), True),
        (_STARS[:1], _around(*_STARS[0]), False),
        (_STARS, list(_SHIP), False),
        ([], [10.0, 10, 30, 30], False),
        (_STARS, [400.0, 400, 420, 420], False),
        (_STARS, [-50.0, -50, 500, 500], False),
    ],
    ids=["a star", "in a corner", "the only star", "a ship", "empty sky", "outside", "the whole frame"],
)
def test_what_is_seen_all_around_has_look_alikes(
    stars: list[tuple[int, int]], box: list[float], found: bool
) -> None:
    assert have_look_alikes(_sky(stars), np.array([box])).tolist() == [found]


def test_no_box_has_none() -> None:
    assert have_look_alikes(_sky(_STARS), np.zeros((0, 4))).shape == (0,)
