"""Detections: the only place that builds supervision's value object, from arrays and from rows of tables."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
import supervision as sv

from gotowce_dagster.core.boxes import BOX, xyxy


def from_boxes(
    boxes: np.ndarray | Sequence[Sequence[float]],
    confidence: np.ndarray | Sequence[float] | None = None,
    *,
    mask: np.ndarray | None = None,
    class_id: np.ndarray | Sequence[int] | None = None,
    **data: np.ndarray | Sequence[Any],
) -> sv.Detections:
    """Detections of boxes.

    Args:
        boxes: xyxy in pixels: (n, 4), an array (4,) of one box, or an empty list.
        confidence: (n,).
        mask: bool (n, H, W).
        class_id: (n,).
        data: further columns (n,) by name, such as ``class_name`` and ``prompt``; a list holds texts.

    Raises:
        ValueError: a column has another number of rows than the boxes.
    """
    corners = np.asarray(boxes)
    return sv.Detections(
        xyxy=corners.astype(np.result_type(corners.dtype, np.float32)).reshape(-1, 4),
        mask=mask,
        confidence=None if confidence is None else np.asarray(confidence),
        class_id=None if class_id is None else np.asarray(class_id, int),
        data={
            name: values if isinstance(values, np.ndarray) else np.array(values, dtype=str)
            for name, values in data.items()
        },
    )


def from_rows(rows: pd.DataFrame | Sequence[Mapping[str, Any]], *columns: str) -> sv.Detections:
    """Detections from rows with the columns of a box, and ``confidence`` if present.

    Args:
        rows: a table, or mappings from column to value; possibly none.
        columns: text columns that become ``data``, such as ``class_name``.
    """
    table = rows if isinstance(rows, pd.DataFrame) else pd.DataFrame(rows, columns=[*BOX, *columns])
    confidence = table["confidence"].to_numpy(float) if "confidence" in table else None
    return from_boxes(xyxy(table), confidence, **{name: table[name].to_numpy(dtype=str) for name in columns})


def to_rows(found: sv.Detections, *columns: str) -> pd.DataFrame:
    """A row per detection: the columns of a box (float64) and ``confidence`` (float32, 1 without one).

    Args:
        columns: names in ``data`` that become columns of objects.

    Raises:
        ValueError: boxes without such a name.
    """
    boxes = pd.DataFrame(np.asarray(found.xyxy, float).reshape(-1, 4), columns=BOX)
    texts = {name: np.asarray(found.data.get(name, []), object) for name in columns}
    return boxes.assign(confidence=confidences(found).astype(np.float32), **texts)


def confidences(found: sv.Detections) -> np.ndarray:
    """Confidence of each detection, (n,); 1 for sources without confidences."""
    return np.ones(len(found)) if found.confidence is None else found.confidence


def class_names(found: sv.Detections) -> np.ndarray:
    """Class of each detection, str (n,); empty for sources without classes."""
    return np.asarray(found.data.get("class_name", np.full(len(found), "")), dtype=str)
