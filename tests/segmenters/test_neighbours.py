from collections.abc import Sequence

import numpy as np
import pandas as pd
import pytest

from gotowce_dagster.core import rle
from gotowce_dagster.segmenters.base import Candidate
from gotowce_dagster.segmenters.neighbours import settle, sure_neighbours
from tests.shipped import masks_params

BOX = np.array([20.0, 20, 60, 60])


def rectangle(x1: int, y1: int, x2: int, y2: int) -> np.ndarray:
    mask = np.zeros((80, 80), bool)
    mask[y1:y2, x1:x2] = True
    return mask


SHIP, SQUARE = rectangle(35, 36, 45, 44), rectangle(20, 20, 60, 60)
KEPT = [Candidate(mask, f"{name}@{scale}", 0.5, 0.9) for scale in (2, 3)
        for name, mask in (("point", SHIP), ("ring", SQUARE))]  # fmt: skip


@pytest.mark.parametrize(
    ("times", "sure", "expected"),
    [
        ([0, 1, 2], [1, 1, 1], [[1], [0, 2], [1]]),
        ([0, 1, 2], [0, 0, 0], [[], [], []]),
        ([0, 1, 2, 3], [1, 0, 0, 1], [[], [0, 3], [0, 3], []]),
        ([0, 9, 10], [1, 0, 1], [[], [2], []]),
        ([], [], []),
    ],
    ids=["all sure", "none sure", "two in doubt, the ends far apart", "a long gap", "nothing"],
)
def test_sure_neighbours(times: list[float], sure: list[int], expected: list[list[int]]) -> None:
    found = sure_neighbours(np.array(times, float), np.array(sure, bool), gap_s=2)
    assert found == expected


def rows(*masks: np.ndarray, agreement: Sequence[float], objects: str = "aaaaaaaa") -> pd.DataFrame:
    shares = {"predicted_iou": 0.5, "stability": 0.9, "fill": 0.1, "inside": 1.0, "mark_overlap": 0.0}
    return pd.DataFrame(
        [
            {"frame_index": number, "detection_id": 0, "object_id": objects[number], "prompt": "first",
             "x1": 0.0, "rle": rle.encode(mask), "height": 80, "width": 80,
             "agreement": agreement[number], **shares}
            for number, mask in enumerate(masks)
        ]
    )  # fmt: skip


def settled(masks: pd.DataFrame) -> tuple[pd.DataFrame, list[int]]:
    asked: list[int] = []

    def candidates(frame_index: int, detection_id: int) -> list[Candidate]:
        asked.append(frame_index)
        return KEPT

    designators = np.tile(BOX, (len(masks), 1))
    times = np.arange(len(masks), dtype=float)
    return settle(masks, designators, times, candidates, masks_params(doubt=0.5, link_gap_s=2.0)), asked


def test_doubtful_mask_is_replaced_by_the_candidate_like_its_neighbours() -> None:
    found, asked = settled(rows(SHIP, SQUARE, SHIP, agreement=[0.9, 0.3, 0.9]))
    assert asked == [1]
    assert found["rle"].tolist() == [rle.encode(SHIP)] * 3
    assert found["prompt"].tolist()[1].startswith("point")
    assert found["x1"].tolist()[1] == 35
    assert found["neighbours"].tolist() == pytest.approx([1, 1, 1])


def test_sure_mask_is_kept_and_its_likeness_measured() -> None:
    before = rows(SHIP, SQUARE, SHIP, agreement=[0.9, 0.9, 0.9])
    found, asked = settled(before)
    assert asked == []
    assert found["rle"].tolist() == before["rle"].tolist()
    assert (found["neighbours"] < 0.1).all()


@pytest.mark.parametrize(
    ("agreement", "objects"),
    [([0.3, 0.3], "aa"), ([0.9, 0.3], "ab")],
    ids=["no neighbour is sure", "the sure one is another object"],
)
def test_doubtful_mask_without_sure_neighbours_is_kept(agreement: list[float], objects: str) -> None:
    found, asked = settled(rows(SHIP, SQUARE, agreement=agreement, objects=objects))
    assert asked == []
    assert found["rle"].tolist() == [rle.encode(SHIP), rle.encode(SQUARE)]
    assert found["neighbours"].isna().all()


def test_no_masks_give_an_empty_table() -> None:
    found, _ = settled(rows(SHIP, agreement=[0.9]).iloc[:0])
    assert found.empty
    assert "neighbours" in found.columns
