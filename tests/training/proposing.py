"""What a model sees in a frame, and settings, for tests of proposals and rounds."""

import numpy as np
import pandas as pd
import supervision as sv

from gotowce_dagster.config.params import RoundsParams

PARAMS = RoundsParams(
    count=1,
    least_gain=0.05,
    frames=20,
    hold=2,
    adopt=0.5,
    doubt=0.05,
    faint=0.0,
    box_iou=0.6,
    smallest=0.1,
    small=0.2,
)


def sees(boxes: list[list[float]], confidence: list[float]) -> sv.Detections:
    return sv.Detections(
        np.array(boxes, float).reshape(-1, 4),
        confidence=np.array(confidence, float),
        data={"class_name": np.full(len(boxes), "hostile")},
    )


def seen(*rows: tuple[int, float, bool, bool, bool]) -> pd.DataFrame:
    """frame_index, x1, is_label, sure, still; boxes of 10 px."""
    table = pd.DataFrame(rows, columns=["frame_index", "x1", "is_label", "sure", "still"])
    return table.assign(
        video="a", class_id=0, y1=10.0, x2=table["x1"] + 10, y2=20.0, confidence=0.5, small=False
    )  # fmt: skip
