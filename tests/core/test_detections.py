import numpy as np
import pandas as pd
import pytest

from gotowce_dagster.core.boxes import BOX
from gotowce_dagster.core.detections import class_names, confidences, from_boxes, from_rows, to_rows

BOXES = [[1.0, 2, 3, 4], [5, 6, 7, 8]]


def test_rows_round_trip() -> None:
    found = from_boxes(BOXES, np.array([0.5, 0.25], np.float32), class_name=["ship", "drone"])
    rows = to_rows(found, "class_name")
    assert rows.columns.tolist() == [*BOX, "confidence", "class_name"]
    assert from_rows(rows, "class_name") == found


@pytest.mark.parametrize(
    ("boxes", "shape"), [([], (0, 4)), ([1, 2, 3, 4], (1, 4)), (BOXES, (2, 4)), (np.zeros((0, 4)), (0, 4))]
)
def test_boxes_of_any_form(boxes: list, shape: tuple[int, int]) -> None:
    found = from_boxes(boxes)
    assert found.xyxy.shape == shape
    assert found.xyxy.dtype.kind == "f"
    assert confidences(found).tolist() == [1.0] * shape[0]
    assert class_names(found).tolist() == [""] * shape[0]


def test_no_rows_are_no_detections() -> None:
    for rows in ([], pd.DataFrame(columns=[*BOX, "confidence", "class_name"])):
        found = from_rows(rows, "class_name")
        assert len(found) == 0
        assert class_names(found).dtype.kind == "U"
    assert to_rows(from_boxes([]), "class_name", "prompt").empty


def test_a_column_of_another_length_is_refused() -> None:
    with pytest.raises(ValueError, match="must"):
        from_boxes(BOXES, class_name=["ship"])
