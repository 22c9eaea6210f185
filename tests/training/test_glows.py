import numpy as np
import pytest

from gotowce_dagster.training.glows import are_round

_MIDDLE = 60.3, 50.7


def _spot(wide: float, high: float, spikes: float = 0.0, noise: float = 0.0) -> np.ndarray:
    """A frame of 100 by 120 px with a soft spot, perhaps with four spikes."""
    y, x = np.mgrid[:100, :120]
    across, down = np.abs(x - _MIDDLE[0]), np.abs(y - _MIDDLE[1])
    light = 220 * np.exp(-(across**2 / (2 * wide**2) + down**2 / (2 * high**2)))
    light += spikes * np.exp(-np.minimum(across, down)) * np.exp(-np.maximum(across, down) / 6)
    light += np.random.default_rng(1).normal(20, noise, light.shape)
    return np.repeat(light.clip(0, 255).astype(np.uint8)[..., None], 3, axis=2)


def _box(wide: float, high: float, off: float = 0.0) -> np.ndarray:
    x, y = _MIDDLE
    return np.array([[x - wide + off, y - high, x + wide + off, y + high]])


@pytest.mark.parametrize(
    ("image", "box", "found"),
    [
        (_spot(5, 5), _box(11, 11), True),
        (_spot(5, 5, noise=3), _box(11, 11), True),
        (_spot(3, 3, spikes=120), _box(12, 12), True),
        (_spot(5, 5), _box(11, 8, off=4), True),
        (_spot(7, 3), _box(15, 7), False),
        (_spot(9, 4) // 2 + _spot(4, 4) // 2, _box(12, 9), False),
        (np.full((100, 120, 3), 20, np.uint8), _box(11, 11), False),
        (_spot(5, 5), _box(11, 11) + 500, False),
        (_spot(5, 5), _box(500, 500), False),
    ],
    ids=[
        "a star", "in noise", "with spikes", "a box beside its middle", "an ellipse", "a ship with wings",
        "an empty sky", "outside", "the whole frame",
    ],
)  # fmt: skip
def test_what_looks_the_same_when_turned_is_round(image: np.ndarray, box: np.ndarray, found: bool) -> None:
    assert are_round(image, box).tolist() == [found]


def test_no_box_is_round() -> None:
    assert are_round(_spot(5, 5), np.zeros((0, 4))).shape == (0,)
