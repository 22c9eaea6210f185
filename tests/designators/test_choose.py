"""Which of several candidates describes a mark best."""

import numpy as np
import pytest

from gotowce_dagster.core.colour import Colour
from gotowce_dagster.designators.choose import Candidate, _against_each_other
from gotowce_dagster.designators.profile import Designator

ANY = Designator(
    name="mark",
    class_name="ship",
    colours=(Colour(ycrcb=(150, 80, 120), tolerance=(30, 20, 20)),),
    arm=(0.1, 0.3),
    arm_px=8,
    gap=(0.4, 0.8),
    thickness_px=2,
    size_px=(18, 0),
    aspect=(0.9, 1.1),
)
ONE_A_FRAME = [np.full((32, 32, 3), 50 * number, np.uint8) for number in range(4)]


def candidate(unmarked: float, elsewhere: float = 0.0) -> Candidate:
    return Candidate(ANY, score=1.0, recall=1.0, iou=0.9, elsewhere=elsewhere, unmarked=unmarked)


@pytest.mark.parametrize(
    ("checked", "scores"),
    [
        ([candidate(0.75), candidate(1.0)], [0.875, 1.0]),
        ([candidate(0.0), candidate(1.0)], [0.5, 1.0]),
        ([candidate(1.0), candidate(3.0)], [1.0, 1.0]),
        ([candidate(0.5), candidate(1.0, elsewhere=0.5)], [1.0, 1.0]),
        ([candidate(0.0), candidate(0.0)], [1.0, 1.0]),
    ],
    ids=["misses some", "misses all", "more than a frame has", "the other finds what is none", "none shown"],
)
def test_what_misses_marks_in_other_frames_is_worth_less(
    checked: list[Candidate], scores: list[float]
) -> None:
    assert [each.score for each in _against_each_other(checked, ONE_A_FRAME)] == scores
