"""Number of encoded crops, with a stand-in that segments bright pixels."""

import numpy as np
import pytest

from gotowce_dagster.segmenters.prompts import PROMPTS
from gotowce_dagster.segmenters.proposals import propose
from tests.shipped import masks_params
from tests.support.bright_pixels import BrightPixels

CLEAR, UNCLEAR, EMPTY = np.array([[20.0, 20, 60, 60], [100, 20, 140, 60], [20, 100, 60, 140]])


@pytest.fixture(scope="module")
def picture() -> np.ndarray:
    """A bright ship, one that fades outwards, and an empty area."""
    image = np.zeros((160, 160, 3), np.uint8)
    image[34:46, 32:48] = 255
    for level, half in ((30, 12), (70, 6), (255, 2)):
        image[40 - half : 40 + half, 120 - half : 120 + half] = level
    return image


@pytest.mark.parametrize(
    ("boxes", "second_look", "calls"),
    [
        pytest.param([CLEAR], 0.8, [1], id="clear on the first crop"),
        pytest.param([UNCLEAR], 0.8, [1, 1], id="prompts disagree"),
        pytest.param([EMPTY], 0.8, [1, 1], id="no mask"),
        pytest.param([CLEAR, UNCLEAR, CLEAR, EMPTY], 0.8, [4, 2], id="only doubtful ones"),
        pytest.param([CLEAR, UNCLEAR], 1.0, [2, 2], id="always"),
        pytest.param([UNCLEAR, EMPTY], 0.0, [2, 1], id="only without a mask"),
    ],
)
def test_further_crops_are_encoded_only_in_doubt(
    picture: np.ndarray, boxes: list[np.ndarray], second_look: float, calls: list[int]
) -> None:
    model = BrightPixels(above=10, step=40)
    params = masks_params().model_copy(update={"second_look": second_look})
    found = propose(model, picture, np.array(boxes), (2.0, 3.0), params)
    assert model.calls == calls
    looks = [len(candidates) / len(PROMPTS) for candidates in found]
    assert sum(looks) == sum(calls)
    assert [candidate.prompt for candidate in found[0]][: len(PROMPTS)] == [f"{name}@2" for name in PROMPTS]


def test_single_crop_is_encoded_once(picture: np.ndarray) -> None:
    model = BrightPixels(above=10, step=40)
    propose(model, picture, np.array([UNCLEAR, EMPTY]), (3.0,), masks_params())
    assert model.calls == [2]
