"""Detections of small boxes for tests of matching and scoring."""

import numpy as np
import supervision as sv


def boxes_at(*rows: tuple[float, float, int]) -> sv.Detections:
    """Boxes of 10 by 10 pixels at y 0, from x1, confidence and class of each."""
    x = np.array([row[0] for row in rows], float)
    return sv.Detections(
        np.stack([x, x * 0, x + 10, x * 0 + 10], axis=1).reshape(-1, 4),
        confidence=np.array([row[1] for row in rows], float),
        class_id=np.array([row[2] for row in rows], int),
    )
