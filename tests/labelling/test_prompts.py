"""Masks are asked for where the target of each family stands relative to its mark."""

from collections.abc import Collection, Iterator
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from gotowce_dagster.core.progress import silent
from gotowce_dagster.core.tables import DETECTIONS, MASKS, empty
from gotowce_dagster.designators.profile import AnyDesignator, Profile
from gotowce_dagster.designators.relation import with_target
from gotowce_dagster.labelling.segment import segment
from gotowce_dagster.segmenters.base import Candidate
from gotowce_dagster.segmenters.prompts import point
from tests.designators.looks import CHEVRON, OUTLINE, RING
from tests.detectors.marks import TARGET
from tests.shipped import masks_params

BOX = np.array([140.0, 90, 170, 105])


class Spy:
    """Segments what its point is on: a disc of 4 pixels around it."""

    name, weights, device = "spy", "", "cpu"

    def __init__(self) -> None:
        self.points: list[np.ndarray] = []

    def segment(self, image: np.ndarray, boxes: np.ndarray) -> list[list[Candidate]]:
        y, x = np.indices(image.shape[:2])
        found = []
        for box in boxes:
            prompt = point(box).points
            assert prompt is not None
            self.points.append(prompt[0])
            mask = np.hypot(x - prompt[0][0], y - prompt[0][1]) <= 4
            found.append([Candidate(mask, "point@2", 0.9, 0.9)])
        return found


def images(wanted: Collection[int]) -> Iterator[tuple[int, np.ndarray]]:
    yield from ((index, np.full((240, 320, 3), 60, np.uint8)) for index in wanted)


@pytest.mark.parametrize(
    ("designator", "lowest", "highest"),
    [
        (TARGET, 94, 101),
        (OUTLINE, 94, 101),
        (CHEVRON, 110, 160),  # below the mark
        (RING, 70, 96),  # on the body, above the middle of the ring
    ],
    ids=["in brackets", "in an outline", "below a chevron", "above a ground ring"],
)
def test_point_is_where_the_target_stands(
    designator: AnyDesignator, lowest: float, highest: float, tmp_path: Path
) -> None:
    placed = with_target(designator, [BOX], [None])
    row = dict(zip(("x1", "y1", "x2", "y2"), BOX, strict=True)) | {
        "video": "a",
        "frame_index": 0,
        "detection_id": 0,
        "confidence": 0.9,
        "class_name": "ship",
        "detector": "bracket",
        "prompt": placed.name,
    }
    detections = pd.DataFrame([row], columns=DETECTIONS.names)
    frames = pd.DataFrame({"frame_index": [0], "time_s": [0.0], "shot": [0]})
    spy = Spy()
    masks = segment(
        detections,
        frames,
        images,
        lambda: spy,
        masks_params(),
        profile=Profile(name="p", designators=(placed,)),
        work=tmp_path,
        progress=silent,
    )
    assert len(spy.points) == 1
    x, y = spy.points[0]
    assert x == pytest.approx(155, abs=1)
    assert lowest <= y <= highest
    assert len(masks) == 1
    assert set(masks.columns) == set(empty(MASKS).columns)
