"""From designators to the targets inside them: the same steps for the pipeline and for its evaluation."""

import numpy as np
import pandas as pd
import supervision as sv

from gotowce_dagster.params import MasksParams
from gotowce_dagster.segmenters import rle
from gotowce_dagster.segmenters.base import Segmenter
from gotowce_dagster.segmenters.choose import Choice, choose
from gotowce_dagster.segmenters.crops import Crop

COLUMNS = [
    "detection_id", "class_name", "segmenter", "prompt", "x1", "y1", "x2", "y2", "rle", "height", "width",
    "area_px", "predicted_iou", "object_score", "stability", "fill", "inside", "mark_overlap", "agreement",
]  # fmt: skip


def segment_targets(
    image_rgb: np.ndarray, detections: sv.Detections, segmenter: Segmenter, params: MasksParams
) -> pd.DataFrame:
    """Cut the target out of every designator of one frame.

    A designator mostly off the screen is not tried, and one in which nothing is found has no row.

    Args:
        image_rgb: uint8 (H, W, 3).
        detections: designators; ``data["detection_id"]`` names them, else their place in the list does;
            ``data["class_name"]`` names the classes of their targets, else they are called target.

    Returns:
        Columns of tables.MASKS, without video, frame_index and object_id; one row a target.
    """
    height, width = image_rgb.shape[:2]
    boxes = detections.xyxy.astype(float)
    names = np.asarray(detections.data.get("detection_id", np.arange(len(boxes))))
    classes = np.asarray(detections.data.get("class_name", np.full(len(boxes), "target")))
    tried = np.flatnonzero(on_screen(boxes, height, width) >= params.min_on_screen)
    found = segmenter.segment(image_rgb, boxes[tried]) if len(tried) else []
    engine = f"{segmenter.name}:{segmenter.weights}" if segmenter.weights else segmenter.name
    rows = [
        {"detection_id": names[index], "class_name": classes[index], "segmenter": engine, **_row(choice)}
        for index, candidates in zip(tried, found, strict=True)
        if (choice := choose(candidates, boxes[index], params))
    ]
    return pd.DataFrame(rows, columns=COLUMNS)


def on_screen(boxes: np.ndarray, height: int, width: int) -> np.ndarray:
    """Share of each box's area (n, 4) that lies in the frame."""
    size = boxes[:, 2:] - boxes[:, :2]
    seen = np.minimum(boxes[:, 2:], [width, height]) - np.maximum(boxes[:, :2], 0)
    return seen.clip(min=0).prod(axis=1) / size.prod(axis=1)


def _row(choice: Choice) -> dict[str, object]:
    candidate = choice.candidate
    window = Crop.of_mask(candidate.mask)
    assert window is not None, "choose gives no empty mask"
    height, width = candidate.mask.shape
    return {
        "prompt": candidate.prompt,
        **dict(zip(("x1", "y1", "x2", "y2"), window.box, strict=True)),
        "rle": rle.encode(candidate.mask),
        "height": height,
        "width": width,
        "area_px": int(np.count_nonzero(candidate.mask)),
        "predicted_iou": candidate.predicted_iou,
        "object_score": np.nan,
        "stability": candidate.stability,
        "fill": choice.fill,
        "inside": choice.inside,
        "mark_overlap": choice.mark_overlap,
        "agreement": choice.agreement,
    }
