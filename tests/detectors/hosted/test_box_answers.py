import json
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gotowce_dagster.detectors.hosted.box_answers import (
    Coordinates,
    Fault,
    Repair,
    UnreadableError,
    find_json,
    parse_boxes,
    parse_count,
)
from gotowce_dagster.detectors.phrases import Phrases

SIZE = (400, 200)
ONE = Phrases({"target": ["a bracket"]})
TWO = Phrases({"target": ["a square bracket"], "ship": ["a big ship"]})


def box(
    x1: Any, y1: Any, x2: Any, y2: Any, label: str = "a bracket", confidence: Any = 0.5
) -> dict[str, Any]:
    return {"label": label, "x1": x1, "y1": y1, "x2": x2, "y2": y2, "confidence": confidence}


def reply(*boxes: Any, coordinates: str = "pixel") -> str:
    return json.dumps({"coordinates": coordinates, "boxes": list(boxes)})


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ('{"a": 1}', {"a": 1}),
        ("  [1, 2]\n", [1, 2]),
        ('Sure!\n```json\n{"a": [1]}\n```', {"a": [1]}),
        ('Sure: {"a": 1}. Anything else?', {"a": 1}),
        ("I am sorry.", Fault.PROSE),
        ("", Fault.PROSE),
        ("I cannot {really} help.", Fault.PROSE),
        ('{"a": [1, ', Fault.BROKEN),
        ('Sure: {"a": 1', Fault.BROKEN),
        ("```json\n{a: 1}\n```", Fault.BROKEN),
        ("{__import__('os').system('true')}", Fault.BROKEN),
        ("[" * 100_000, Fault.BROKEN),
    ],
)
def test_find_json(text: str, value: Any) -> None:
    if not isinstance(value, Fault):
        assert find_json(text) == value
        return
    with pytest.raises(UnreadableError) as caught:
        find_json(text)
    assert caught.value.fault == value


@pytest.mark.parametrize(
    ("text", "asked", "xyxy", "repaired"),
    [
        (reply(box(10, 20, 30, 40)), "pixel", [10, 20, 30, 40], None),
        (reply(box("10", 20, 30.0, 40)), "pixel", [10, 20, 30, 40], None),
        (json.dumps([box(10, 20, 30, 40)]), "pixel", [10, 20, 30, 40], None),
        (reply(box(30, 20, 10, 40)), "pixel", [10, 20, 30, 40], Repair.SWAPPED),
        (reply(box(-5, 20, 30, 240)), "pixel", [0, 20, 30, 200], Repair.CLIPPED),
        (reply(box(0.1, 0.1, 0.5, 0.5)), "pixel", [40, 20, 200, 100], Repair.CONVENTION),
        (
            reply(box(0.1, 0.1, 0.5, 0.5), coordinates="thousand"),
            "pixel",
            [40, 20, 200, 100],
            Repair.CONVENTION,
        ),
        (reply(box(40, 20, 390, 100), coordinates="unit"), "unit", [40, 20, 390, 100], Repair.CONVENTION),
        (
            reply(box(100, 500, 900, 990), coordinates="unit"),
            "unit",
            [40, 100, 360, 198],
            Repair.CONVENTION,
        ),
        (reply(box(0.1, 0.1, 0.5, 0.5), coordinates="unit"), "unit", [40, 20, 200, 100], None),
        (reply(box(0.1, 0.1, 0.5, 0.5), coordinates="unit"), "pixel", [40, 20, 200, 100], Repair.OTHER),
        (reply(box(10, 20, 30, 40, label="Brackets!")), "pixel", [10, 20, 30, 40], Repair.LABEL),
        (reply(box(10, 20, 30, 40, confidence=None)), "pixel", [10, 20, 30, 40], Repair.CONFIDENCE),
        (reply(box(10, 20, 30, 40, confidence=50)), "pixel", [10, 20, 30, 40], Repair.CONFIDENCE),
    ],
)
def test_repairs(text: str, asked: Coordinates, xyxy: list[float], repaired: Repair | None) -> None:
    parsed = parse_boxes(text, SIZE, ONE, asked)
    np.testing.assert_allclose(parsed.xyxy, [xyxy])
    assert dict(parsed.repaired) == ({repaired: 1} if repaired else {})
    assert parsed.fault is None
    assert parsed.owners == [("target", "a bracket")]


@pytest.mark.parametrize(
    ("bad", "fault"),
    [
        (box(500, 20, 600, 40), Fault.OUTSIDE),
        (box(-50, 20, -10, 40), Fault.OUTSIDE),
        (box(10, 20, 10, 40), Fault.EMPTY),
        (box(10, 20, None, 40), Fault.FORM),
        (box(10, 20, float("nan"), 40), Fault.FORM),
        (box(10, 20, float("inf"), 40), Fault.FORM),
        (box("left", 20, 30, 40), Fault.FORM),
        ("nowhere", Fault.FORM),
        (None, Fault.FORM),
        (box(10, 20, 30, 40, label="an umbrella"), Fault.UNKNOWN),
    ],
)
def test_one_bad_box_does_not_cost_the_others(bad: Any, fault: Fault) -> None:
    parsed = parse_boxes(reply(bad, box(50, 60, 70, 80, label="a big ship")), SIZE, TWO)
    np.testing.assert_allclose(parsed.xyxy, [[50, 60, 70, 80]])
    assert parsed.owners == [("ship", "a big ship")]
    assert dict(parsed.dropped) == {fault: 1}
    assert parsed.fault is None
    alone = parse_boxes(reply(bad), SIZE, TWO)
    assert (len(alone.xyxy), alone.fault) == (0, fault)


@pytest.mark.parametrize(
    "text", ['{"boxes": 3}', '{"count": 3}', "3", '"no"', "null", '{"coordinates": "mm", "boxes": []}']
)
def test_another_form_is_a_fault(text: str) -> None:
    assert parse_boxes(text, SIZE, ONE).fault in (Fault.FORM, Fault.PROSE)


def test_an_empty_list_is_a_good_answer() -> None:
    assert parse_boxes(reply(), SIZE, ONE).fault is None


@pytest.mark.parametrize(
    ("text", "count"),
    [('{"count": 2}', 2), ('{"count": "2"}', 2), ('{"count": -1}', None), ("two", None), ("[2]", None)],
)
def test_counts(text: str, count: int | None) -> None:
    assert parse_count(text) == count


@given(
    st.text()
    | st.recursive(
        st.none() | st.floats() | st.text() | st.integers(),
        lambda s: (
            st.lists(s)
            | st.dictionaries(
                st.sampled_from(["boxes", "coordinates", "x1", "x2", "y1", "y2", "label", "confidence"]), s
            )
        ),
    ).map(json.dumps)
)
def test_no_response_crashes_the_parser_or_leaves_the_image(text: str) -> None:
    parsed = parse_boxes(text, SIZE, ONE)
    assert len(parsed.xyxy) == len(parsed.confidence) == len(parsed.owners)
    assert (parsed.xyxy >= 0).all()
    assert (parsed.xyxy <= [400, 200, 400, 200]).all()
    assert ((parsed.confidence >= 0) & (parsed.confidence <= 1)).all()


corner = st.tuples(st.floats(0, 0.9), st.floats(0, 0.9), st.floats(0.02, 0.1), st.floats(0.02, 0.1))


@given(
    st.lists(corner, min_size=1, max_size=4),
    st.sampled_from(["pixel", "unit", "thousand"]),
    st.sampled_from(["pixel", "unit", "thousand"]),
    st.booleans(),
)
def test_any_convention_that_is_stated_gives_the_same_boxes(
    corners: list[tuple[float, float, float, float]],
    stated: Coordinates,
    asked: Coordinates,
    is_swapped: bool,
) -> None:
    shares = np.array([[x, y, x + w, y + h] for x, y, w, h in corners])
    scale = {"pixel": np.tile(SIZE, 2), "unit": np.ones(4), "thousand": np.full(4, 1000)}[stated]
    numbers = shares * scale
    if is_swapped:
        numbers = numbers[:, [2, 3, 0, 1]]
    parsed = parse_boxes(
        reply(*(box(*row) for row in numbers.tolist()), coordinates=stated), SIZE, ONE, asked
    )
    np.testing.assert_allclose(parsed.xyxy, shares * np.tile(SIZE, 2), atol=1e-6)
    assert parsed.repaired[Repair.SWAPPED] == (len(corners) if is_swapped else 0)
    assert parsed.repaired[Repair.CONVENTION] == 0
