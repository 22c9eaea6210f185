"""Which of several candidates describes a mark best."""

from dataclasses import replace

import cv2
import numpy as np
import pytest

from gotowce_dagster.designators.choose import (
    Candidate,
    _against_each_other,
    _against_others,
    candidates,
)
from gotowce_dagster.designators.corners import learn
from gotowce_dagster.designators.evidence import to_ycrcb
from gotowce_dagster.designators.examples import Example
from gotowce_dagster.designators.sightings import SURE, marks
from tests.detectors.marks import TARGET, put_mark, sky
from tests.support.synthetic import Bracket

ONE_A_FRAME = [np.full((32, 32, 3), 50 * number, np.uint8) for number in range(4)]


def candidate(unmarked: float, elsewhere: float = 0.0) -> Candidate:
    return Candidate(TARGET, score=1.0, recall=1.0, iou=0.9, elsewhere=elsewhere, unmarked=unmarked)


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


def with_corners(places: list[tuple[int, int]]) -> np.ndarray:
    image = np.full((120, 160, 3), 40, np.uint8)
    for x, y in places:
        put_mark(image, x, y, 40, Bracket(colour=(60, 230, 60), arm=0.25))
    return to_ycrcb(image)


@pytest.mark.parametrize(
    ("unknown", "empty", "score", "unmarked", "elsewhere"),
    [
        ([[(20, 20)], []], [], 1.0, 0.5, 0.0),
        ([[(20, 20)]], [[]], 1.0, 1.0, 0.0),
        ([[(20, 20)]], [[(90, 60)], []], 0.875, 1.0, 0.5),
        ([[(20, 20), (90, 20), (20, 70), (90, 70)]], [], 0.375, 4.0, 0.0),
        ([], [], 1.0, 0.0, 0.0),
    ],
    ids=["in one of two", "none where none is", "one where none is", "too many", "no other frames"],
)
def test_what_is_found_where_a_human_saw_no_mark_is_wrong(
    unknown: list, empty: list, score: float, unmarked: float, elsewhere: float
) -> None:
    shown = [np.full((120, 160, 3), 40, np.uint8)]
    put_mark(shown[0], 60, 40, 40, Bracket(colour=(60, 230, 60), arm=0.25))
    look = learn([Example(0, shown[0], np.array([60.0, 40, 100, 80]))] * 3, "mark", "ship")
    known = candidate(0.0)
    others, without = ([with_corners(places) for places in frames] for frames in (unknown, empty))
    found = _against_others(replace(known, designator=look), others, without, [to_ycrcb(shown[0])])
    assert (found.score, found.unmarked, found.elsewhere) == (score, unmarked, elsewhere)


@pytest.mark.parametrize("outside", [0, 2, 3, 5])
def test_corners_are_corners_however_loosely_they_are_boxed(outside: int) -> None:
    places = [(20, 20), (90, 30), (60, 70), (30, 50)]
    shown, edges = [], np.array([-outside, -outside, outside, outside], float)
    for number, (x, y) in enumerate(places):
        image = sky(180, 140, seed=number)
        box = put_mark(image, x, y, 40, Bracket(colour=(60, 230, 60), arm=0.25))
        shown.append(Example(number, image, np.array(box, float) + edges))
    look = candidates(shown, "mark", "ship")[0].designator
    assert look.family == "corners"
    for example in shown:
        (found,) = marks(to_ycrcb(example.image), look, SURE)
        assert np.abs(found.box - example.box).max() <= 1


@pytest.mark.parametrize("outside", [0, 3, 5])
@pytest.mark.parametrize("gap", [0, 6], ids=["closed", "dashed"])
def test_frames_are_frames_however_loosely_they_are_boxed(outside: int, gap: int) -> None:
    shown, edges = [], np.array([-outside, -outside, outside, outside], float)
    for number, (x, y, side) in enumerate([(20, 20, 50), (90, 30, 60), (60, 70, 44), (30, 50, 72)]):
        image = sky(180, 160, seed=number)
        mask = np.zeros(image.shape[:2], np.uint8)
        cv2.rectangle(mask, (x, y), (x + side - 1, y + side - 1), 1, 2)
        for cut in range(10, side - 10 - gap, 10 + gap) if gap else ():
            mask[:, x + cut : x + cut + gap] = mask[y + cut : y + cut + gap] = 0
        image[mask > 0] = (60, 230, 60)
        box = np.array([x - 1, y - 1, x + side + 1, y + side + 1], float)
        shown.append(Example(number, image, box + edges))
    look = candidates(shown, "mark", "ship")[0].designator
    assert look.family == "frame"
    for example in shown:
        (found,) = marks(to_ycrcb(example.image), look, SURE)
        assert np.abs(found.box - example.box).max() <= 1.5
