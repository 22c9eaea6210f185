from collections.abc import Sequence

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gotowce_dagster.labels.tracks import link

Row = tuple[int, float, float, float]
"""Frame, middle x and y, and side, in pixels."""


def detections(rows: Sequence[Row], classes: Sequence[str] | None = None) -> pd.DataFrame:
    table = pd.DataFrame(rows, columns=["frame_index", "x", "y", "side"])
    half = table["side"] / 2
    return pd.DataFrame(
        {
            "frame_index": table["frame_index"],
            "x1": table["x"] - half,
            "y1": table["y"] - half,
            "x2": table["x"] + half,
            "y2": table["y"] + half,
            "class_name": list(classes or ["hostile"] * len(rows)),
        }
    )


def frames(shots: Sequence[int], fps: float = 2.0) -> pd.DataFrame:
    number = np.arange(len(shots))
    return pd.DataFrame({"frame_index": number * 10, "time_s": number / fps, "shot": shots})


def linked(rows: Sequence[Row], shots: Sequence[int] = (0,) * 12, classes: Sequence[str] | None = None):
    return link(detections(rows, classes), frames(shots), gap_s=2.0, speed=8.0).tolist()


@pytest.mark.parametrize(
    ("rows", "expected"),
    [
        pytest.param([(0, 100, 100, 40), (10, 104, 101, 40)], ["0/0", "0/0"], id="it stays"),
        pytest.param(
            [(0, 100, 100, 40), (10, 250, 100, 40)], ["0/0", "0/0"], id="it flies past its own length"
        ),
        pytest.param([(0, 100, 100, 40), (10, 700, 500, 40)], ["0/0", "0/1"], id="another one, far off"),
        pytest.param(
            [(0, 100, 100, 40), (10, 102, 100, 95)], ["0/0", "0/1"], id="another one, twice as large"
        ),
        pytest.param([(0, 100, 100, 40), (30, 110, 100, 42)], ["0/0", "0/0"], id="two frames missed"),
        pytest.param([(0, 100, 100, 40), (60, 100, 100, 40)], ["0/0", "0/1"], id="gone for too long"),
        pytest.param(
            [(0, 100, 100, 40), (0, 400, 100, 40), (10, 405, 100, 40), (10, 105, 100, 40)],
            ["0/0", "0/1", "0/1", "0/0"],
            id="two at once, in any order",
        ),
        pytest.param(
            [
                *((t * 10, 100 + 80 * t, 200, 40) for t in range(5)),
                *((t * 10, 420 - 80 * t, 200, 40) for t in range(5)),
            ],
            ["0/0", "0/0", "0/0", "0/0", "0/0", "0/1", "0/1", "0/1", "0/1", "0/1"],
            id="two that cross keep their course",
        ),
    ],
)
def test_link(rows: list[Row], expected: list[str]) -> None:
    assert linked(rows) == expected


def test_a_cut_ends_every_object() -> None:
    rows = [(0, 100, 100, 40), (10, 100, 100, 40), (20, 100, 100, 40)]
    assert linked(rows, shots=(0, 0, 1)) == ["0/0", "0/0", "1/0"]


def test_classes_are_never_mixed() -> None:
    rows = [(0, 100, 100, 40), (10, 100, 100, 40)]
    assert linked(rows, classes=["hostile", "neutral"]) == ["0/0", "0/1"]


def test_nothing_to_link() -> None:
    assert linked([]) == []


@given(st.lists(st.tuples(st.integers(0, 11), st.integers(0, 600), st.integers(0, 600)), max_size=25))
def test_an_object_is_once_in_a_frame(places: list[tuple[int, int, int]]) -> None:
    rows = [(frame * 10, float(x), float(y), 40.0) for frame, x, y in places]
    named = detections(rows).assign(object_id=linked(rows))
    assert not named.duplicated(["frame_index", "object_id"]).any()


@given(st.permutations(range(8)))
def test_the_order_of_the_rows_does_not_matter(order: list[int]) -> None:
    rows = [(t * 10, 100.0 + 30 * t, 100.0, 40.0) for t in range(4)]
    rows += [(t * 10, 600.0, 100.0 + 30 * t, 40.0) for t in range(4)]
    shuffled = linked([rows[place] for place in order])
    objects = dict(zip(order, shuffled, strict=True))
    assert len({objects[place] for place in range(4)}) == 1
    assert len({objects[place] for place in range(4, 8)}) == 1
    assert objects[0] != objects[4]
