"""Boxes too small to measure give no confidence, and numpy no warning."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gotowce_dagster.designators.arms import Search, arm_lengths
from gotowce_dagster.designators.bracket import find_marks
from gotowce_dagster.designators.corners import learn
from gotowce_dagster.designators.evidence import mark_mask, to_ycrcb
from gotowce_dagster.designators.measures import judge, mean, measure
from gotowce_dagster.designators.profile import Designator
from tests.designators.test_calibrate import Example, drawn
from tests.detectors.marks import TARGET, put_mark, sky
from tests.support.synthetic import Bracket as Look

pytestmark = pytest.mark.filterwarnings("error::RuntimeWarning")

WIDE = Designator.model_validate(
    TARGET.model_dump() | {"arm": (0.02, 0.5), "arm_px": 4.0, "gap": (0.1, 0.98), "size_px": (6.0, 0.0)}
)


@pytest.mark.parametrize(
    ("values", "axis", "expected"),
    [
        (np.array([[1.0, 3.0], [5.0, 7.0]]), 1, [2, 6]),
        (np.zeros((2, 0)), 1, [0.5, 0.5]),
        (np.zeros((4, 0, 3)), (1, 2), [0.5] * 4),
    ],
    ids=["as numpy", "empty", "empty along one of two"],
)
def test_mean(values: np.ndarray, axis: int | tuple[int, ...], expected: list[float]) -> None:
    assert mean(values, axis, empty=0.5).tolist() == expected


def test_a_line_of_no_length_has_no_arm() -> None:
    assert arm_lengths(np.zeros((4, 0)), 5).tolist() == [0, 0, 0, 0]


SIDE = st.integers(1, 12)


@settings(max_examples=60)
@given(x=st.integers(-20, 640), y=st.integers(-20, 360), width=SIDE, height=SIDE)
@pytest.mark.parametrize("designator", [TARGET, WIDE], ids=["usual", "wide"])
def test_small_boxes_anywhere_are_judged(
    designator: Designator, x: int, y: int, width: int, height: int
) -> None:
    scene = to_ycrcb(IMAGE)
    mask = mark_mask(scene, designator)
    search = Search.of(designator, mask.shape)
    measured = measure(scene, mask, np.array([x, y, x + width, y + height], float), designator, search)
    assert 0 <= judge(measured, designator) <= 1


@settings(max_examples=25)
@given(st.lists(st.tuples(st.integers(0, 600), st.integers(0, 320), st.integers(4, 40)), max_size=6))
def test_any_frame_is_searched(places: list[tuple[int, int, int]]) -> None:
    image = sky(seed=1)
    for x, y, side in places:
        image[y : y + side, x : x + 2] = image[y : y + 2, x : x + side] = (210, 40, 40)
    for designator in (TARGET, WIDE):
        assert all(0 <= mark.confidence <= 1 for mark in find_marks(to_ycrcb(image), designator, 0.0))


@pytest.mark.parametrize(
    "box", [[40, 40, 41, 60], [40, 40, 60, 41], [5, 5, 5.4, 5.4], [9, 9, 12, 12]], ids=str
)
def test_a_tiny_box_among_right_ones_is_left_out(box: list[float]) -> None:
    examples = drawn(Look(colour=(210, 40, 40), arm=0.25))
    tiny = Example(99, examples[0].image, np.array(box))
    assert learn([*examples, tiny], "mark", "ship").arm_px >= 3


IMAGE = sky(seed=2)
put_mark(IMAGE, 300, 150, 40, Look(colour=(210, 40, 40), arm=0.25))
