from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import supervision as sv
from hypothesis import given
from hypothesis import strategies as st

from gotowce_dagster.config.params import ConsensusParams, DetectionsParams
from gotowce_dagster.core.tables import DETECTIONS, read_table, write_table
from gotowce_dagster.detectors.base import tidied
from gotowce_dagster.detectors.consensus import BOX, agree, who_found
from gotowce_dagster.detectors.detect import detect_frames
from tests.detectors.fixed import Fixed

PARAMS = ConsensusParams(iou=0.5, quorum=1, weights={})
Found = tuple[str, float, float, float, float, float, str]


def rows(*found: Found) -> pd.DataFrame:
    """detector, box, confidence, class."""
    table = pd.DataFrame(found, columns=["detector", *BOX, "confidence", "class_name"])
    table[[*BOX, "confidence"]] = table[[*BOX, "confidence"]].astype(float)
    corners = table["detector"].map({"a": 4}).astype("Int8")
    return table.assign(prompt="p-" + table["detector"].astype(str), visible_corners=corners)


def params(**other: Any) -> ConsensusParams:
    return PARAMS.model_copy(update=other)


def test_boxes_are_means_weighted_by_confidence() -> None:
    made = agree(rows(("a", 0, 0, 100, 100, 0.9, "x"), ("b", 10, 0, 110, 100, 0.3, "x")), ["a", "b"], PARAMS)
    (one,) = made.rows.to_dict("records")
    assert [one[side] for side in BOX] == pytest.approx([2.5, 0, 102.5, 100])
    assert one["confidence"] == pytest.approx(0.6)
    assert (one["detector"], one["prompt"], one["visible_corners"]) == ("a+b", "p-a", 4)
    assert [(vote["detector"], vote["x1"], vote["confidence"]) for vote in one["votes"]] == [
        ("a", 0, 0.9),
        ("b", 10, 0.3),
    ]


def test_a_detector_can_count_more() -> None:
    boxes = rows(("a", 0, 0, 100, 100, 0.8, "x"), ("b", 10, 0, 110, 100, 0.8, "x"))
    one = agree(boxes, ["a", "b"], params(weights={"a": 4.0})).rows.iloc[0]
    assert one["x1"] == pytest.approx(2)
    alone = agree(boxes[:1], ["a", "b"], params(weights={"a": 4.0})).rows.iloc[0]
    assert alone["confidence"] == pytest.approx(0.8 * 4 / 5)


@pytest.mark.parametrize(
    ("votes", "everyone", "expected"),
    [
        ("a:x b:x", "ab", None),
        ("b:x a:x", "abc", "a and b found it, c did not"),
        ("c:x", "abc", "c found it, a and b did not"),
        ("a:x b:y", "ab", "a and b found it, b calls it y"),
        ("a:x b:y", "abc", "a and b found it, c did not, b calls it y"),
    ],
    ids=["all the same", "missed by one", "found by one", "another class", "missed and another class"],
)
def test_who_found_an_object(votes: str, everyone: str, expected: str | None) -> None:
    kept = [dict(zip(("detector", "class_name"), vote.split(":"), strict=True)) for vote in votes.split()]
    assert who_found(kept, "x", everyone) == expected


@pytest.mark.parametrize(("quorum", "kept"), [(1, 2), (2, 1), (3, 0)])
def test_a_quorum_decides_what_stays_and_the_rest_is_counted(quorum: int, kept: int) -> None:
    boxes = rows(
        ("a", 0, 0, 100, 100, 0.9, "x"), ("b", 0, 0, 100, 100, 0.9, "x"), ("c", 500, 0, 600, 100, 0.9, "x")
    )
    made = agree(boxes, ["a", "b", "c"], params(quorum=quorum))
    assert (len(made.rows), made.short) == (kept, 2 - kept)


def test_a_detector_has_one_vote_per_object() -> None:
    boxes = rows(("a", 0, 0, 100, 100, 0.9, "x"), ("a", 5, 0, 105, 100, 0.8, "x"))
    made = agree(boxes, ["a", "b"], PARAMS)
    assert made.rows["detector"].tolist() == ["a", "a"]


def test_no_boxes_give_no_objects() -> None:
    made = agree(rows(), ["a", "b"], PARAMS)
    assert made.rows.empty
    assert "votes" in made.rows
    assert made.short == 0


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
    one = agree(rows(*found), list("abc"), params(quorum=quorum))
    other = agree(rows(*shuffled), detectors, params(quorum=quorum))
    pd.testing.assert_frame_equal(one.rows, other.rows)
    assert one.short == other.short


@given(st.lists(row, max_size=9))
def test_every_box_is_a_vote_for_one_object_that_lies_among_its_votes(found: list[Found]) -> None:
    made = agree(rows(*found), list("abc"), PARAMS).rows
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


def test_the_table_of_detections_keeps_the_votes(tmp_path: Path) -> None:
    detectors = [
        Fixed("left", (10, 10, 50, 50, 0.9), (300, 10, 350, 50, 0.8)),
        Fixed("right", (12, 10, 52, 50, 0.7)),
    ]
    image = np.zeros((200, 400, 3), np.uint8)
    table = detect_frames("clip", [(3, image), (7, image)], detectors, PARAMS).rows
    write_table(table, DETECTIONS, tmp_path / "clip.parquet")
    kept = read_table(tmp_path / "clip.parquet", DETECTIONS)
    assert kept["detector"].tolist() == ["left+right", "left"] * 2
    assert kept["confidence"].tolist() == pytest.approx([0.8, 0.4] * 2)
    assert kept["detection_id"].tolist() == [0, 1] * 2
    strict = detect_frames("clip", [(3, image), (7, image)], detectors, params(quorum=2))
    assert (strict.rows["detector"].tolist(), strict.notes()) == (["left+right"] * 2, {"short": 2})
    write_table(kept, DETECTIONS, tmp_path / "again.parquet")
    one = detect_frames("clip", [(3, image)], detectors[:1], PARAMS).rows
    apart = detect_frames("clip", [(3, image)], detectors).rows
    assert (len(one), len(apart)) == (2, 3)
    assert one["votes"].isna().all()
    assert apart["votes"].isna().all()


def test_detectors_without_a_response_are_not_counted_as_missing() -> None:
    image = np.zeros((200, 400, 3), np.uint8)
    box = (10.0, 10.0, 50.0, 50.0, 0.8)
    for unanswered, confidence in (("no answer in time", 0.8), ("", 0.4)):
        detectors = [Fixed("left", box), Fixed("right", unanswered=unanswered)]
        (row,) = detect_frames("clip", [(0, image)], detectors, PARAMS).rows.to_dict("records")
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
def test_impossible_parameters_are_refused(count: int, consensus: dict[str, Any], match: str | None) -> None:
    content = {
        "detectors": {f"d{n}": {"kind": "bracket"} for n in range(count)},
        "max_per_frame": 4,
        "consensus": PARAMS.model_dump() | consensus,
    }
    if match is None:
        assert DetectionsParams.model_validate(content).consensus
        return
    with pytest.raises(ValueError, match=match):
        DetectionsParams.model_validate(content)


def _fused_by_the_package(
    found: pd.DataFrame, detectors: list[str], weights: dict[str, float]
) -> list[tuple[float, ...]]:
    """Confidence and box (in pixels of a frame of 1000 x 1000) by ensemble-boxes' weighted boxes fusion."""
    from ensemble_boxes import weighted_boxes_fusion

    parts = [found[found["detector"] == name] for name in detectors]
    boxes, confidence, _ = weighted_boxes_fusion(
        [(part[BOX].to_numpy() / 1000).tolist() for part in parts],
        [part["confidence"].tolist() for part in parts],
        [[0] * len(part) for part in parts],
        weights=[weights.get(name, 1.0) for name in detectors],
        iou_thr=PARAMS.iou,
    )
    return sorted(zip(confidence.tolist(), *(boxes.T * 1000).tolist(), strict=True))


@pytest.mark.slow
@pytest.mark.parametrize("weights", [{}, {"a": 3.0, "c": 0.5}], ids=["equal", "weighted"])
@pytest.mark.parametrize("seed", range(5))
def test_consensus_is_that_of_ensemble_boxes(seed: int, weights: dict[str, float]) -> None:
    """Ten objects, each seen by some of three detectors, a few pixels apart."""
    rng = np.random.default_rng(seed)
    votes: list[Found] = []
    for number in range(10):
        corner = np.array([number % 5, number // 5]) * 200.0 + 20
        for name in "abc":
            if rng.random() < 0.7:
                box = np.concatenate([corner, corner + 80]) + rng.uniform(-6, 6, 4)
                votes.append((name, *box.tolist(), float(rng.uniform(0.1, 1)), "x"))
    found = rows(*votes)
    made = agree(found, list("abc"), params(weights=weights)).rows
    ours = sorted(made[["confidence", *BOX]].itertuples(index=False, name=None))
    # The package computes in single precision.
    np.testing.assert_allclose(ours, _fused_by_the_package(found, list("abc"), weights), atol=2e-3)


def test_unlike_ensemble_boxes_a_detector_votes_once() -> None:
    found = rows(("a", 0, 0, 100, 100, 0.9, "x"), ("a", 5, 0, 105, 100, 0.8, "x"))
    assert len(agree(found, ["a", "b"], PARAMS).rows) == 2
    assert len(_fused_by_the_package(found, ["a", "b"], {})) == 1


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(3))
def test_duplicates_are_suppressed_as_by_ensemble_boxes(seed: int) -> None:
    from ensemble_boxes import nms

    rng = np.random.default_rng(seed)
    corner = rng.uniform(0, 200, (40, 2))
    boxes = np.hstack([corner, corner + rng.uniform(40, 90, (40, 2))])
    confidence = rng.permutation(np.linspace(0.1, 1, 40))
    classes = rng.integers(0, 2, 40)
    found = sv.Detections(boxes, confidence=confidence)
    found.data = {"class_name": np.array(["x", "y"])[classes], "prompt": np.full(40, "p")}
    kept = tidied(found, (300, 300, 3), min_confidence=0, nms_iou=0.5)
    expected, scores, _ = nms([boxes / 300], [confidence], [classes], iou_thr=0.5)
    assert len(kept) < 40
    assert kept.confidence is not None
    order, same = np.argsort(-kept.confidence), np.argsort(-scores)
    np.testing.assert_allclose(kept.confidence[order], scores[same], atol=1e-6)
    np.testing.assert_allclose(kept.xyxy[order], expected[same] * 300, atol=1e-3)
