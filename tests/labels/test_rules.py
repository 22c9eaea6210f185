from typing import Any

import cv2
import numpy as np
import pandas as pd
import pytest

from gotowce_dagster.core import rle
from gotowce_dagster.labels.rules import RULES
from tests.shipped import labels_params

HEIGHT, WIDTH = 200, 300


def candidate(mask: np.ndarray | None = None, **changes: Any) -> dict[str, Any]:
    """A faultless candidate: a disc of 40 pixels in the middle of a designator of 80."""
    if mask is None:
        mask = np.zeros((HEIGHT, WIDTH), np.uint8)
        cv2.circle(mask, (150, 100), 20, 1, -1)
    x, y, width, height = cv2.boundingRect(mask.astype(np.uint8))
    return {
        "frame_index": 0, "time_s": 0.0, "object_id": "0/0", "confidence": 0.95, "visible_corners": 4,
        "x1": float(x), "y1": float(y), "x2": float(x + width), "y2": float(y + height),
        "designator_x1": 110.0, "designator_y1": 60.0, "designator_x2": 190.0, "designator_y2": 140.0,
        "rle": rle.encode(mask.astype(bool)), "height": HEIGHT, "width": WIDTH,
        "fill": float(mask.sum()) / 6400, "inside": 1.0, "mark_overlap": 0.0, "own_colour": 0.0,
        "agreement": 0.9, "stability": 0.9, "relative_sharpness": 1.0, "state": None, "class_name": "ship",
        "votes": None, "silent": frozenset(),
    } | changes  # fmt: skip


def rectangle(x1: int, y1: int, x2: int, y2: int) -> np.ndarray:
    mask = np.zeros((HEIGHT, WIDTH), bool)
    mask[y1:y2, x1:x2] = True
    return mask


def scores(name: str, *rows: dict[str, Any]) -> list[float]:
    return np.asarray(RULES[name](pd.DataFrame(rows)), float).tolist()


def track(fills: list[float], object_id: str = "0/0") -> list[dict[str, Any]]:
    return [
        candidate(frame_index=n, time_s=n / 2, fill=fill, object_id=object_id) for n, fill in enumerate(fills)
    ]


def vote(detector: str, moved: float = 0.0, class_name: str = "ship") -> dict[str, Any]:
    """For the faultless candidate's designator, moved to the right."""
    box = {"x1": 110.0 + moved, "y1": 60.0, "x2": 190.0 + moved, "y2": 140.0}
    return {"detector": detector, "class_name": class_name, "confidence": 0.9, **box}


@pytest.mark.parametrize(
    ("votes", "expected"),
    [
        (None, (1, 1, 1)),
        ([vote("a"), vote("b"), vote("c")], (1, 1, 1)),
        ([vote("a")], (1 / 3, 1, 1)),
        ([vote("a"), vote("b"), vote("c", class_name="rock")], (1, 2 / 3, 1)),
        ([vote("a"), vote("b", moved=40)], (2 / 3, 1, 1 / 3)),
    ],
    ids=["one detector", "all agree", "one found it alone", "another class", "another box"],
)
def test_each_kind_of_disagreement_has_its_rule(
    votes: list[dict[str, Any]] | None, expected: tuple[float, ...]
) -> None:
    everyone = candidate(votes=[vote("a"), vote("b"), vote("c")])
    rows = [everyone, candidate(votes=votes)]
    found = [scores(name, *rows)[1] for name in ("votes", "same_class", "same_box")]
    assert found == pytest.approx(expected)
    assert [scores(name, everyone) for name in ("votes", "same_class", "same_box")] == [[1.0]] * 3


@pytest.mark.parametrize(
    ("silent", "expected"),
    [({"c"}, 1 / 2), ({"b", "c"}, 1), ({"a", "b", "c"}, 1), ({"a", "b"}, 1 / 2)],
    ids=["one is silent", "all others are", "the finder answered in part", "so did it, and one has looked"],
)
def test_detectors_without_a_response_are_not_counted_as_missing(silent: set[str], expected: float) -> None:
    everyone = candidate(votes=[vote("a"), vote("b"), vote("c")])
    alone = candidate(votes=[vote("a")], silent=frozenset(silent))
    assert scores("votes", everyone, alone) == pytest.approx([1, expected])


@pytest.mark.parametrize("name", RULES)
def test_a_faultless_candidate_passes_every_rule(name: str) -> None:
    rule = labels_params().rules[name]
    assert scores(name, candidate())[0] >= rule.threshold


@pytest.mark.parametrize(
    ("name", "fault"),
    [
        ("confidence", {"confidence": 0.4}),
        ("agreement", {"agreement": 0.5}),
        ("stability", {"stability": 0.4}),
        ("inside", {"inside": 0.7}),
        ("off_mark", {"mark_overlap": 0.6}),
        ("own_colour", {"own_colour": 0.94}),
        ("room", {"fill": 0.9}),
        ("centred", {"x1": 150.0, "x2": 188.0}),
        ("size", {"x2": 132.0}),
        ("whole", {"x1": 0.0}),
        ("whole", {"y2": float(HEIGHT)}),
        ("corners", {"visible_corners": 3}),
        ("unclipped", {"rle": rle.encode(rectangle(130, 80, 170, 120))}),
        ("sharp", {"relative_sharpness": 0.1}),
    ],
    ids=lambda value: value if isinstance(value, str) else "-".join(value),
)
def test_each_fault_fails_its_rule(name: str, fault: dict[str, Any]) -> None:
    rule = labels_params().rules[name]
    assert scores(name, candidate(**fault))[0] < rule.threshold


@pytest.mark.parametrize(
    ("name", "unknown"),
    [
        ("agreement", {"agreement": np.nan}),
        ("stability", {"stability": np.nan}),
        ("own_colour", {"own_colour": np.nan}),
        ("corners", {"visible_corners": np.nan}),
        ("sharp", {"relative_sharpness": np.nan}),
    ],
)
def test_missing_values_do_not_fail_a_rule(name: str, unknown: dict[str, Any]) -> None:
    assert scores(name, candidate(**unknown)) == [1.0]


@pytest.mark.parametrize("name", RULES)
def test_no_candidates_no_scores(name: str) -> None:
    assert len(RULES[name](pd.DataFrame([candidate()]).iloc[:0])) == 0


def test_a_small_target_may_be_straight() -> None:
    assert scores("unclipped", candidate(rectangle(145, 95, 155, 103))) == [1.0]


def test_a_target_behind_a_panel_ends_on_a_line() -> None:
    disc = cv2.circle(np.zeros((HEIGHT, WIDTH), np.uint8), (150, 100), 30, 1, -1)
    free, hidden = disc.copy(), disc.copy()
    hidden[:, 155:] = 0
    assert scores("unclipped", candidate(free))[0] > 0.7
    assert scores("unclipped", candidate(hidden))[0] < 0.1


class TestUsualSize:
    def test_a_leap_stands_out_and_its_neighbours_do_not(self) -> None:
        found = scores("usual_size", *track([0.2, 0.2, 0.8, 0.2, 0.2]))
        assert found[2] == pytest.approx(0.25)
        assert found[:2] + found[3:] == pytest.approx([1, 1, 1, 1])

    def test_slow_growth_is_no_leap(self) -> None:
        assert min(scores("usual_size", *track([0.02 * 1.3**n for n in range(12)]))) > 0.7

    def test_two_frames_tell_nothing(self) -> None:
        assert scores("usual_size", *track([0.1, 0.6])) == [1.0, 1.0]

    def test_objects_are_not_compared_with_each_other(self) -> None:
        rows = track([0.2] * 5) + track([0.6] * 5, "0/1")
        assert scores("usual_size", *rows) == pytest.approx([1.0] * 10)


class TestSteady:
    def test_alone_it_is_neutral(self) -> None:
        assert scores("steady", candidate()) == [1.0]

    def test_the_better_neighbour_counts(self) -> None:
        same, other = candidate(), candidate(rectangle(112, 62, 120, 70))
        rows = [row | {"time_s": float(n), "frame_index": n} for n, row in enumerate([same, same, other])]
        assert scores("steady", *rows) == pytest.approx([1.0, 1.0, 0.0])

    def test_it_is_seen_from_the_designator(self) -> None:
        moved = {side: value + 40 for side, value in candidate().items() if side.endswith(("x1", "x2"))}
        rows = [candidate(), candidate(**moved, time_s=0.5, frame_index=1)]
        assert scores("steady", *rows) == pytest.approx([1.0, 1.0])

    def test_the_order_of_rows_does_not_matter(self) -> None:
        rows = [candidate(time_s=t, frame_index=int(t)) for t in (2.0, 0.0)]
        rows.append(candidate(rectangle(112, 62, 120, 70), time_s=1.0, frame_index=1))
        assert scores("steady", *rows) == pytest.approx([0.0, 0.0, 0.0])


class TestSingle:
    def test_the_surer_one_stays(self) -> None:
        assert scores("single", candidate(confidence=0.7), candidate(confidence=0.9)) == [0.0, 1.0]

    def test_of_equals_one_stays(self) -> None:
        assert scores("single", candidate(), candidate(), candidate()) == [1.0, 0.0, 0.0]

    def test_frames_are_judged_apart(self) -> None:
        assert scores("single", candidate(), candidate(frame_index=1)) == [1.0, 1.0]

    def test_two_targets_are_two(self) -> None:
        assert scores("single", candidate(), candidate(rectangle(200, 150, 230, 180))) == [1.0, 1.0]


@pytest.mark.parametrize(("state", "score"), [("sure", 1.0), ("doubtful", 0.5), (None, 1.0)])
def test_an_object_propagated_in_doubt_is_doubtful(state: str | None, score: float) -> None:
    assert scores("followed", candidate(state=state)) == [score]
