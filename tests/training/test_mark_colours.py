import cv2
import numpy as np
import pytest

from gotowce_dagster.training.mark_colours import have_colour, tints
from gotowce_dagster.training.marks_pasted import Mark

_RED, _GREEN, _GREY = (220, 20, 30), (20, 200, 40), (150, 150, 150)
_BOX = np.array([[40.0, 40, 60, 60]])


def _mark(colour: tuple[int, int, int]) -> Mark:
    image = np.full((20, 20, 3), colour, np.uint8)
    alpha = np.zeros((20, 20), np.float32)
    alpha[:2] = 1
    image[2:] = 90
    return Mark(image, alpha, np.array([4.0, 4, 16, 16]))


def _arrow(*colours: tuple[int, int, int]) -> np.ndarray:
    """An arrow of thin lines on a dark blue sky, in one colour or half in another."""
    image = np.full((100, 100, 3), (5, 5, 20), np.uint8)
    cv2.line(image, (42, 42), (57, 50), colours[0], 1, cv2.LINE_AA)
    cv2.line(image, (42, 58), (57, 50), colours[-1], 1, cv2.LINE_AA)
    return image


@pytest.mark.parametrize(
    ("image", "found"),
    [
        (_arrow(_RED), True),
        (_arrow((90, 10, 14)), True),
        (_arrow(_RED, _GREY), False),
        (_arrow(_GREEN), False),
        (_arrow((200, 120, 30)), False),
        (_arrow((5, 5, 20)), False),
    ],
    ids=["its colour", "darker", "half of it grey", "another colour", "another hue", "nothing"],
)
def test_an_arrow_of_the_marks_colour_is_known(image: np.ndarray, found: bool) -> None:
    assert have_colour(image, _BOX, tints([_mark(_RED)])).tolist() == [found]


def test_any_of_several_marks_counts_and_grey_ones_do_not() -> None:
    both = tints([_mark(_RED), _mark(_GREEN), _mark(_GREY)])
    assert both.shape == (2, 2)
    assert have_colour(_arrow(_GREEN), _BOX, both).tolist() == [True]
    assert have_colour(_arrow(_GREY), _BOX, both).tolist() == [False]
    assert have_colour(_arrow(_GREY), _BOX, tints([_mark(_GREY)])).tolist() == [False]


@pytest.mark.parametrize("box", [[140.0, 40, 160, 60], [-50, -50, -40, -40], [50, 50, 50, 50]])
def test_a_box_without_pixels_has_no_colour(box: list[float]) -> None:
    assert have_colour(_arrow(_RED), np.array([box]), tints([_mark(_RED)])).tolist() == [False]
