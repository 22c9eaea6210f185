"""Each measure on pictures small enough to reckon by hand, and the state that follows."""

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gotowce_dagster.config.params import GateParams, PropagationParams, read_params
from gotowce_dagster.propagation.base import Observation
from gotowce_dagster.propagation.gates import History, look_of, measure, scene_jump, state
from tests.conftest import ROOT

HEIGHT, WIDTH = 120, 160
SHIP, OTHER, SPACE = (200, 60, 40), (60, 200, 90), (20, 20, 40)


@pytest.fixture(scope="module")
def params() -> PropagationParams:
    return read_params(ROOT / "params.yaml").masks.propagation


def seen(x: float, y: float, width: int = 20, height: int = 12) -> Observation:
    mask = np.zeros((HEIGHT, WIDTH), bool)
    mask[round(y) : round(y) + height, round(x) : round(x) + width] = True
    return Observation(mask, 0.9, np.nan, 0.95)


def picture(*observations: Observation, colour: tuple[int, int, int] = SHIP) -> np.ndarray:
    image = np.full((HEIGHT, WIDTH, 3), SPACE, np.uint8)
    for one in observations:
        image[one.mask] = colour
    return image


def past(frames: int = 6, speed: float = 4.0, growth: float = 1.0, keep: int = 10) -> History:
    """An object of 20 x 12 pixels that flies to the right from x 10, y 40, one frame a unit of time."""
    history = History(usual_frames=keep)
    for index in range(frames):
        one = seen(10 + speed * index, 40, round(20 * growth**index), round(12 * growth**index))
        history.add(one, picture(one), index)
    return history


@pytest.mark.parametrize(
    ("found", "expected"),
    [
        pytest.param(seen(34, 40), 1.0, id="same size"),
        pytest.param(seen(34, 40, 20, 6), 0.5, id="half of it"),
        pytest.param(seen(34, 40, 40, 12), 0.5, id="twice as much"),
        pytest.param(seen(34, 40, 0, 0), 0.0, id="nothing"),
        pytest.param(seen(0, 0, 160, 100), 0.0, id="most of the frame"),
    ],
)
def test_area_is_compared_with_the_usual_one(found: Observation, expected: float) -> None:
    measures = measure(past(), found, picture(found), 6, None)
    assert measures["area_change"] == pytest.approx(expected)


def test_smooth_zoom_is_no_change() -> None:
    zoomed = seen(34, 40, round(20 * 1.1**6), round(12 * 1.1**6))
    grown = measure(past(growth=1.1), zoomed, picture(zoomed), 6, None)["area_change"]
    sudden = measure(past(), zoomed, picture(zoomed), 6, None)["area_change"]
    assert grown > 0.85
    assert sudden < 0.4


def test_the_end_of_a_zoom_is_no_change() -> None:
    history = past(growth=1.1)
    last = seen(34, 40, round(20 * 1.1**5), round(12 * 1.1**5))
    assert measure(history, last, picture(last), 6, None)["area_change"] == 1.0


@pytest.mark.parametrize(
    ("height", "expected"),
    [
        pytest.param(3, 0.5, id="less than when it was last seen"),
        pytest.param(6, 1.0, id="as when it was last seen"),
        pytest.param(9, 1.0, id="more of it"),
        pytest.param(12, 1.0, id="all of it"),
        pytest.param(24, 0.5, id="more than all of it"),
    ],
)
def test_half_hidden_object_may_come_out(height: int, expected: float) -> None:
    history, half, now = past(), seen(34, 40, 20, 6), seen(38, 40, 20, height)
    history.add(half, picture(half), 6)
    measures = measure(history, now, picture(now), 7, None)
    assert measures["area_change"] == pytest.approx(expected, rel=0.1)


@pytest.mark.parametrize(
    ("x", "y", "expected"),
    [
        pytest.param(34, 40, 1.0, id="where it flies"),
        pytest.param(54, 40, np.exp(-1), id="one size ahead"),
        pytest.param(34, 50, np.exp(-0.5), id="half a size aside"),
    ],
)
def test_motion_falls_with_distance_in_sizes(x: float, y: float, expected: float) -> None:
    found = seen(x, y)
    assert measure(past(), found, picture(found), 6, None)["motion"] == pytest.approx(expected)


def test_a_turn_is_followed() -> None:
    history = past(frames=6)
    for index in range(6, 10):
        one = seen(30, 40 + 8 * (index - 5))
        history.add(one, picture(one), index)
    ahead, straight_on = seen(30, 80), seen(46, 60)
    turned, strayed = (
        measure(history, one, picture(one), 10, None)["motion"] for one in (ahead, straight_on)
    )
    assert turned == pytest.approx(1)
    assert strayed < 0.5


def test_one_size_is_free_before_a_velocity_is_known() -> None:
    found = seen(28, 40)
    assert measure(past(frames=1), found, picture(found), 1, None)["motion"] == 1.0


def test_appearance_is_of_colours() -> None:
    found = seen(34, 40)
    own, other = (
        measure(past(), found, picture(found, colour=colour), 6, None)["appearance"]
        for colour in (SHIP, OTHER)
    )
    assert own == pytest.approx(1)
    assert other < 0.5


@pytest.mark.parametrize("beside", [pytest.param((54, 40), id="ahead"), pytest.param((34, 52), id="below")])
def test_appearance_falls_where_a_look_alike_touches(
    beside: tuple[int, int], params: PropagationParams
) -> None:
    found = seen(34, 40)
    measures = measure(past(), found, picture(found, seen(*beside)), 6, None)
    assert measures["appearance"] < params.gates["appearance"].sure
    assert state(measures, params.gates) == "doubtful"


@pytest.mark.parametrize(
    ("others", "is_like"),
    [
        pytest.param([], True, id="nobody is where it should be"),
        pytest.param([seen(34, 40)], False, id="it is still there"),
        pytest.param([seen(34, 90)], True, id="another is elsewhere"),
    ],
)
def test_a_mask_that_went_over_to_a_look_alike(
    others: list[Observation], is_like: bool, params: PropagationParams
) -> None:
    alike = seen(34, 60)
    appearance = measure(past(), alike, picture(alike, *others), 6, None)["appearance"]
    gate = params.gates["appearance"]
    assert (appearance >= gate.sure) is is_like
    assert (appearance < gate.lost) is not is_like


def test_a_part_of_the_object_looks_unlike_the_whole() -> None:
    whole, part = seen(34, 40), seen(34, 40, 10, 12)
    image = picture(whole)
    one, other = (measure(past(), each, image, 6, None)["appearance"] for each in (whole, part))
    assert other < one - 0.1


def test_detection_is_compared_by_pixels() -> None:
    found = seen(34, 40)
    assert measure(past(), found, picture(found), 6, seen(34, 46).mask)["detected"] == pytest.approx(1 / 3)
    assert np.isnan(measure(past(), found, picture(found), 6, None)["detected"])


def test_without_a_past_there_is_nothing_to_compare_with(params: PropagationParams) -> None:
    found = seen(34, 40)
    measures = measure(History(usual_frames=10), found, picture(found), 0, None)
    assert all(np.isnan(measures[name]) for name in ("area_change", "motion", "appearance"))
    assert state(measures, params.gates) == "sure"


@pytest.mark.parametrize("reverse", [False, True])
def test_a_doubt_lasts_some_frames(params: PropagationParams, reverse: bool) -> None:
    history = past(speed=0)
    if reverse:
        history = History(
            usual_frames=10, looks=[k.model_copy(update={"time_s": -k.time_s}) for k in history.looks]
        )
    found = seen(10, 40)
    states = [
        state(measure(history, found, picture(found), -time if reverse else time, None), params.gates)
        for time in range(6, 13)
    ]
    assert states == ["sure", *["doubtful"] * 4, "sure", "sure"]


@pytest.mark.parametrize(("least_step", "calm"), [(0.0, 0.0), (2.0, 1.0)], ids=["even", "uneven"])
def test_a_frame_more_between_two_is_no_doubt_after_it(least_step: float, calm: float) -> None:
    history, found = History(usual_frames=10, least_step=least_step), seen(10, 40)
    for time in (4, 5):
        history.add(found, picture(found), time)
    assert measure(history, found, picture(found), 7, None)["calm"] == calm


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        pytest.param({}, "sure", id="all passed"),
        pytest.param({"stability": 0.5}, "doubtful", id="one below sure"),
        pytest.param({"stability": 0.5, "motion": 0.4}, "doubtful", id="two below sure"),
        pytest.param({"stability": 0.1}, "lost", id="one below lost outweighs all"),
        pytest.param({"stability": np.nan, "motion": np.nan}, "sure", id="not known decides nothing"),
        pytest.param({"area_change": 0.0}, "lost", id="no mask"),
        pytest.param({"ungated": 0.0}, "sure", id="no gate"),
    ],
)
def test_gates_are_joined_by_and(changes: dict[str, float], expected: str) -> None:
    gates = {"stability": GateParams(sure=0.6, lost=0.2), "motion": GateParams(sure=0.5, lost=0.1)}
    assert state({"stability": 1.0, "motion": 1.0, "area_change": 1.0} | changes, gates) == expected


def test_only_the_last_looks_count() -> None:
    history = past(frames=9, keep=4)
    assert [look.time_s for look in history.looks] == [5, 6, 7, 8]


def test_an_empty_mask_leaves_no_look() -> None:
    history, empty = past(), seen(0, 0, 0, 0)
    history.add(empty, picture(), 6)
    assert len(history.looks) == 6
    assert look_of(empty, picture(), 6) is None


def test_a_place_without_a_past_is_an_error() -> None:
    with pytest.raises(ValueError, match="without a past"):
        History(usual_frames=3).expected(0)


def test_text_gives_the_same_history() -> None:
    history = past(speed=1.37)
    assert History.model_validate_json(history.model_dump_json()) == history


@given(
    x=st.integers(2, 120), y=st.integers(2, 90), width=st.integers(2, 36), height=st.integers(2, 26),
    time=st.floats(-50, 50),
)  # fmt: skip
def test_measures_are_shares(x: int, y: int, width: int, height: int, time: float) -> None:
    found = seen(x, y, width, height)
    measures = measure(past(), found, picture(found), time, None)
    for name in ("area_change", "motion", "appearance", "calm"):
        assert 0 <= measures[name] <= 1, name


@given(speed=st.floats(-3, 3), at=st.integers(-4, 12))
def test_expected_box_follows_a_straight_line(speed: float, at: int) -> None:
    history = History(usual_frames=10)
    for index in range(5):
        one = seen(60 + round(speed) * index, 40)
        history.add(one, picture(one), index)
    assert history.expected(at) == pytest.approx([60 + round(speed) * at, 40, 80 + round(speed) * at, 52])


def textured(seed: int) -> np.ndarray:
    rough = np.random.default_rng(seed).integers(0, 256, (24, 40, 3), np.uint8)
    return cv2.resize(rough, (640, 384), interpolation=cv2.INTER_CUBIC)


def _zoomed(image: np.ndarray) -> np.ndarray:
    height, width = image.shape[:2]
    middle = image[height // 3 : height - height // 3, width // 3 : width - width // 3]
    return cv2.resize(middle, (width, height))


def _object_moved(image: np.ndarray) -> np.ndarray:
    return cv2.circle(image.copy(), (300, 200), 60, (255, 255, 255), -1)


@pytest.mark.parametrize(
    ("after", "jumps"),
    [
        pytest.param(lambda image: image, False, id="nothing happened"),
        pytest.param(_object_moved, False, id="an object came near"),
        pytest.param(lambda image: np.roll(image, 50, axis=1), False, id="the camera turned"),
        pytest.param(lambda image: (0.7 * image).astype(np.uint8), False, id="it grew dark"),
        pytest.param(lambda _: textured(2), True, id="a cut"),
        pytest.param(_zoomed, True, id="a jump of zoom"),
        pytest.param(lambda image: image[:200], True, id="another size"),
    ],
)
def test_scene_jump(after, jumps: bool, params: PropagationParams) -> None:
    assert scene_jump(textured(1), after(textured(1)), params) is jumps
