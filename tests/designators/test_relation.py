import numpy as np
import pandas as pd
import pytest

from gotowce_dagster.designators.profile import AnyDesignator, Profile
from gotowce_dagster.designators.relation import at_targets, regions, with_target
from tests.designators.looks import CHEVRON, RING
from tests.detectors.marks import TARGET

MARKS = [np.array([100.0, 50, 120, 60]), np.array([300.0, 80, 320, 90]), np.array([200.0, 10, 220, 20])]


@pytest.mark.parametrize(
    ("designator", "where", "region"),
    [
        (TARGET, "inside", [100, 50, 120, 60]),
        (CHEVRON, "beside", [80, 60, 140, 100]),
        (RING, "on", [100, 35, 120, 60]),
    ],
    ids=["corners", "chevron", "ground ring"],
)
def test_without_boxes_of_targets_the_family_says_where_they_are(
    designator: AnyDesignator, where: str, region: list[float]
) -> None:
    fitted = with_target(designator, MARKS, [None] * 3)
    assert (fitted.target.where, fitted.target.learned) == (where, False)
    assert regions(fitted, MARKS[0][None])[0].tolist() == pytest.approx(region)


def test_place_is_learned_in_sizes_of_the_mark() -> None:
    targets = [box + np.array([-10, 20, 10, 60]) for box in MARKS]
    fitted = with_target(CHEVRON, MARKS, [targets[0], None, targets[2]])
    assert fitted.target.learned
    assert fitted.target.box == (-0.5, 2.0, 1.5, 7.0)
    assert regions(fitted, np.stack(MARKS)).tolist() == [t.tolist() for t in targets]


def test_brackets_with_targets_below_are_beside_them() -> None:
    fitted = with_target(TARGET, MARKS, [box + np.array([0, 10, 0, 10]) for box in MARKS])
    assert fitted.target.where == "beside"


def test_masks_are_asked_for_where_the_target_stands() -> None:
    below = with_target(CHEVRON, MARKS, [None] * 3)
    brackets = TARGET.model_copy(update={"name": "hostile"})
    rows = pd.DataFrame(
        [[*MARKS[0], "m"], [*MARKS[1], "hostile"]], columns=["x1", "y1", "x2", "y2", "prompt"]
    )
    moved = at_targets(rows, Profile(name="p", designators=(below, brackets)))
    assert moved.iloc[0, :4].tolist() == [65, 50, 155, 110]  # three marks wide, four high, and room around
    assert moved.iloc[1].tolist() == rows.iloc[1].tolist()
    assert rows.iloc[0, :4].tolist() == MARKS[0].tolist()
