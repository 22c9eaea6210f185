from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import supervision as sv

from gotowce_dagster.core.boxes import BOX
from gotowce_dagster.evaluation.evaluate import (
    KnownFrames,
    apart_from_training,
    designator_cases,
    joined,
    known_frames,
    model_cases,
    target_cases,
)
from gotowce_dagster.labels.reviewed import NO_OBJECT
from tests.support.synthetic import Scene, write_scene


def _known() -> KnownFrames:
    """A designator with its object at 0, a partial one at 10, nothing at 20; frames a second apart."""
    rows = [
        (0, 0, 0, 40, 40, "designator"),
        (0, 10, 10, 20, 20, "object"),
        (10, 90, 0, 100, 40, "designator_partial"),
        (20, np.nan, np.nan, np.nan, np.nan, "none"),
    ]
    truth = pd.DataFrame(rows, columns=["frame_index", *BOX, "label"]).assign(clip="v.mp4")
    images = {index: np.zeros((50, 100, 3), np.uint8) for index in (0, 10, 20)}
    return KnownFrames("v", truth, images, {0: 0.0, 10: 1.0, 20: 2.0}, [])


def _rows(*rows: tuple[int, tuple[float, ...], str]) -> pd.DataFrame:
    return pd.DataFrame(
        [
            {
                "frame_index": index,
                **dict(zip(BOX, box, strict=True)),
                "confidence": 0.9,
                "class_name": "hostile",
                "verdict": verdict,
            }
            for index, box, verdict in rows
        ]
    )


def test_designator_cases() -> None:
    found = _rows((0, (0, 0, 40, 40), ""), (10, (80, 0, 100, 40), ""), (20, (5, 5, 45, 45), ""))
    cases = designator_cases(_known(), found)
    assert [(c.frame_index, len(c.found), len(c.truth), len(c.ignored)) for c in cases] == [
        (0, 1, 1, 0),
        (10, 1, 0, 1),
        (20, 1, 0, 0),
    ]


def test_target_cases_count_accepted_labels_only() -> None:
    labels = _rows((0, (10, 10, 20, 20), "accept"), (0, (0, 0, 5, 5), "review"), (20, (0, 0, 5, 5), "accept"))
    cases = target_cases(_known(), labels)
    assert [(c.frame_index, len(c.found), len(c.truth)) for c in cases] == [(0, 1, 1), (20, 1, 0)]


def test_model_cases_leave_out_frames_without_marked_objects() -> None:
    def predict(image: np.ndarray) -> sv.Detections:
        return sv.Detections(np.array([[1.0, 1, 5, 5]]), confidence=np.array([0.5]))

    assert [case.frame_index for case in model_cases(_known(), predict)] == [0]


def test_reviewers_tell_the_objects_where_both_know_a_frame() -> None:
    checked = _known().truth
    reviewed = pd.DataFrame(
        [
            ("v.mp4", 0, 12, 10, 24, 20, "object"),
            ("v.mp4", 20, 50, 10, 60, 20, "object"),
            ("v.mp4", 30, np.nan, np.nan, np.nan, np.nan, NO_OBJECT),
        ],
        columns=["clip", "frame_index", *BOX, "label"],
    )
    both = joined(checked, reviewed)
    known = KnownFrames("v", both, dict.fromkeys((0, 10, 20, 30), np.zeros((50, 100, 3))), {}, [])
    assert known.boxes(0, "object").tolist() == [[12, 10, 24, 20]]
    assert known.boxes(0, "designator").tolist() == [[0, 0, 40, 40]]
    found = _rows((30, (0, 0, 5, 5), "accept"))
    assert [(c.frame_index, len(c.found), len(c.truth)) for c in target_cases(known, found)] == [
        (0, 0, 1),
        (20, 0, 1),
        (30, 1, 0),
    ]
    assert [c.frame_index for c in model_cases(known, lambda image: sv.Detections.empty())] == [0, 20, 30]
    assert [c.frame_index for c in designator_cases(known, found)] == [0, 10, 20]
    pd.testing.assert_frame_equal(joined(checked, reviewed.iloc[:0]), checked, check_like=True)
    assert joined(checked.iloc[:0], reviewed)["frame_index"].tolist() == [0, 20, 30]
    assert known.only({0, 30}).with_label("object", NO_OBJECT) == [0, 30]


@pytest.mark.parametrize(
    ("spans", "gap", "expected"),
    [
        ([], 2.0, {0, 10, 20}),
        ([(0, "train", "v", 1.25, 1.5)], 0.5, {0, 20}),
        ([(0, "train", "v", 1.25, 1.5)], 0.25, {0, 10, 20}),
        ([(0, "train", "v", 0.5, 0.5), (2, "train", "v", 1.5, 1.5)], 0.5, {0, 10, 20}),
        ([(0, "train", "v", 0.5, 1.5)], 0.5, {0, 20}),
        ([(0, "test", "v", 0.0, 2.0)], 0.5, {0, 10, 20}),
        ([(0, "train", "other", 0.0, 2.0)], 0.5, {0, 10, 20}),
    ],
    ids=[
        "never trained on",
        "one within the gap",
        "the gap is kept",
        "between two stretches",
        "inside a stretch",
        "a stretch of the test split",
        "a stretch of another video",
    ],
)
def test_apart_from_training(spans: list[tuple], gap: float, expected: set[int]) -> None:
    rows = [
        {"block": block, "split": split, "video": video, "time_s": time_s}
        for block, split, video, *times in spans
        for time_s in times
    ]
    provenance = pd.DataFrame(rows, columns=["block", "split", "video", "time_s"])
    assert apart_from_training(_known(), provenance, gap) == expected


@pytest.mark.parametrize(("limit", "expected"), [(9, [0, 3, 6, 9]), (2, [0, 9]), (1, [0])])
def test_known_frames_are_decoded(tmp_path: Path, limit: int, expected: list[int]) -> None:
    truth = write_scene(tmp_path / "v.mp4", Scene(frames=12, size=(160, 96))).drop(columns="target")
    known = known_frames("v", tmp_path / "v.mp4", truth[truth["frame_index"] % 3 == 0], limit)
    assert sorted(known.images) == expected
    assert set(known.truth["frame_index"]) == set(expected)
    assert known.times[expected[-1]] == pytest.approx(expected[-1] / 20, abs=1e-3)
    assert known.unreadable == []


def test_reviewed_frames_do_not_crowd_out_those_checked_by_hand(tmp_path: Path) -> None:
    truth = write_scene(tmp_path / "v.mp4", Scene(frames=12, size=(160, 96))).drop(columns="target")
    assert sorted(known_frames("v", tmp_path / "v.mp4", truth, 2).images) == [0, 11]
    assert sorted(known_frames("v", tmp_path / "v.mp4", truth, 2, {3, 4, 5}).images) == [0, 3, 5, 11]


def test_frames_that_the_file_lacks_are_named(tmp_path: Path) -> None:
    truth = write_scene(tmp_path / "v.mp4", Scene(frames=4, size=(160, 96))).drop(columns="target")
    beyond = truth.assign(frame_index=truth["frame_index"] + 2)
    known = known_frames("v", tmp_path / "v.mp4", beyond, 100)
    assert known.unreadable == [4, 5]
    assert set(known.truth["frame_index"]) == {2, 3}
