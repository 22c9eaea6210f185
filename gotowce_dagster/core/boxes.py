"""Boxes in tables and arrays: x1, y1, x2, y2 in pixels, x2 and y2 exclusive."""

import numpy as np
import pandas as pd

BOX = ["x1", "y1", "x2", "y2"]
"""The columns of a box in every table."""
KEY = ["frame_index", "detection_id"]
"""What names a row of one video's detections, masks and labels."""


def xyxy(rows: pd.DataFrame) -> np.ndarray:
    """The boxes of rows, float (n, 4)."""
    return rows[BOX].to_numpy(float).reshape(-1, 4)


def evenly(count: int, wanted: int) -> np.ndarray:
    """At most ``wanted`` places among ``count``, evenly spaced from the first to the last, int (n,)."""
    return np.unique(np.linspace(0, count - 1, min(wanted, count)).round().astype(int))
