"""Segmentation of the targets inside designators: the same steps for the pipeline and its evaluation."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
import pyarrow as pa
import supervision as sv

from gotowce_dagster.config.params import MasksParams
from gotowce_dagster.core import rle
from gotowce_dagster.core.tables import MASKS, records
from gotowce_dagster.segmenters.base import Candidate, Segmenter
from gotowce_dagster.segmenters.choose import Choice, choose

COLUMNS = [name for name in MASKS.names if name not in {"video", "frame_index", "object_id"}]

CANDIDATES = pa.schema(
    [
        pa.field("detection_id", pa.int32(), False),
        pa.field("prompt", pa.string(), False),
        pa.field("predicted_iou", pa.float64()),
        pa.field("stability", pa.float64()),
        pa.field("rle", pa.string(), False),
        pa.field("height", pa.int32(), False),
        pa.field("width", pa.int32(), False),
    ]
)
"""Candidates as a table, for masks that a second pass re-ranks with those of later frames."""


@dataclass(frozen=True)
class Target:
    """The candidates of a segmenter for one designator."""

    detection_id: int
    class_name: str
    box: np.ndarray
    """The designator, xyxy (4,) in pixels."""
    candidates: list[Candidate]


def segment_targets(
    image_rgb: np.ndarray, detections: sv.Detections, segmenter: Segmenter, params: MasksParams
) -> pd.DataFrame:
    """Segment the target in every designator of one frame.

    Designators mostly outside the frame are skipped, and those without a mask have no row.

    Args:
        image_rgb: uint8 (H, W, 3).
        detections: designators; ``data["detection_id"]`` gives their ids (default: their index),
            ``data["class_name"]`` the classes of their targets (default: target).

    Returns:
        Columns of tables.MASKS, without video, frame_index and object_id; one row per target. Measures that
        need several frames are null.
    """
    return choose_targets(find_targets(image_rgb, detections, segmenter, params), segmenter, params)


def find_targets(
    image_rgb: np.ndarray, detections: sv.Detections, segmenter: Segmenter, params: MasksParams
) -> list[Target]:
    """Propose candidates for every designator in the frame: the first half of segment_targets."""
    height, width = image_rgb.shape[:2]
    boxes = detections.xyxy.astype(float)
    names = np.asarray(detections.data.get("detection_id", np.arange(len(boxes))))
    classes = np.asarray(detections.data.get("class_name", np.full(len(boxes), "target")))
    tried = np.flatnonzero(on_screen(boxes, height, width) >= params.min_on_screen)
    found = segmenter.segment(image_rgb, boxes[tried]) if len(tried) else []
    return [
        Target(int(names[index]), str(classes[index]), boxes[index], candidates)
        for index, candidates in zip(tried, found, strict=True)
    ]


def choose_targets(targets: Iterable[Target], segmenter: Segmenter, params: MasksParams) -> pd.DataFrame:
    """Choose a mask for every target and return one row each: the second half of segment_targets."""
    engine = f"{segmenter.name}:{segmenter.weights}" if segmenter.weights else segmenter.name
    rows = [
        {
            "detection_id": target.detection_id,
            "class_name": target.class_name,
            "segmenter": engine,
            **mask_columns(choice),
        }
        for target in targets
        if (choice := choose(target.candidates, target.box, params))
    ]
    return pd.DataFrame(rows, columns=COLUMNS)


def candidates_table(targets: Iterable[Target]) -> pd.DataFrame:
    """Convert candidates to a table with the columns of CANDIDATES, one row per candidate."""
    rows = [
        (target.detection_id, c.prompt, c.predicted_iou, c.stability, rle.encode(c.mask), *c.mask.shape)
        for target in targets
        for c in target.candidates
    ]
    return pd.DataFrame(rows, columns=CANDIDATES.names)


def read_candidates(rows: pd.DataFrame) -> Sequence[Candidate]:
    """Read the candidates of one target from its rows of candidates_table."""
    return [
        Candidate(
            rle.mask_of(row),
            row["prompt"],
            row["predicted_iou"],
            row["stability"],
        )
        for row in records(rows)
    ]


def on_screen(boxes: np.ndarray, height: int, width: int) -> np.ndarray:
    """Compute the share of each box's area that lies in the frame: xyxy (n, 4) to (n,)."""
    size = boxes[:, 2:] - boxes[:, :2]
    visible = np.minimum(boxes[:, 2:], [width, height]) - np.maximum(boxes[:, :2], 0)
    return visible.clip(min=0).prod(axis=1) / size.prod(axis=1)


def mask_columns(choice: Choice) -> dict[str, object]:
    """Columns of tables.MASKS for a chosen mask and its measures."""
    candidate = choice.candidate
    return {
        "prompt": candidate.prompt,
        **rle.mask_columns(candidate.mask),
        "predicted_iou": candidate.predicted_iou,
        "stability": candidate.stability,
        "fill": choice.fill,
        "inside": choice.inside,
        "mark_overlap": choice.mark_overlap,
        "agreement": choice.agreement,
    }
