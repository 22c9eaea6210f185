"""Corners with arms of fixed and of proportional length, on marks from half to twice the examples' size."""

from pathlib import Path

import cv2
import numpy as np
import pytest
import supervision as sv

from gotowce_dagster.designators.corners import _arm_law, learn
from gotowce_dagster.designators.examples import Example
from gotowce_dagster.designators.profile import Profile, read_profile
from gotowce_dagster.detectors.local.bracket import Bracket
from tests.detectors.marks import compressed, confidences, put_mark, sky
from tests.support.synthetic import Bracket as Look

EXAMPLES = [(60, 50, 42), (400, 200, 46), (250, 130, 44), (500, 40, 44), (120, 260, 45)]


def look(side: int, law: str, arm_px: int) -> Look:
    share = arm_px / side if law == "fixed" else arm_px / 44
    return Look(colour=(60, 220, 70), arm=share, thickness=2 if arm_px > 5 else 1)


@pytest.mark.slow
@pytest.mark.parametrize("law", ["fixed", "proportional"])
@pytest.mark.parametrize("arm_px", [7, 10])
def test_marks_from_half_to_twice_the_size_are_found(law: str, arm_px: int) -> None:
    examples = []
    for number, (x, y, side) in enumerate(EXAMPLES):
        image = sky(seed=number)
        box = put_mark(image, x, y, side, look(side, law, arm_px))
        examples.append(Example(number, compressed(image), box))
    designator = learn(examples, "mark", "ship")
    assert designator.arm_law == "either"  # sizes alike cannot tell
    detector = Bracket(Profile(name="p", designators=(designator,)))
    missed = []
    for side in (24, 26, 30, 35, 44, 60, 75, 88, 92):
        for number, (x, y) in enumerate([(100, 60), (300, 150), (420, 230)]):
            image = sky(seed=50 + number)
            box = put_mark(image, x, y, side, look(side, law, arm_px))
            found = detector.detect([compressed(image)])[0]
            boxes = found.xyxy[confidences(found) >= 0.5]
            if len(boxes) != 1 or sv.box_iou_batch(box[None], boxes)[0, 0] < 0.8:
                missed.append((side, number))
    assert len(missed) <= 1, missed


@pytest.mark.parametrize(
    ("arms", "sides", "law"),
    [
        ([5, 5, 6, 5], [24, 182, 30, 90], "fixed"),
        ([6, 45, 8, 22], [24, 182, 32, 90], "proportional"),
        ([10, 11, 10], [43, 45, 44], "either"),
    ],
)
def test_sizes_far_apart_tell_how_arms_grow(arms: list[float], sides: list[float], law: str) -> None:
    assert _arm_law(np.array(arms, float), np.array(sides, float)) == law


@pytest.mark.slow
def test_ground_of_which_the_sides_are_full_is_not_taken_for_the_mark() -> None:
    """Nearly all of each side is gap: what lies there is soil, and soil is everywhere."""
    rng = np.random.default_rng(3)
    examples = []
    for number, (x, y) in enumerate([(40, 60), (200, 100), (300, 40)]):
        grain = rng.normal(0, 16, (360, 640, 1))
        image = np.clip(np.array([150, 90, 55]) + grain, 0, 255).astype(np.uint8)
        box = put_mark(image, x, y, 198, Look(colour=(60, 230, 60), arm=6 / 198))
        examples.append(Example(number, compressed(image), box))
    designator = learn(examples, "mark", "building")
    assert designator.arm_px == pytest.approx(6, abs=1)
    detector = Bracket(Profile(name="p", designators=(designator,)))
    for example in examples:
        found = detector.detect([example.image])[0]
        assert sv.box_iou_batch(example.box[None], found.xyxy[:1])[0, 0] >= 0.95
        assert len(found) == 1


def test_order_line_and_pointer_move_no_side() -> None:
    examples = []
    for number, (x, y) in enumerate([(60, 50), (400, 200), (250, 130), (500, 40)]):
        image = sky(seed=number)
        box = put_mark(image, x, y, 40, Look(colour=(60, 230, 60), arm=0.2))
        examples.append(Example(number, compressed(image), box))
    detector = Bracket(Profile(name="p", designators=(learn(examples, "mark", "unit"),)))
    image = sky(seed=9)
    box = put_mark(image, 300, 150, 40, Look(colour=(60, 230, 60), arm=0.2))
    cv2.line(image, (100, 190), (320, 170), (60, 230, 60), 2)  # an order line into the mark
    pointer = np.array([[336, 186], [360, 196], [346, 212]])
    cv2.fillPoly(image, [pointer], (210, 210, 210))
    cv2.polylines(image, [pointer], True, (0, 0, 0), 2)
    found = detector.detect([compressed(image)])[0]
    assert np.abs(found.xyxy[0] - box).max() <= 2


GREEN = Look(colour=(60, 230, 60), arm=0.2)


@pytest.fixture(scope="module")
def green() -> Bracket:
    """A detector that has learned arms of 8 px from marks of 40 px."""
    examples = []
    for number, (x, y) in enumerate([(60, 50), (400, 200), (250, 130), (500, 40)]):
        image = sky(seed=number)
        box = put_mark(image, x, y, 40, GREEN)
        examples.append(Example(number, compressed(image), box))
    return Bracket(Profile(name="p", designators=(learn(examples, "mark", "unit"),)))


def _sure(detector: Bracket, image: np.ndarray) -> np.ndarray:
    found = detector.detect([compressed(image)])[0]
    return found.xyxy[confidences(found) >= 0.5]


@pytest.mark.parametrize("side", [24, 40, 90])
@pytest.mark.parametrize("corner", range(4))
def test_mouse_pointer_over_a_corner_shrinks_no_box(green: Bracket, side: int, corner: int) -> None:
    for tip in ((-3, -3), (-8, -8), (-1, -12), (-10, -2), (2, 2)):
        image = sky(seed=9)
        box = put_mark(image, 300, 150, side, Look(colour=GREEN.colour, arm=8 / side))
        at = np.array([box[2 * (corner % 2)], box[1 + 2 * (corner // 2)]]) + tip
        pointer = (at + np.array([[0, 0], [0, 26], [7, 19], [18, 18]])).astype(np.int32)
        cv2.fillPoly(image, [pointer], (225, 225, 225))
        cv2.polylines(image, [pointer], True, (10, 10, 10), 1, cv2.LINE_AA)
        found = _sure(green, image)
        # Of a mark smaller than the pointer more than a corner may be hidden.
        assert len(found) == 1 or (side == 24 and not len(found)), tip
        assert np.abs(found - box).max(initial=0) <= 2, tip


@pytest.mark.parametrize("side", [24, 40, 90])
@pytest.mark.parametrize("thickness", [1, 2])
@pytest.mark.parametrize("edge", range(4))
def test_order_line_that_touches_a_side_moves_none(
    green: Bracket, side: int, thickness: int, edge: int
) -> None:
    for share in (0.15, 0.3, 0.5, 0.7, 0.9):
        image = sky(seed=9)
        box = put_mark(image, 300, 150, side, Look(colour=GREEN.colour, arm=8 / side))
        inside = box[:2] + share * side
        begin = inside.copy()
        inside[edge % 2], begin[edge % 2] = (
            box[edge] + (1, 1, -2, -2)[edge],
            box[edge] + 80 * (-1, 1)[edge // 2],
        )
        begin[1 - edge % 2] += 20
        cv2.line(image, begin.astype(int).tolist(), inside.astype(int).tolist(), GREEN.colour, thickness)
        found = _sure(green, image)
        assert len(found) == 1, share
        assert np.abs(found - box).max() <= 2, share


@pytest.mark.slow
@pytest.mark.parametrize("height", [720, 1080, 2160])
@pytest.mark.parametrize("law", ["fixed", "proportional"])
def test_many_marks_of_all_sizes_are_found_on_any_screen(height: int, law: str) -> None:
    scale = height / 720
    width, part = height * 16 // 9, round(200 * scale)  # examples need no more than their surroundings
    thick = max(round(2 * scale), 2)

    def mark(image: np.ndarray, x: int, y: int, side: int) -> np.ndarray:
        arm = 10 / side if law == "fixed" else 10 / 44
        look = Look(colour=(60, 220, 70), arm=arm, thickness=thick)
        return put_mark(image, round(x * scale), round(y * scale), round(side * scale), look)

    examples = []
    for number, (x, y, side) in enumerate(EXAMPLES):
        image = sky(part, part, seed=number)
        box = mark(image, x % 100, y % 100, side)
        examples.append(Example(number, compressed(image), box))
    detector = Bracket(Profile(name="p", designators=(learn(examples, "mark", "ship"),)))
    image = sky(width, height, seed=50)
    places = [(100, 60, 24), (300, 90, 30), (420, 330, 44), (700, 120, 60), (900, 400, 75), (200, 500, 90)]
    drawn = np.stack([mark(image, *place) for place in places])
    found = _sure(detector, image)
    assert len(found) == len(drawn)
    assert sv.box_iou_batch(drawn, found).max(axis=1).min() >= 0.8


def test_profiles_of_before_read_as_they_were() -> None:
    root = Path(__file__).parents[2]
    for name in ("naev", "oolite"):
        for designator in read_profile(root / "data" / "profiles" / f"{name}.toml").designators:
            assert designator.family == "corners"
            assert designator.arm_law is None
            assert designator.small is None
            assert designator.longest_arm_px(100.0) == pytest.approx(140 * designator.arm[1] + 2)
