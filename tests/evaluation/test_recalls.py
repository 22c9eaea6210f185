import numpy as np
import pandas as pd
import pytest
import supervision as sv

from gotowce_dagster.core.truth import empty_complete_truth
from gotowce_dagster.evaluation.measures import Findings
from gotowce_dagster.evaluation.recalls import (
    Seen,
    _has_mark,
    figures,
    figures_by_group,
    found_truths,
    group_title,
    look,
)
from gotowce_dagster.evaluation.report import _without_marks
from gotowce_dagster.evaluation.scoring import Case
from tests.designators.test_erase import BOX, MARK, RED, _marked, _sky
from tests.evaluation.test_threshold import PARAMS

TARGET = np.array([[115.0, 75, 133, 93]])


def _sees(*boxes: tuple[float, ...], confidence: float = 0.9) -> sv.Detections:
    return sv.Detections(np.array(boxes, float).reshape(-1, 4), confidence=np.full(len(boxes), confidence))


def _case(found: sv.Detections, *truth: tuple[float, ...], ignored: tuple = ()) -> Case:
    return Case(
        "v", 0, found, sv.Detections(np.array(truth, float).reshape(-1, 4)), np.array(ignored).reshape(-1, 4)
    )


def _looks_for_marks(image: np.ndarray) -> sv.Detections:
    """Finds the target only where red is around it."""
    red = (image[..., 0].astype(int) - image[..., 1] > 100).any()
    return _sees(tuple(TARGET[0])) if red else _sees()


def _looks_for_targets(image: np.ndarray) -> sv.Detections:
    return _sees(
        *(
            tuple(box)
            for box in (TARGET[0], [20, 20, 38, 38])
            if image[int(box[1]) + 4, int(box[0]) + 4].min() > 200
        )
    )


def _image() -> np.ndarray:
    image = _marked(_sky())
    image[75:93, 115:133] = image[20:38, 20:38] = 230
    return image


def _complete() -> pd.DataFrame:
    rows = [
        (*TARGET[0], "ship", "yes"),
        (20, 20, 38, 38, "ship", "no"),
        (200, 100, 220, 120, "other", "no"),
        (250, 20, 260, 30, "unsure", "no"),
    ]
    table = pd.DataFrame(rows, columns=["x1", "y1", "x2", "y2", "label", "marked"])
    return table.assign(clip="v.mp4", frame_index=7)


@pytest.mark.parametrize(
    ("predict", "expected"),
    [
        (_looks_for_marks, {"marked_recall": 1, "erased_recall": 0, "unmarked_recall": 0, "precision": 1}),
        (_looks_for_targets, {"marked_recall": 1, "erased_recall": 1, "unmarked_recall": 1, "precision": 1}),
    ],
    ids=["a detector of marks", "a detector of targets"],
)
def test_the_three_recalls_tell_marks_and_targets_apart(predict, expected: dict) -> None:
    seen = look(
        "v", "game", {7: _image()}, objects={}, complete=_complete(),
        find_marks=lambda image: [(BOX, MARK)], predict=predict,
    )  # fmt: skip
    measured = figures(seen, 0.25)
    assert {name: measured[name] for name in expected} == expected
    assert (measured["marked_targets"], measured["unmarked_targets"], measured["complete_frames"]) == (
        1,
        1,
        1,
    )
    assert measured["erased_over_marked"] == expected["erased_recall"]


def test_without_complete_truth_only_two_are_known() -> None:
    seen = look(
        "v", "game", {7: _image()}, objects={7: TARGET}, complete=empty_complete_truth(),
        find_marks=lambda image: [(BOX, MARK)], predict=_looks_for_targets,
    )  # fmt: skip
    assert figures(seen, 0.25) == {
        "marked_targets": 1, "marked_recall": 1, "erased_recall": 1, "erased_over_marked": 1,
    }  # fmt: skip


def test_a_frame_without_a_mark_has_no_marked_recall() -> None:
    seen = look(
        "v", "game", {7: _sky()}, objects={7: TARGET}, complete=empty_complete_truth(),
        find_marks=lambda image: [], predict=_looks_for_targets,
    )  # fmt: skip
    assert seen == []
    assert figures(seen, 0.25) == {}


def test_erasing_left_no_red_for_the_model() -> None:
    shown = []

    def predict(image: np.ndarray) -> sv.Detections:
        shown.append(int((image[..., 0].astype(int) - image[..., 1]).max()))
        return _sees()

    look(
        "v", "game", {7: _image()}, objects={7: TARGET}, complete=empty_complete_truth(),
        find_marks=lambda image: [(BOX, MARK)], predict=predict,
    )  # fmt: skip
    assert shown[0] == RED[0] - RED[1]
    assert shown[1] < 40


@pytest.mark.parametrize(
    ("found", "by_iou", "by_centre"),
    [
        ((10, 10, 18, 18), True, True),
        ((13, 13, 21, 21), False, False),
        ((12, 12, 20, 20), False, True),
        ((6, 6, 22, 22), False, True),
        ((0, 0, 28, 28), False, False),
        ((13, 13, 15, 15), False, False),
    ],
    ids=["the same", "a centre too far", "two pixels off", "twice as large", "its mark", "a dot in it"],
)
def test_small_targets_are_matched_by_centre_too(found: tuple, by_iou: bool, by_centre: bool) -> None:
    case = _case(_sees(found), (10, 10, 18, 18))
    assert found_truths(case, 0.25).tolist() == [by_iou]
    assert found_truths(case, 0.25, by_centre=True).tolist() == [by_centre]


def test_one_box_is_one_small_target() -> None:
    case = _case(_sees((12, 10, 20, 18)), (9, 10, 17, 18), (15, 10, 23, 18))
    assert found_truths(case, 0.25, by_centre=True).sum() == 1


def test_a_marked_target_whose_mark_is_not_found_is_counted_apart() -> None:
    far = pd.DataFrame(
        [(250, 150, 268, 168, "ship", "yes")], columns=["x1", "y1", "x2", "y2", "label", "marked"]
    ).assign(clip="v.mp4", frame_index=7)
    seen = look(
        "v", "game", {7: _image()}, objects={}, complete=pd.concat([_complete(), far]),
        find_marks=lambda image: [(BOX, MARK)], predict=_looks_for_targets,
    )  # fmt: skip
    measured = figures(seen, 0.25)
    assert (measured["marked_targets"], measured["marked_recall"], measured["not_erased"]) == (1, 1, 1)
    (note,) = _without_marks(Findings({}, pd.DataFrame(), recalls={"all": measured}), PARAMS).notes[:1]
    assert note.startswith("1 marked target(s) of complete frames are in neither recall")


@pytest.mark.parametrize(
    ("target", "mark", "expected"),
    [
        ((50, 50, 58, 58), (33, 33, 75, 75), True),
        ((50, 50, 90, 90), (65, 20, 75, 30), True),
        ((50, 50, 58, 58), (50, 20, 58, 30), False),
        ((50, 50, 90, 90), (200, 50, 240, 90), False),
    ],
    ids=["a dot within a large mark", "a mark above", "too far above", "another's"],
)
def test_the_mark_of_a_target_is_around_or_beside_it(target: tuple, mark: tuple, expected: bool) -> None:
    assert _has_mark(np.array([target], float), [np.array(mark)]).tolist() == [expected]
    assert _has_mark(np.array([target], float), []).tolist() == [False]


def test_a_mark_is_of_one_target() -> None:
    large, small = (100, 100, 300, 300), (420, 150, 440, 170)
    around_small, around_large = np.array((410, 140, 450, 180)), np.array((90, 90, 310, 310))
    both = np.array([large, small], float)
    assert _has_mark(both, [around_small]).tolist() == [False, True]
    assert _has_mark(both, [around_large, around_small]).tolist() == [True, True]
    assert _has_mark(both, [around_large]).tolist() == [True, False]


def test_large_targets_are_not() -> None:
    case = _case(_sees((12, 12, 62, 62)), (10, 10, 40, 40))
    assert found_truths(case, 0.25, by_centre=True).tolist() == [False]


def test_precision_ignores_what_is_neither() -> None:
    case = _case(
        _sees((10, 10, 30, 30), (50, 50, 70, 70), (90, 90, 110, 110)),
        (10, 10, 30, 30),
        ignored=((50, 50, 70, 70),),
    )
    measured = figures([Seen("game", complete=case, is_marked=np.array([False]))], 0.25)
    assert measured["precision"] == 0.5
    assert measured["unmarked_recall"] == 1
    assert "marked_recall" not in measured


def test_boxes_to_adopt_are_right_if_they_are_unmarked_targets() -> None:
    """One on the marked target, one on the unmarked one, one on an ignored object, and one nowhere."""
    shown = []

    def adopt(image: np.ndarray) -> sv.Detections:
        shown.append(int((image[..., 0].astype(int) - image[..., 1]).max()))
        return _sees(tuple(TARGET[0]), (20, 20, 38, 38), (200, 100, 220, 120), (60, 60, 80, 80))

    seen = look(
        "v", "game", {7: _image()}, objects={}, complete=_complete(),
        find_marks=lambda image: [(BOX, MARK)], predict=_looks_for_targets, adopt=adopt,
    )  # fmt: skip
    measured = figures(seen, 0.25)
    assert (measured["adopted"], measured["adopted_right"]) == (2, 1)
    assert max(shown) < 40, "the mark is erased, as in training"


def test_each_game_has_figures_apart_from_training() -> None:
    case = _case(_sees((10, 10, 30, 30)), (10, 10, 30, 30))
    missed = _case(_sees(), (10, 10, 30, 30))
    near, apart, other = (
        Seen(profile, complete=some, is_marked=np.array([False]))
        for profile, some in (("naev", case), ("naev", missed), ("oolite", case))
    )
    groups = figures_by_group([near, apart, other], [apart], 0.25)
    recalls = {group: some.get("unmarked_recall") for group, some in groups.items()}
    assert recalls == {
        "all": pytest.approx(2 / 3), "apart": 0,
        "naev": 0.5, "naev apart": 0, "oolite": 1, "oolite apart": None,
    }  # fmt: skip
    assert [group_title(group) for group in groups] == [
        "all frames", "frames outside training data", "naev", "naev, frames outside training data",
        "oolite", "oolite, frames outside training data",
    ]  # fmt: skip
    assert set(figures_by_group([near], [], 0.25)) == {"all", "apart", "naev"}
