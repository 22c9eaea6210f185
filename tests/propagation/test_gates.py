"""Each measure on images small enough to compute by hand, and the resulting state."""

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gotowce_dagster.config.params import GateParams, PropagationParams, read_params
from gotowce_dagster.propagation.base import Observation
from gotowce_dagster.propagation.gates import History, measure, scene_jump, snapshot_of, state
from tests.conftest import ROOT

HEIGHT, WIDTH = 120, 160
SHIP, OTHER, SPACE = (200, 60, 40), (60, 200, 90), (20, 20, 40)


@pytest.fixture(scope="module")
def params() -> PropagationParams:
    return read_params(ROOT / "params.yaml").masks.propagation


def observed(x: float, y: float, width: int = 20, height: int = 12) -> Observation:
    mask = np.zeros((HEIGHT, WIDTH), bool)
    mask[round(y) : round(y) + height, round(x) : round(x) + width] = True
    return Observation(mask, 0.9, np.nan, 0.95)


def image_of(*observations: Observation, colour: tuple[int, int, int] = SHIP) -> np.ndarray:
    image = np.full((HEIGHT, WIDTH, 3), SPACE, np.uint8)
    for one in observations:
        image[one.mask] = colour
    return image


def history_of(frames: int = 6, speed: float = 4.0, growth: float = 1.0, keep: int = 10) -> History:
    """An object of 20 x 12 pixels that moves right from x 10, y 40, one frame per unit of time."""
    history = History(usual_frames=keep)
    for index in range(frames):
        one = observed(10 + speed * index, 40, round(20 * growth**index), round(12 * growth**index))
        history.add(one, image_of(one), index)
    return history


@pytest.mark.parametrize(
    ("found", "expected"),
    [
        pytest.param(observed(34, 40), 1.0, id="same size"),
        pytest.param(observed(34, 40, 20, 6), 0.5, id="half of it"),
        pytest.param(observed(34, 40, 40, 12), 0.5, id="twice as much"),
        pytest.param(observed(34, 40, 0, 0), 0.0, id="nothing"),
        pytest.param(observed(0, 0, 160, 100), 0.0, id="most of the frame"),
    ],
)
def test_area_change_compares_with_the_usual_area(found: Observation, expected: float) -> None:
    measures = measure(history_of(), found, image_of(found), 6, None)
    assert measures["area_change"] == pytest.approx(expected)


def test_smooth_zoom_keeps_area_change_high() -> None:
    zoomed = observed(34, 40, round(20 * 1.1**6), round(12 * 1.1**6))
    grown = measure(history_of(growth=1.1), zoomed, image_of(zoomed), 6, None)["area_change"]
    sudden = measure(history_of(), zoomed, image_of(zoomed), 6, None)["area_change"]
    assert grown > 0.85
    assert sudden < 0.4


def test_end_of_a_zoom_keeps_area_change_high() -> None:
    history = history_of(growth=1.1)
    last = observed(34, 40, round(20 * 1.1**5), round(12 * 1.1**5))
    assert measure(history, last, image_of(last), 6, None)["area_change"] == 1.0


@pytest.mark.parametrize(
    ("height", "expected"),
    [
        pytest.param(3, 0.5, id="less than the last area"),
        pytest.param(6, 1.0, id="the last area"),
        pytest.param(9, 1.0, id="partly visible"),
        pytest.param(12, 1.0, id="fully visible"),
        pytest.param(24, 0.5, id="larger than its usual area"),
    ],
)
def test_object_may_leave_an_occlusion(height: int, expected: float) -> None:
    history, half, now = history_of(), observed(34, 40, 20, 6), observed(38, 40, 20, height)
    history.add(half, image_of(half), 6)
    measures = measure(history, now, image_of(now), 7, None)
    assert measures["area_change"] == pytest.approx(expected, rel=0.1)


@pytest.mark.parametrize(
    ("x", "y", "expected"),
    [
        pytest.param(34, 40, 1.0, id="predicted position"),
        pytest.param(54, 40, np.exp(-1), id="one size ahead"),
        pytest.param(34, 50, np.exp(-0.5), id="half a size aside"),
    ],
)
def test_motion_decreases_with_distance_in_object_sizes(x: float, y: float, expected: float) -> None:
    found = observed(x, y)
    assert measure(history_of(), found, image_of(found), 6, None)["motion"] == pytest.approx(expected)


def test_motion_follows_a_turn() -> None:
    history = history_of(frames=6)
    for index in range(6, 10):
        one = observed(30, 40 + 8 * (index - 5))
        history.add(one, image_of(one), index)
    ahead, straight_on = observed(30, 80), observed(46, 60)
    turned, strayed = (
        measure(history, one, image_of(one), 10, None)["motion"] for one in (ahead, straight_on)
    )
    assert turned == pytest.approx(1)
    assert strayed < 0.5


def test_one_size_of_distance_costs_nothing_before_the_velocity_is_known() -> None:
    found = observed(28, 40)
    assert measure(history_of(frames=1), found, image_of(found), 1, None)["motion"] == 1.0


def test_appearance_compares_colours() -> None:
    found = observed(34, 40)
    own, other = (
        measure(history_of(), found, image_of(found, colour=colour), 6, None)["appearance"]
        for colour in (SHIP, OTHER)
    )
    assert own == pytest.approx(1)
    assert other < 0.5


@pytest.mark.parametrize("beside", [pytest.param((54, 40), id="ahead"), pytest.param((34, 52), id="below")])
def test_appearance_decreases_where_a_look_alike_touches(
    beside: tuple[int, int], params: PropagationParams
) -> None:
    found = observed(34, 40)
    measures = measure(history_of(), found, image_of(found, observed(*beside)), 6, None)
    assert measures["appearance"] < params.gates["appearance"].sure
    assert state(measures, params.gates) == "doubtful"


@pytest.mark.parametrize(
    ("others", "is_like"),
    [
        pytest.param([], True, id="expected position is empty"),
        pytest.param([observed(34, 40)], False, id="object still at its expected position"),
        pytest.param([observed(34, 90)], True, id="look-alike elsewhere"),
    ],
)
def test_appearance_detects_a_switch_to_a_look_alike(
    others: list[Observation], is_like: bool, params: PropagationParams
) -> None:
    alike = observed(34, 60)
    appearance = measure(history_of(), alike, image_of(alike, *others), 6, None)["appearance"]
    gate = params.gates["appearance"]
    assert (appearance >= gate.sure) is is_like
    assert (appearance < gate.lost) is not is_like


def test_partial_mask_has_lower_appearance() -> None:
    whole, part = observed(34, 40), observed(34, 40, 10, 12)
    image = image_of(whole)
    one, other = (measure(history_of(), each, image, 6, None)["appearance"] for each in (whole, part))
    assert other < one - 0.1


def test_detected_is_the_iou_with_the_detection_mask() -> None:
    found = observed(34, 40)
    detection = observed(34, 46).mask
    assert measure(history_of(), found, image_of(found), 6, detection)["detected"] == pytest.approx(1 / 3)
    assert np.isnan(measure(history_of(), found, image_of(found), 6, None)["detected"])


def test_measures_of_history_are_nan_without_a_history(params: PropagationParams) -> None:
    found = observed(34, 40)
    measures = measure(History(usual_frames=10), found, image_of(found), 0, None)
    assert all(np.isnan(measures[name]) for name in ("area_change", "motion", "appearance"))
    assert state(measures, params.gates) == "sure"


@pytest.mark.parametrize("reverse", [False, True])
def test_doubt_lasts_several_frames(params: PropagationParams, reverse: bool) -> None:
    history = history_of(speed=0)
    if reverse:
        history = History(
            usual_frames=10, snapshots=[k.model_copy(update={"time_s": -k.time_s}) for k in history.snapshots]
        )
    found = observed(10, 40)
    states = [
        state(measure(history, found, image_of(found), -time if reverse else time, None), params.gates)
        for time in range(6, 13)
    ]
    assert states == ["sure", *["doubtful"] * 4, "sure", "sure"]


@pytest.mark.parametrize(("least_step", "calm"), [(0.0, 0.0), (2.0, 1.0)], ids=["even", "uneven"])
def test_uneven_frame_steps_cause_no_doubt(least_step: float, calm: float) -> None:
    history, found = History(usual_frames=10, least_step=least_step), observed(10, 40)
    for time in (4, 5):
        history.add(found, image_of(found), time)
    assert measure(history, found, image_of(found), 7, None)["calm"] == calm


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        pytest.param({}, "sure", id="all passed"),
        pytest.param({"stability": 0.5}, "doubtful", id="one below sure"),
        pytest.param({"stability": 0.5, "motion": 0.4}, "doubtful", id="two below sure"),
        pytest.param({"stability": 0.1}, "lost", id="one below lost outweighs all"),
        pytest.param({"stability": np.nan, "motion": np.nan}, "sure", id="unknown measures are ignored"),
        pytest.param({"area_change": 0.0}, "lost", id="no mask"),
        pytest.param({"ungated": 0.0}, "sure", id="no gate"),
    ],
)
def test_gates_are_combined_with_and(changes: dict[str, float], expected: str) -> None:
    gates = {"stability": GateParams(sure=0.6, lost=0.2), "motion": GateParams(sure=0.5, lost=0.1)}
    assert state({"stability": 1.0, "motion": 1.0, "area_change": 1.0} | changes, gates) == expected


def test_history_keeps_only_the_last_snapshots() -> None:
    history = history_of(frames=9, keep=4)
    assert [snapshot.time_s for snapshot in history.snapshots] == [5, 6, 7, 8]


def test_empty_mask_adds_no_snapshot() -> None:
    history, empty = history_of(), observed(0, 0, 0, 0)
    history.add(empty, image_of(), 6)
    assert len(history.snapshots) == 6
    assert snapshot_of(empty, image_of(), 6) is None


def test_expected_position_without_a_history_is_an_error() -> None:
    with pytest.raises(ValueError, match="history is empty"):
        History(usual_frames=3).expected(0)


def test_history_round_trips_through_json() -> None:
    history = history_of(speed=1.37)
    assert History.model_validate_json(history.model_dump_json()) == history


@given(
    x=st.integers(2, 120), y=st.integers(2, 90), width=st.integers(2, 36), height=st.integers(2, 26),
    time=st.floats(-50, 50),
)  # fmt: skip
def test_measures_are_between_0_and_1(x: int, y: int, width: int, height: int, time: float) -> None:
    found = observed(x, y, width, height)
    measures = measure(history_of(), found, image_of(found), time, None)
    for name in ("area_change", "motion", "appearance", "calm"):
        assert 0 <= measures[name] <= 1, name


@given(speed=st.floats(-3, 3), at=st.integers(-4, 12))
def test_expected_box_follows_a_straight_line(speed: float, at: int) -> None:
    history = History(usual_frames=10)
    for index in range(5):
        one = observed(60 + round(speed) * index, 40)
        history.add(one, image_of(one), index)
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
        pytest.param(lambda image: image, False, id="unchanged"),
        pytest.param(_object_moved, False, id="large object appears"),
        pytest.param(lambda image: np.roll(image, 50, axis=1), False, id="camera turns"),
        pytest.param(lambda image: (0.7 * image).astype(np.uint8), False, id="darker"),
        pytest.param(lambda _: textured(2), True, id="a cut"),
        pytest.param(_zoomed, True, id="a jump of zoom"),
        pytest.param(lambda image: image[:200], True, id="another size"),
    ],
)
def test_scene_jump(after, jumps: bool, params: PropagationParams) -> None:
    assert scene_jump(textured(1), after(textured(1)), params) is jumps
