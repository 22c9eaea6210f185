from pathlib import Path

import numpy as np
import pytest
import supervision as sv

from gotowce_dagster.core import rle
from gotowce_dagster.core.boxes import BOX
from gotowce_dagster.core.tables import MASKS, read_table, write_table
from gotowce_dagster.segmenters.grabcut import GrabCut
from gotowce_dagster.segmenters.targets import on_screen, segment_targets
from tests.shipped import masks_params


@pytest.fixture
def picture() -> np.ndarray:
    """Two bright squares of 20 pixels on grey noise."""
    image = np.random.default_rng(0).integers(20, 40, (100, 200, 3), dtype=np.uint8)
    image[40:60, 30:50] = (240, 60, 60)
    image[40:60, 130:150] = (60, 240, 60)
    return image


def segment(picture: np.ndarray, boxes: list[tuple[float, ...]], names: list[int]):
    params = masks_params()
    detections = sv.Detections(
        np.array(boxes, float).reshape(-1, 4),
        data={"detection_id": np.array(names, int), "class_name": np.full(len(names), "ship")},
    )
    return segment_targets(picture, detections, GrabCut("", params), params)


def test_every_target_has_its_own_row(picture: np.ndarray, tmp_path: Path) -> None:
    rows = segment(picture, [(120, 30, 160, 70), (20, 30, 60, 70)], [7, 3])
    assert rows["detection_id"].tolist() == [7, 3]
    assert rows[BOX].to_numpy().tolist() == [[130, 40, 150, 60], [30, 40, 50, 60]]
    assert rows["area_px"].tolist() == [400, 400]
    assert rows["fill"].tolist() == [0.25, 0.25]
    assert rle.decode(rows["rle"][1], 100, 200)[40:60, 30:50].all()
    table = rows.assign(video="v", frame_index=4, object_id="0/0")
    write_table(table, MASKS, tmp_path / "masks.parquet")
    read = read_table(tmp_path / "masks.parquet", MASKS)
    assert read["segmenter"].tolist() == ["grabcut", "grabcut"]
    assert read[["predicted_iou", "object_score", "stability", "agreement"]].isna().all(axis=None)


def test_designator_mostly_outside_the_frame_is_skipped(picture: np.ndarray) -> None:
    assert segment(picture, [(-60, 30, 20, 70)], [0]).empty
    partly = segment(picture, [(-10, 30, 70, 70)], [0])
    assert partly["detection_id"].tolist() == [0]


def test_no_masks_and_no_designators_give_empty_tables(picture: np.ndarray, tmp_path: Path) -> None:
    for rows in (segment(np.full_like(picture, 30), [(20, 30, 60, 70)], [0]), segment(picture, [], [])):
        assert rows.empty
        table = rows.assign(video="v", frame_index=4, object_id="0/0")
        write_table(table, MASKS, tmp_path / "masks.parquet")
        assert read_table(tmp_path / "masks.parquet", MASKS).empty


@pytest.mark.parametrize(
    ("box", "share"),
    [((0, 0, 10, 10), 1), ((-5, 0, 5, 10), 0.5), ((195, 95, 205, 105), 0.25), ((300, 0, 310, 10), 0)],
    ids=["inside", "half off the left edge", "three quarters off a corner", "far off"],
)
def test_share_on_screen(box: tuple[float, ...], share: float) -> None:
    assert on_screen(np.array([box], float), 100, 200) == pytest.approx([share])
