from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import supervision as sv
from hypothesis import given
from hypothesis import strategies as st

from gotowce_dagster.detectors.base import Cost, found
from gotowce_dagster.detectors.detect import detect_frames
from gotowce_dagster.labels.consensus import BOX, DISAGREEMENTS, agree, disagreements
from gotowce_dagster.params import ConsensusParams, DetectionsParams
from gotowce_dagster.tables import DETECTIONS, read_table, write_table

TOLD = ConsensusParams(iou=0.5, box_iou=0.75, quorum=1, weights={})
Found = tuple[str, float, float, float, float, float, str]


def rows(*found: Found) -> pd.DataFrame:
    """detector, box, confidence, class."""
    table = pd.DataFrame(found, columns=["detector", *BOX, "confidence", "class_name"])
    table[[*BOX, "confidence"]] = table[[*BOX, "confidence"]].astype(float)
    corners = table["detector"].map({"a": 4}).astype("Int8")
    return table.assign(prompt="p-" + table["detector"].astype(str), visible_corners=corners)


def told(**other: Any) -> ConsensusParams:
    return TOLD.model_copy(update=other)


def test_boxes_are_means_weighted_by_confidence() -> None:
    made = agree(rows(("a", 0, 0, 100, 100, 0.9, "x"), ("b", 10, 0, 110, 100, 0.3, "x")), ["a", "b"], TOLD)
    (one,) = made.rows.to_dict("records")
    assert [one[side] for side in BOX] == pytest.approx([2.5, 0, 102.5, 100])
    assert one["confidence"] == pytest.approx(0.6)
    assert (one["detector"], one["prompt"], one["visible_corners"]) == ("a+b", "p-a", 4)
    assert [(vote["detector"], vote["x1"], vote["confidence"]) for vote in one["votes"]] == [
        ("a", 0, 0.9),
        ("b", 10, 0.3),
    ]
    assert made.disagreements.empty


def test_a_detector_can_count_more() -> None:
    boxes = rows(("a", 0, 0, 100, 100, 0.8, "x"), ("b", 10, 0, 110, 100, 0.8, "x"))
    one = agree(boxes, ["a", "b"], told(weights={"a": 4.0})).rows.iloc[0]
    assert one["x1"] == pytest.approx(2)
    alone = agree(boxes[:1], ["a", "b"], told(weights={"a": 4.0})).rows.iloc[0]
    assert alone["confidence"] == pytest.approx(0.8 * 4 / 5)


@pytest.mark.parametrize(
    ("boxes", "expected"),
    [
        ([("a", 0, 0, 100, 100, 0.9, "x"), ("b", 0, 0, 100, 100, 0.9, "x")], [("missed", "c")]),
        ([("a", 0, 0, 100, 100, 0.9, "x")], [("extra", "a")]),
        (
            [
                ("a", 0, 0, 100, 100, 0.9, "x"),
                ("b", 0, 0, 100, 100, 0.8, "y"),
                ("c", 0, 0, 100, 100, 0.8, "x"),
            ],
            [("class", "b")],
        ),
        (
            [
                ("a", 0, 0, 100, 100, 0.9, "x"),
                ("b", 0, 0, 100, 100, 0.9, "x"),
                ("c", 20, 20, 112, 112, 0.9, "x"),
            ],
            [("box", "c")],
        ),
    ],
    ids=["missed by one", "extra of one", "another class", "another box"],
)
def test_disagreements_have_a_kind_and_a_name(boxes: list[Found], expected: list[tuple[str, str]]) -> None:
    made = agree(rows(*boxes), ["a", "b", "c"], TOLD)
    assert len(made.rows) == 1
    assert list(made.disagreements[["kind", "detector"]].itertuples(index=False, name=None)) == expected


@pytest.mark.parametrize(("quorum", "kept"), [(1, 2), (2, 1), (3, 0)])
def test_a_quorum_decides_what_stays_but_not_what_is_told(quorum: int, kept: int) -> None:
    boxes = rows(
        ("a", 0, 0, 100, 100, 0.9, "x"), ("b", 0, 0, 100, 100, 0.9, "x"), ("c", 500, 0, 600, 100, 0.9, "x")
    )
    made = agree(boxes, ["a", "b", "c"], told(quorum=quorum))
    assert len(made.rows) == kept
    assert sorted(made.disagreements["kind"]) == ["extra", "missed"]


def test_a_detector_has_one_vote_an_object() -> None:
    boxes = rows(("a", 0, 0, 100, 100, 0.9, "x"), ("a", 5, 0, 105, 100, 0.8, "x"))
    made = agree(boxes, ["a", "b"], TOLD)
    assert made.rows["detector"].tolist() == ["a", "a"]


def test_nothing_found_agrees_on_nothing() -> None:
    made = agree(rows(), ["a", "b"], TOLD)
    assert made.rows.empty
    assert "votes" in made.rows
    assert made.disagreements.columns.tolist() == DISAGREEMENTS


side = st.integers(0, 60).map(float)
row = st.tuples(
    st.sampled_from("abc"),
    side,
    side,
    st.integers(61, 120).map(float),
    st.integers(61, 120).map(float),
    st.sampled_from([0.0, 0.5, 0.5, 0.9, 1.0]),
    st.sampled_from("xy"),
)


@given(st.lists(row, max_size=9), st.randoms(use_true_random=False), st.integers(1, 3))
def test_the_order_of_rows_and_detectors_changes_nothing(
    found: list[Found], random: Any, quorum: int
) -> None:
    shuffled, detectors = list(found), list("abc")
    random.shuffle(shuffled)
    random.shuffle(detectors)
    one = agree(rows(*found), list("abc"), told(quorum=quorum))
    other = agree(rows(*shuffled), detectors, told(quorum=quorum))
    pd.testing.assert_frame_equal(one.rows, other.rows)
    pd.testing.assert_frame_equal(one.disagreements, other.disagreements)


@given(st.lists(row, max_size=9))
def test_every_box_is_a_vote_for_one_object_that_lies_among_its_votes(found: list[Found]) -> None:
    made = agree(rows(*found), list("abc"), TOLD).rows
    votes = [vote for kept in made["votes"] for vote in kept]
    assert sorted((v["detector"], *(v[s] for s in BOX)) for v in votes) == sorted(r[:5] for r in found)
    for one in made.to_dict("records"):
        boxes = np.array([[vote[s] for s in BOX] for vote in one["votes"]])
        fused = np.array([one[s] for s in BOX])
        assert (fused >= boxes.min(axis=0) - 1e-6).all()
        assert (fused <= boxes.max(axis=0) + 1e-6).all()
        assert 0 <= one["confidence"] <= 1
        voters = one["detector"].split("+")
        assert len(voters) == len(set(voters)) == len(boxes)


class Says:
    """A detector that says the same of every image."""

    version = "1"
    weights: tuple[str, ...] = ()

    def __init__(
        self, name: str, *boxes: tuple[float, float, float, float, float], unanswered: str = ""
    ) -> None:
        self.name, self.cost = name, Cost()
        self._metadata = {"unanswered": unanswered} if unanswered else {}
        self._boxes = np.array(boxes).reshape(-1, 5)

    def detect(self, images: Any) -> list[sv.Detections]:
        count = len(self._boxes)
        one = found(self._boxes[:, :4], self._boxes[:, 4], ["target"] * count, [self.name] * count)
        one.metadata = self._metadata
        return [one for _ in images]


def test_the_table_of_detections_keeps_the_votes(tmp_path: Path) -> None:
    detectors = [
        Says("left", (10, 10, 50, 50, 0.9), (300, 10, 350, 50, 0.8)),
        Says("right", (12, 10, 52, 50, 0.7), (100, 100, 150, 150, 0.4)),
    ]
    image = np.zeros((200, 400, 3), np.uint8)
    table = detect_frames("clip", [(3, image), (7, image)], detectors, 0.5, TOLD)
    write_table(table, DETECTIONS, tmp_path / "clip.parquet")
    kept = read_table(tmp_path / "clip.parquet", DETECTIONS)
    assert kept["detector"].tolist() == ["left+right", "left"] * 2
    assert kept["confidence"].tolist() == pytest.approx([0.8, 0.4] * 2)
    assert kept["detection_id"].tolist() == [0, 1] * 2
    against = disagreements(kept, ["left", "right"], TOLD)
    assert against[["frame_index", "detection_id", "kind", "detector"]].to_numpy().tolist() == [
        [3, 1, "extra", "left"],
        [7, 1, "extra", "left"],
    ]
    write_table(kept, DETECTIONS, tmp_path / "again.parquet")
    one = detect_frames("clip", [(3, image)], detectors[:1], 0.5, TOLD)
    apart = detect_frames("clip", [(3, image)], detectors, 0.3)
    assert (len(one), len(apart)) == (2, 4)
    assert one["votes"].isna().all()
    assert apart["votes"].isna().all()
    assert disagreements(apart, ["left", "right"], TOLD).empty


def test_who_could_not_look_has_missed_nothing() -> None:
    image = np.zeros((200, 400, 3), np.uint8)
    box = (10.0, 10.0, 50.0, 50.0, 0.8)
    for unanswered, confidence in (("no answer in time", 0.8), ("", 0.4)):
        detectors = [Says("left", box), Says("right", unanswered=unanswered)]
        (row,) = detect_frames("clip", [(0, image)], detectors, 0.5, TOLD).to_dict("records")
        assert row["confidence"] == pytest.approx(confidence)


@pytest.mark.parametrize(
    ("count", "consensus", "match"),
    [
        (2, {"quorum": 3}, "3 of 2 detectors can never agree"),
        (2, {"weights": {"nobody": 2.0}}, "no detector is named nobody"),
        (2, {"weights": {"d0": 0.0}}, "greater than 0"),
        (1, {"quorum": 3}, None),
        (2, {"quorum": 2}, None),
    ],
)
def test_parameters_that_cannot_be_met(count: int, consensus: dict[str, Any], match: str | None) -> None:
    content = {
        "detectors": {f"d{n}": {"kind": "bracket"} for n in range(count)},
        "min_confidence": 0.5,
        "max_per_frame": 4,
        "consensus": TOLD.model_dump() | consensus,
    }
    if match is None:
        assert DetectionsParams.model_validate(content).consensus
        return
    with pytest.raises(ValueError, match=match):
        DetectionsParams.model_validate(content)
