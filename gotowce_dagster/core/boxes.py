"""Boxes in tables and arrays: x1, y1, x2, y2 in pixels, x2 and y2 exclusive."""

import numpy as np
import pandas as pd

BOX = ["x1", "y1", "x2", "y2"]
"""The columns of a box in every table."""
DESIGNATOR = [f"designator_{side}" for side in BOX]
"""The columns of the designator's box in tables whose BOX is the target's."""
KEY = ["frame_index", "detection_id"]
"""What names a row of one video's detections, masks and labels."""


def xyxy(rows: pd.DataFrame) -> np.ndarray:
    """The boxes of rows, float (n, 4)."""
    return rows[BOX].to_numpy(float).reshape(-1, 4)


def sizes(boxes: np.ndarray) -> np.ndarray:
    """Width and height of boxes: (..., 4) -> (..., 2)."""
    return boxes[..., 2:] - boxes[..., :2]


def centres(boxes: np.ndarray) -> np.ndarray:
    """Centres of boxes: (..., 4) -> (..., 2)."""
    return (boxes[..., :2] + boxes[..., 2:]) / 2


def row_iou(boxes: np.ndarray, others: np.ndarray) -> np.ndarray:
    """IoU of the boxes in the same rows of two arrays: (n, 4), (n, 4) -> (n,); NaN where one is missing.

    All pairs of two sets are supervision's box_iou_batch.
    """
    shared = np.minimum(boxes[:, 2:], others[:, 2:]) - np.maximum(boxes[:, :2], others[:, :2])
    shared = shared.clip(min=0).prod(axis=1)
    return shared / (sizes(boxes).prod(axis=1) + sizes(others).prod(axis=1) - shared)


def evenly(count: int, wanted: int) -> np.ndarray:
    """At most ``wanted`` places among ``count``, evenly spaced from the first to the last, int (n,)."""
    return np.unique(np.linspace(0, count - 1, min(wanted, count)).round().astype(int))
