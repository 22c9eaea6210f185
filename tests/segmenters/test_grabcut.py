import numpy as np
import pytest
import supervision as sv

from gotowce_dagster.core.boxes import BOX, xyxy
from gotowce_dagster.segmenters.grabcut import GrabCut
from gotowce_dagster.segmenters.targets import segment_targets
from tests.shipped import masks_params
from tests.support.synthetic import Bracket, Scene, Target


def scene(length: float, colour: tuple[int, int, int], shape: str = "freighter") -> Scene:
    target = Target(shape, length, start=(640, 360), velocity=(0, 0), colour=colour, bracket=Bracket())
    return Scene((target,), frames=1)


@pytest.mark.parametrize("length", [16, 60, 300], ids=["small", "medium", "large"])
def test_plain_target_is_segmented(length: float) -> None:
    shown = scene(length, (190, 190, 200))
    truth = shown.truth("clip").set_index("label")[BOX]
    boxes = truth.loc[["designator"]].to_numpy(float)
    params = masks_params()
    rows = segment_targets(shown.picture(0), sv.Detections(boxes), GrabCut("", params), params)
    found = xyxy(rows)
    assert sv.box_iou_batch(found, truth.loc[["object"]].to_numpy(float))[0, 0] >= 0.85


def test_same_image_gives_the_same_mask() -> None:
    shown = scene(60, (120, 130, 120))
    box = shown.truth("clip").query("label == 'designator'")[BOX].to_numpy(float)
    cutter = GrabCut("", masks_params())
    first, second = (cutter.segment(shown.picture(0), box)[0][0].mask for _ in range(2))
    assert np.array_equal(first, second)


def test_uniform_designator_gives_no_candidate() -> None:
    image = np.full((100, 100, 3), 30, np.uint8)
    assert GrabCut("", masks_params()).segment(image, np.array([[20.0, 20, 70, 70]])) == [[]]
