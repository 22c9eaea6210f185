"""How many crops are looked at, with a stand-in that sees what is bright."""

from collections.abc import Sequence

import numpy as np
import pytest

from gotowce_dagster.segmenters.base import Answer
from gotowce_dagster.segmenters.prompts import PROMPTS, Prompt
from gotowce_dagster.segmenters.proposals import propose
from tests.shipped import masks_params

CLEAR, UNCLEAR, EMPTY = np.array([[20.0, 20, 60, 60], [100, 20, 140, 60], [20, 100, 60, 140]])


class Eyes:
    """Answers every prompt with what is bright, but takes more and more for one thing where it is grey."""

    name, weights, device = "eyes", "none", "cpu"

    def __init__(self) -> None:
        self.calls: list[int] = []

    def ask(self, crops: Sequence[np.ndarray], prompts: Sequence[Sequence[Prompt]]) -> list[list[Answer]]:
        self.calls.append(len(crops))
        return [
            [self._answer(crop, 40 * number) for number, _ in enumerate(asked)]
            for crop, asked in zip(crops, prompts, strict=True)
        ]

    def _answer(self, crop: np.ndarray, above: int) -> Answer:
        logits = np.where(crop[..., 0] > above + 10, 5.0, -5.0)[None].astype(np.float32)
        return Answer(logits, np.array([0.9]))


@pytest.fixture(scope="module")
def picture() -> np.ndarray:
    """A bright ship, one that fades outwards, and a place without any."""
    image = np.zeros((160, 160, 3), np.uint8)
    image[34:46, 32:48] = 255
    for level, half in ((30, 12), (70, 6), (255, 2)):
        image[40 - half : 40 + half, 120 - half : 120 + half] = level
    return image


@pytest.mark.parametrize(
    ("boxes", "second_look", "calls"),
    [
        pytest.param([CLEAR], 0.8, [1], id="clear at once"),
        pytest.param([UNCLEAR], 0.8, [1, 1], id="the prompts do not agree"),
        pytest.param([EMPTY], 0.8, [1, 1], id="nothing is found"),
        pytest.param([CLEAR, UNCLEAR, CLEAR, EMPTY], 0.8, [4, 2], id="only those in doubt"),
        pytest.param([CLEAR, UNCLEAR], 1.0, [2, 2], id="always"),
        pytest.param([UNCLEAR, EMPTY], 0.0, [2, 1], id="only where nothing is found"),
    ],
)
def test_what_is_clear_on_one_crop_is_not_looked_at_again(
    picture: np.ndarray, boxes: list[np.ndarray], second_look: float, calls: list[int]
) -> None:
    eyes = Eyes()
    params = masks_params().model_copy(update={"second_look": second_look})
    found = propose(eyes, picture, np.array(boxes), (2.0, 3.0), params)
    assert eyes.calls == calls
    looks = [len(candidates) / len(PROMPTS) for candidates in found]
    assert sum(looks) == sum(calls)
    assert [candidate.prompt for candidate in found[0]][: len(PROMPTS)] == [f"{name}@2" for name in PROMPTS]


def test_a_single_crop_is_looked_at_once(picture: np.ndarray) -> None:
    eyes = Eyes()
    propose(eyes, picture, np.array([UNCLEAR, EMPTY]), (3.0,), masks_params())
    assert eyes.calls == [2]
