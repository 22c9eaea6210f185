import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from gotowce_dagster.config.params import MasksParams
from gotowce_dagster.core.crops import Crop
from gotowce_dagster.core.masks import pairwise_mask_iou
from gotowce_dagster.segmenters.base import Candidate
from gotowce_dagster.segmenters.choose import (
    agreement,
    choose,
    designator_regions,
    measure,
    score,
    tidy,
    vote,
)
from gotowce_dagster.segmenters.shapes import shape
from tests.shipped import masks_params

SHAPE = (120, 160)
DESIGNATOR = np.array([60, 40, 100, 80], float)


def rectangle(x1: int, y1: int, x2: int, y2: int) -> np.ndarray:
    mask = np.zeros(SHAPE, bool)
    mask[y1:y2, x1:x2] = True
    return mask


def corners(thickness: int = 3, arm: int = 10) -> np.ndarray:
    """The mark: an L in each corner of the designator."""
    frame = rectangle(60, 40, 100, 80) & ~rectangle(
        60 + thickness, 40 + thickness, 100 - thickness, 80 - thickness
    )
    return frame & ~rectangle(60 + arm, 0, 100 - arm, 120) & ~rectangle(0, 40 + arm, 160, 80 - arm)


def candidate(mask: np.ndarray, prompt: str, score: float = 0.5, stability: float = 0.9) -> Candidate:
    return Candidate(mask, prompt, score, stability)


SHIP, SHIP_TOO = rectangle(76, 56, 84, 64), rectangle(76, 56, 84, 65)
HULL, HALF_HULL = rectangle(62, 44, 98, 76), rectangle(62, 44, 80, 76)
SQUARE = rectangle(60, 40, 100, 80)
SKY = rectangle(0, 0, 160, 120) & ~SQUARE


@pytest.mark.parametrize(
    ("candidates", "expected"),
    [
        pytest.param(
            [
                candidate(SHIP, "point@2"),
                candidate(SHIP_TOO, "point@3"),
                candidate(SHIP, "ring@3"),
                candidate(SQUARE, "box@2", score=0.99, stability=0.95),
                candidate(SQUARE, "box@3", score=0.99, stability=0.95),
            ],
            SHIP,
            id="small ship, though the model prefers the square between the corners",
        ),
        pytest.param(
            [
                candidate(HALF_HULL, "point@2", score=0.9),
                candidate(HULL, "point@3", score=0.6),
                candidate(HULL, "ring@2"),
                candidate(HULL, "box@2"),
            ],
            HULL,
            id="ship that fills its designator, though one point gives half of it",
        ),
        pytest.param(
            [
                candidate(SHIP, "point@2", stability=0.9),
                candidate(SHIP, "ring@2", stability=0.9),
                candidate(SKY, "point@2", score=0.99, stability=1.0),
                candidate(SKY, "ring@2", score=0.99, stability=1.0),
            ],
            SHIP,
            id="confident mask of the sky outside",
        ),
        pytest.param(
            [
                candidate(SHIP, "point@2", stability=0.8),
                candidate(SHIP, "ring@2", stability=0.8),
                candidate(corners(), "point@2", score=0.99, stability=1.0),
                candidate(corners(), "ring@2", score=0.99, stability=1.0),
            ],
            SHIP,
            id="corners of the bracket are no target",
        ),
        pytest.param(
            [
                candidate(SHIP, "point@2", stability=0.9),
                candidate(SHIP, "ring@2", stability=0.9),
                candidate(HULL, "point@2", stability=0.3),
                candidate(HULL, "ring@2", stability=0.3),
            ],
            SHIP,
            id="unstable mask loses",
        ),
        pytest.param([candidate(SHIP, "rim", np.nan, np.nan)], SHIP, id="one prompt without scores"),
    ],
)
def test_choose_selects_the_expected_mask(candidates: list[Candidate], expected: np.ndarray) -> None:
    for order in (candidates, candidates[::-1]):
        choice = choose(order, DESIGNATOR, masks_params())
        assert choice is not None
        assert np.array_equal(choice.candidate.mask, expected)


def test_choice_has_its_measures() -> None:
    half_out = rectangle(90, 50, 110, 60)
    choice = choose([candidate(half_out, "a"), candidate(half_out, "b")], DESIGNATOR, masks_params())
    assert choice is not None
    assert choice.fill == pytest.approx(200 / 1600)
    assert choice.inside == pytest.approx(0.5)
    assert choice.agreement == pytest.approx(1.0)


def test_neighbour_shapes_decide_between_equal_candidates() -> None:
    proposed = {"point@2": SHIP, "ring@2": SHIP, "point@3": HULL, "ring@3": HULL}
    undecided = [candidate(mask, prompt) for prompt, mask in proposed.items()]
    for known in (SHIP, HULL):
        choice = choose(undecided, DESIGNATOR, masks_params(), [shape(known, DESIGNATOR)])
        assert choice is not None
        assert np.array_equal(choice.candidate.mask, known)


def test_no_candidates_give_no_choice() -> None:
    assert choose([], DESIGNATOR, masks_params()) is None
    speck = rectangle(70, 70, 71, 71)
    assert choose([candidate(speck, "a"), candidate(speck & False, "b")], DESIGNATOR, masks_params()) is None


def test_vote_removes_a_pixel_of_one_candidate_in_five() -> None:
    candidates = [candidate(SHIP, name) for name in "abcd"] + [candidate(SHIP_TOO, "e", stability=1.0)]
    choice = choose(candidates, DESIGNATOR, masks_params())
    assert choice is not None
    assert np.array_equal(choice.candidate.mask, SHIP)


def test_too_few_voters_keep_the_best_mask() -> None:
    candidates = [candidate(SHIP_TOO, "a", stability=1.0), candidate(SHIP, "b"), candidate(SHIP, "c")]
    assert np.array_equal(vote(candidates, 0, masks_params(min_voters=4)), SHIP_TOO)


def test_candidates_unlike_the_best_have_no_vote() -> None:
    candidates = [candidate(SHIP, "a"), candidate(HULL, "b"), candidate(HULL, "c"), candidate(SHIP_TOO, "d")]
    half, most = (masks_params(majority=share, min_voters=2) for share in (0.5, 0.6))
    assert np.array_equal(vote(candidates, 0, half), SHIP_TOO)
    assert np.array_equal(vote(candidates, 0, most), SHIP)
    assert np.array_equal(vote(candidates, 1, most), HULL)


def test_measures_are_between_0_and_1() -> None:
    masks = [SHIP, HULL, SQUARE, SKY, corners()]
    table = measure([candidate(m, f"p{i}") for i, m in enumerate(masks)], DESIGNATOR, masks_params())
    assert table.loc[4, "mark_overlap"] == pytest.approx(1.0)
    assert table.loc[0, "mark_overlap"] == 0
    assert table.loc[3, "inside"] == 0
    assert table.loc[2, "fill"] == pytest.approx(1.0)
    assert (
        table.assign(score=score(table))[["inside", "mark_overlap", "agreement", "score"]]
        .stack()
        .between(0, 1)
        .all()
    )


@pytest.mark.parametrize(
    ("prompts", "expected"),
    [
        (["a", "b"], [0.5, 0.5]),
        (["a", "a"], [np.nan, np.nan]),
    ],
    ids=["two prompts", "masks of one prompt do not count"],
)
def test_agreement_of_two_prompts(prompts: list[str], expected: list[float]) -> None:
    iou = np.array([[1.0, 0.5], [0.5, 1.0]])
    assert agreement(iou, np.array(prompts)) == pytest.approx(expected, nan_ok=True)


def test_agreement_ignores_one_dissenting_prompt() -> None:
    iou = pairwise_mask_iou(np.stack([SHIP, SHIP, SHIP, SKY]))
    assert agreement(iou, np.array(["a", "b", "c", "d"])) == pytest.approx([1, 1, 1, 0])


@pytest.mark.parametrize(
    ("painted", "expected"),
    [
        pytest.param([(10, 10, 30, 30)], [(10, 10, 30, 30)], id="one piece is kept"),
        pytest.param([(10, 10, 30, 30), (50, 50, 53, 53)], [(10, 10, 30, 30)], id="a speck is dropped"),
        pytest.param(
            [(10, 10, 30, 30), (50, 50, 65, 65)],
            [(10, 10, 30, 30), (50, 50, 65, 65)],
            id="a large second piece is kept: one object, two pieces",
        ),
        pytest.param([(0, 0, 160, 120)], [(0, 0, 160, 120)], id="the whole frame"),
    ],
)
def test_tidy_pieces(painted: list[tuple[int, ...]], expected: list[tuple[int, ...]]) -> None:
    def union(rectangles: list[tuple[int, ...]]) -> np.ndarray:
        return np.logical_or.reduce([rectangle(*sides) for sides in rectangles])

    assert np.array_equal(tidy(union(painted), min_piece=0.2, max_hole=0.05), union(expected))


@pytest.mark.parametrize(
    ("gap", "near", "stays"),
    [(4, 0.25, True), (8, 0.25, False), (8, np.inf, True), (1, 0.0, False)],
    ids=["a wing behind a beam", "something else", "however far", "the largest alone"],
)
def test_tidy_far_pieces(gap: int, near: float, stays: bool) -> None:
    """The large piece is 20 pixels long."""
    hull, wing = rectangle(10, 10, 30, 20), rectangle(30 + gap, 10, 40 + gap, 20)
    expected = hull | wing if stays else hull
    assert np.array_equal(tidy(hull | wing, min_piece=0.2, max_hole=0.05, near=near), expected)


@pytest.mark.parametrize(("side", "filled"), [(3, True), (8, False)], ids=["small hole", "a real opening"])
def test_tidy_holes(side: int, filled: bool) -> None:
    ring = rectangle(10, 10, 30, 30)
    ring[15 : 15 + side, 15 : 15 + side] = False
    tidied = tidy(ring, min_piece=0.2, max_hole=0.05)
    assert tidied[16, 16] == filled
    assert not tidied[~rectangle(10, 10, 30, 30)].any()


@settings(max_examples=60)
@given(hnp.arrays(bool, (14, 17)), st.floats(0.05, 1))
def test_tidy_drops_small_pieces_and_fills_only_holes(mask: np.ndarray, min_piece: float) -> None:
    tidied = tidy(mask, min_piece, max_hole=0.1)
    assert tidied.any() == mask.any()
    _, _, before, _ = cv2.connectedComponentsWithStats(mask.astype(np.uint8), connectivity=8)
    _, _, after, _ = cv2.connectedComponentsWithStats(tidied.astype(np.uint8), connectivity=8)
    largest = before[1:, cv2.CC_STAT_AREA].max(initial=0)
    assert (after[1:, cv2.CC_STAT_AREA] >= min_piece * largest - 1e-9).all()
    window, before_window = Crop.of_mask(tidied), Crop.of_mask(mask)
    if window and before_window:
        assert (window.box[:2] >= before_window.box[:2]).all()
        assert (window.box[2:] <= before_window.box[2:]).all()


def test_regions_of_a_designator_cut_by_the_frame() -> None:
    window = Crop(0, 0, 40, 40)
    inside, mark = designator_regions(np.array([-20.0, 10, 20, 50]), window, band=0.1, arm=0.3)
    assert inside[:, :20].any(axis=0).all()
    assert not inside[:, 20:].any()
    assert mark[11, 19]
    assert not mark[30, 0], "its left corners are off the screen"


def test_choose_uses_the_params() -> None:
    big: MasksParams = masks_params(min_area_px=200)
    assert choose([candidate(SHIP, "a")], DESIGNATOR, big) is None
