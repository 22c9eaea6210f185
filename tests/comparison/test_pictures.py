"""Pictures of several detectors side by side."""

import numpy as np
import pandas as pd
import pytest
import supervision as sv

from gotowce_dagster.comparison.pictures import scatter, side_by_side, worst_sheet
from gotowce_dagster.evaluation.scoring import Case

FRAMES = [("v", 0), ("v", 7)]
IMAGES = {frame: np.full((120, 200, 3), 40, np.uint8) for frame in FRAMES}
NONE = np.zeros((0, 4))


def boxes(*xyxy: list[float]) -> sv.Detections:
    count = len(xyxy)
    return sv.Detections(
        np.array(xyxy, float).reshape(-1, 4),
        confidence=np.full(count, 0.5),
        data={"class_name": np.full(count, "ship")},
    )


def table(**columns: list) -> pd.DataFrame:
    count = len(columns["f1_50"])
    base = {
        "name": [f"d{n}" for n in range(count)], "truth": "object", "median_s": 0.1, "money_per_1000": 0.0,
        "f1_50_low": np.nan, "f1_50_high": np.nan,
    }  # fmt: skip
    return pd.DataFrame(base | columns)


@pytest.mark.parametrize(
    ("columns", "panels"),
    [
        ({"f1_50": [0.5, 0.9], "f1_50_low": [0.4, np.nan], "f1_50_high": [0.6, np.nan]}, 1),
        ({"f1_50": [0.5, 0.9], "money_per_1000": [0.0, 2.5]}, 2),
        ({"f1_50": [np.nan]}, 0),
        ({"f1_50": [0.5] * 14}, 1),
    ],
    ids=["seconds", "money too", "nothing scored", "more than there are colours"],
)
def test_scatter(columns: dict, panels: int) -> None:
    drawn = scatter(table(**columns))
    assert (drawn is None) == (panels == 0)
    if drawn is not None:
        assert drawn.shape[1] == panels * 825
        assert drawn.std() > 5


@pytest.mark.parametrize(
    ("detectors", "truth", "captions"),
    [
        (2, np.array([[50, 40, 90, 70]]), ["Whole frames", "Close up"]),
        (5, np.array([[50, 40, 90, 70]]), ["Whole frames", "Close up"] * 2),
        (2, NONE, ["Whole frames", "Close up"]),
    ],
    ids=["two", "five take two sheets", "close up of a detection"],
)
def test_side_by_side(detectors: int, truth: np.ndarray, captions: list[str]) -> None:
    found = {f"d{n}": dict.fromkeys(FRAMES, boxes([50, 40, 90, 70])) for n in range(detectors)}
    sheets = side_by_side(IMAGES, found, dict.fromkeys(FRAMES, truth))
    assert [caption for caption, _ in sheets] == captions
    assert all(1200 < sheet.shape[1] <= 1310 for _, sheet in sheets)


def test_frames_without_boxes_have_no_close_up() -> None:
    found = {"d": dict.fromkeys(FRAMES, boxes())}
    (sheet,) = side_by_side(IMAGES, found, dict.fromkeys(FRAMES, NONE))
    assert sheet[0] == "Whole frames"


def test_ground_truth_is_white_and_unseen_frames_are_dark() -> None:
    truth = dict.fromkeys(FRAMES, np.array([[50, 40, 90, 70]]))
    found = {"sees": dict.fromkeys(FRAMES, boxes()), "saw one": {FRAMES[0]: boxes()}}
    (_, sheet), _ = side_by_side(IMAGES, found, truth)
    half, scale = sheet.shape[1] // 2, 642 / 200
    tile = sheet[6 : 6 + round(120 * scale)]
    assert (tile[:, :half] == 255).all(axis=2).any(), "the white frame around the ground truth"
    second = sheet[-round(60 * scale) : -100]
    assert second[:, half + 50 : -50].mean() < second[:, 50 : half - 50].mean()


def test_worst_sheet_shows_boxes_of_any_kind() -> None:
    cases = [
        Case("v", 0, boxes([150, 90, 199, 119]), boxes([0, 0, 20, 20])),
        Case("v", 7, boxes(), boxes()),
        Case("v", 7, boxes(), boxes(), np.array([[5, 5, 9, 9]], float)),
    ]
    assert worst_sheet(cases, IMAGES).shape[1] > 900
