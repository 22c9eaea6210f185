import numpy as np
import pytest

from gotowce_dagster.core import rle
from gotowce_dagster.core.boxes import BOX, row_iou
from gotowce_dagster.core.masks import mask_box_iou, mask_iou, pairwise_mask_iou


def square(x1: int, y1: int, x2: int, y2: int) -> np.ndarray:
    mask = np.zeros((20, 30), bool)
    mask[y1:y2, x1:x2] = True
    return mask


NOTHING = square(0, 0, 0, 0)


@pytest.mark.parametrize(
    ("mask", "other", "iou"),
    [
        (square(0, 0, 10, 10), square(5, 0, 15, 10), 1 / 3),
        (square(0, 0, 10, 10), square(10, 0, 20, 10), 0),
        (square(0, 0, 10, 10), NOTHING, 0),
        (NOTHING, NOTHING, 0),
    ],
)
def test_iou_of_masks(mask: np.ndarray, other: np.ndarray, iou: float) -> None:
    assert mask_iou(mask, other) == mask_iou(other, mask) == pytest.approx(iou)
    if mask.any() and other.any():
        assert pairwise_mask_iou(np.stack([mask, other])) == pytest.approx(np.array([[1, iou], [iou, 1]]))


def test_iou_of_a_mask_with_a_box_is_that_of_its_box() -> None:
    corner = square(0, 0, 10, 10) & ~square(1, 1, 10, 10)
    assert mask_box_iou(corner, np.array([0.0, 0, 10, 5])) == 0.5
    assert mask_box_iou(NOTHING, np.array([0.0, 0, 10, 5])) == 0


def test_iou_of_rows_is_nan_where_a_box_is_missing() -> None:
    boxes = np.array([[0, 0, 10, 10], [0, 0, 10, 10], [0, 0, 10, 10.0]])
    others = np.array([[5, 0, 15, 10], [20, 0, 30, 10], [np.nan] * 4])
    assert row_iou(boxes, others) == pytest.approx([1 / 3, 0, np.nan], nan_ok=True)


def test_columns_of_a_mask_give_it_back() -> None:
    mask = square(3, 4, 9, 6) | square(5, 6, 6, 11)
    row = rle.mask_columns(mask)
    assert [row[side] for side in BOX] == [3, 4, 9, 11]
    assert row["area_px"] == mask.sum()
    assert np.array_equal(rle.mask_of(row), mask)


def test_an_empty_mask_has_no_box() -> None:
    assert rle.mask_columns(NOTHING) == {
        **dict.fromkeys(BOX), "rle": None, "height": 20, "width": 30, "area_px": 0,
    }  # fmt: skip
