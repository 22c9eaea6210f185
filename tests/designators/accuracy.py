"""Accuracy of a learned designator on a drawn scene."""

from collections.abc import Collection, Sequence

import numpy as np
import supervision as sv

from gotowce_dagster.designators.evidence import to_ycrcb
from gotowce_dagster.designators.profile import AnyDesignator
from gotowce_dagster.designators.sightings import SURE, marks
from tests.marks_scenes import MarkScene


def accuracy(
    scene: MarkScene, designator: AnyDesignator, images: Sequence[np.ndarray], examples: Collection[int]
) -> tuple[list[float], int]:
    """The best IoU of each whole mark, and the number of false positives, in frames without an example."""
    ious, wrong = [], 0
    for index, image in enumerate(images):
        if index in examples:
            continue
        found = np.array([s.box for s in marks(to_ycrcb(image), designator, SURE)]).reshape(-1, 4)
        drawn = np.array([d.mark for d in scene.truth(index) if d.whole]).reshape(-1, 4)
        iou = sv.box_iou_batch(drawn, found) if len(found) else np.zeros((len(drawn), 0))
        ious += iou.max(axis=1, initial=0).tolist()
        wrong += int((iou.max(axis=0, initial=0) < 0.5).sum()) if len(drawn) else 0
    return ious, wrong
