"""Cases small enough to be worked out by hand: boxes of 10 x 10 pixels, moved sideways.

Moved by d pixels, two such boxes share 10 * (10 - d) of 10 * (10 + d): IoU 0.818 for d = 1, 0.667 for 2,
0.538 for 3, 0.429 for 4.
"""

import numpy as np
import pytest
import supervision as sv

from gotowce_dagster.evaluation.scoring import (
    FALSE_POSITIVE,
    IGNORED,
    Case,
    matches,
    precision_recall_curve,
    scores,
    worst,
)


def _boxes(
    *left: float, confidence: list[float] | None = None, names: list[str] | None = None
) -> sv.Detections:
    xyxy = np.array([[x, 0, x + 10, 10] for x in left], float).reshape(-1, 4)
    return sv.Detections(
        xyxy=xyxy,
        confidence=None if confidence is None else np.array(confidence),
        data={} if names is None else {"class_name": np.array(names)},
    )


def _case(found: sv.Detections, truth: sv.Detections, ignored: tuple[float, ...] = ()) -> Case:
    return Case("v", 0, found, truth, _boxes(*ignored).xyxy)


@pytest.mark.parametrize(
    ("found", "truth", "ignored", "iou", "expected"),
    [
        ((0,), (0,), (), 0.5, [0]),
        ((), (0,), (), 0.5, []),
        ((0,), (), (), 0.5, [FALSE_POSITIVE]),
        ((3,), (0,), (), 0.5, [0]),
        ((4,), (0,), (), 0.5, [FALSE_POSITIVE]),
        ((2,), (0,), (), 0.75, [FALSE_POSITIVE]),
        ((0, 1), (0,), (), 0.5, [0, FALSE_POSITIVE]),
        ((1, 0), (0, 2), (), 0.5, [1, 0]),
        ((50,), (0,), (50,), 0.5, [IGNORED]),
        ((54,), (0,), (50,), 0.5, [IGNORED]),
        ((56,), (0,), (50,), 0.5, [FALSE_POSITIVE]),
        ((0,), (0,), (0,), 0.5, [0]),
    ],
    ids=[
        "exact",
        "nothing found",
        "no objects",
        "IoU 0.54 is enough for 0.5",
        "IoU 0.43 is not",
        "IoU 0.67 is not enough for 0.75",
        "two on one truth: the better one",
        "both find a partner, though the first would take the other's",
        "on an ignored box",
        "0.6 on an ignored box",
        "0.4 on an ignored box",
        "a truth takes precedence over an ignored box",
    ],
)
def test_matches(found: tuple, truth: tuple, ignored: tuple, iou: float, expected: list[int]) -> None:
    case = _case(_boxes(*found), _boxes(*truth), ignored)
    assert matches(case, iou).tolist() == expected


def test_matches_by_class() -> None:
    case = _case(_boxes(0, names=["neutral"]), _boxes(0, names=["hostile"]))
    assert matches(case, 0.5).tolist() == [0]
    assert matches(case, 0.5, by_class=True).tolist() == [FALSE_POSITIVE]


@pytest.mark.parametrize(
    ("cases", "expected"),
    [
        (
            [_case(_boxes(0, 100), _boxes(0, 200))],
            {"precision_50": 0.5, "recall_50": 0.5, "f1_50": 0.5, "truths": 2, "frames": 1},
        ),
        (
            [_case(_boxes(2, 50), _boxes(0, 50, 100, 150))],
            {"precision_50": 1, "recall_50": 0.5, "f1_50": 2 / 3, "precision_75": 0.5, "recall_75": 0.25},
        ),
        (
            [_case(_boxes(0), _boxes(0)), _case(_boxes(2), _boxes(0))],
            {"mean_iou": (1 + 2 / 3) / 2, "iou_75_share": 0.5, "mAP50": 1.0},
        ),
        ([_case(_boxes(50), _boxes(0), (50,))], {"recall_50": 0, "f1_50": 0, "mAP50": 0}),
        ([_case(_boxes(), _boxes())], {"frames": 1, "truths": 0}),
        ([], {"frames": 0, "truths": 0}),
    ],
    ids=[
        "one right, one wrong, one missed",
        "two of four",
        "IoU",
        "only ignored found",
        "empty frame",
        "no frames",
    ],
)
def test_scores(cases: list[Case], expected: dict[str, float]) -> None:
    got = scores(cases)
    assert {name: got[name] for name in expected} == pytest.approx(expected, abs=1e-3)


@pytest.mark.parametrize(
    ("cases", "absent"),
    [
        ([_case(_boxes(), _boxes())], {"precision_50", "recall_50", "f1_50", "mAP50", "mean_iou"}),
        ([_case(_boxes(0), _boxes())], {"recall_50", "mAP50", "mean_iou"}),
        ([_case(_boxes(), _boxes(0))], {"precision_50", "mean_iou"}),
    ],
)
def test_what_has_no_meaning_is_left_out(cases: list[Case], absent: set[str]) -> None:
    got = scores(cases)
    assert not absent & set(got)
    assert all(np.isfinite(value) for value in got.values())


def test_low_confidence_counts_for_map_alone() -> None:
    case = _case(_boxes(0, 100, confidence=[0.9, 0.1]), _boxes(0, 100))
    got = scores([case], confidence=0.25)
    assert got["recall_50"] == 0.5
    assert got["mAP50"] == pytest.approx(1.0, abs=1e-3)


def test_average_precision_worked_out_by_hand() -> None:
    """Right 0.9, wrong 0.8, right 0.7, of 2 truths: precision 1 up to recall 0.5, then 2/3.

    COCO reads precision at 101 recalls from 0 to 1: 51 of them are at most 0.5.
    """
    case = _case(_boxes(0, 500, 100, confidence=[0.9, 0.8, 0.7]), _boxes(0, 100))
    assert scores([case])["mAP50"] == pytest.approx((51 + 50 * 2 / 3) / 101, abs=1e-4)
    recall, precision = precision_recall_curve([case])
    assert recall.tolist() == [0.5, 0.5, 1.0]
    assert precision.tolist() == pytest.approx([1, 0.5, 2 / 3])


def test_average_precision_over_thresholds() -> None:
    """IoU 0.818 passes 0.50 to 0.80, seven of the ten thresholds."""
    assert scores([_case(_boxes(1), _boxes(0))])["mAP50_95"] == pytest.approx(0.7, abs=1e-3)


def test_average_precision_by_class_is_the_mean_of_classes() -> None:
    truth = _boxes(0, 100, names=["hostile", "neutral"])
    case = _case(_boxes(0, names=["hostile"], confidence=[0.9]), truth)
    assert scores([case], by_class=True)["mAP50"] == pytest.approx(0.5, abs=1e-3)
    assert scores([case])["mAP50"] == pytest.approx(51 / 101, abs=1e-3)


def test_worst_first() -> None:
    fine = Case("v", 1, _boxes(0), _boxes(0))
    loose = Case("v", 2, _boxes(4), _boxes(0))
    missed = Case("v", 3, _boxes(), _boxes(0))
    bad = Case("v", 4, _boxes(100, 200), _boxes(0))
    assert [case.frame_index for case in worst([fine, loose, missed, bad])] == [4, 2, 3]
