"""Where the target stands relative to its mark, and what a segmenter is asked for.

What is learned is one box in units of the mark: signs beside a target keep their size while targets do not,
so such a box is a region in which to look, not the target's own.
"""

from collections.abc import Sequence
from typing import Literal

import numpy as np
import pandas as pd

from gotowce_dagster.core.boxes import BOX
from gotowce_dagster.designators.picture import read
from gotowce_dagster.designators.profile import AnyDesignator, LearnedLook, Profile, Target

USUAL: dict[str, Target] = {
    "corners": Target(where="inside", box=(0, 0, 1, 1)),
    "frame": Target(where="inside", box=(0, 0, 1, 1)),
    "radial": Target(where="inside", box=(0, 0, 1, 1)),
    "beside": Target(where="beside", box=(-1, 1, 2, 5)),
    "outline": Target(where="enclosed", box=(0, 0, 1, 1)),
    "ground": Target(where="on", box=(0, -1.5, 1, 1)),
}
"""Where the target of each family is, for want of boxes of targets."""
_THROUGH = 0.2
"""Mean opacity of its middle up to which a learned mark shows the target through it."""


def usual_target(designator: AnyDesignator) -> Target:
    """Where the target of a designator is, for want of boxes of targets."""
    if not isinstance(designator, LearnedLook):
        return USUAL[designator.family]
    opacity = read(designator.picture).opacity
    y, x = (max(side // 4, 1) for side in opacity.shape)
    return USUAL["corners" if opacity[y:-y, x:-x].mean() <= _THROUGH else "beside"]


def with_target(
    designator: AnyDesignator, boxes: Sequence[np.ndarray], targets: Sequence[np.ndarray | None]
) -> AnyDesignator:
    """The designator with the place of its target, learned where targets are given.

    Args:
        boxes: of the marks, float (4,) xyxy.
        targets: of their targets; None where none is given.
    """
    usual = usual_target(designator)
    pairs = [(box, target) for box, target in zip(boxes, targets, strict=True) if target is not None]
    if not pairs:
        return designator.model_copy(update={"target": usual})
    relative = [
        (target - np.tile(box[:2], 2)) / np.tile(np.maximum(box[2:] - box[:2], 1), 2) for box, target in pairs
    ]
    middle = np.median(relative, axis=0)
    where: Literal["inside", "beside", "enclosed", "on"] = usual.where
    if usual.where == "inside" and (middle[1] >= 0.9 or middle[3] <= 0.1):
        where = "beside"
    x1, y1, x2, y2 = (round(float(value), 2) for value in middle)
    return designator.model_copy(update={"target": Target(where=where, box=(x1, y1, x2, y2), learned=True)})


def regions(designator: AnyDesignator, boxes: np.ndarray) -> np.ndarray:
    """Where the targets of marks are: float (n, 4) xyxy.

    Args:
        boxes: of the marks, (n, 4).
    """
    size = np.tile(boxes[:, 2:] - boxes[:, :2], 2)
    return np.tile(boxes[:, :2], 2) + np.array(designator.target.box) * size


def at_targets(detections: pd.DataFrame, profile: Profile, room: float = 0.25) -> pd.DataFrame:
    """Detections with the region of the target for a box, where the target is not inside its mark.

    Args:
        detections: columns of tables.DETECTIONS; ``prompt`` names the designator.
        room: by which share of its sides such a region is wider: a segmenter needs to see around a target.

    Returns:
        The same rows. Prompts follow from their boxes (segmenters/prompts.py), so that points are below a
        chevron and on the body above a ring on the ground.
    """
    moved = detections.copy()
    for designator in profile.designators:
        if designator.target.where in ("inside", "enclosed"):
            continue  # the mark is the region, and its rim shows the background
        rows = detections["prompt"].eq(designator.name)
        region = regions(designator, detections.loc[rows, BOX].to_numpy(float))
        margin = room * np.tile(region[:, 2:] - region[:, :2], 2) * (-1, -1, 1, 1)
        moved.loc[rows, BOX] = region + margin
    return moved
