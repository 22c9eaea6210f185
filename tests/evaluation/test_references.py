"""Our average precision against pycocotools and faster-coco-eval: small vectors and a real model's boxes."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import supervision as sv

from gotowce_dagster.core.truth import COMPLETE_IGNORED
from gotowce_dagster.evaluation.scoring import Case, matches, scores
from tests.evaluation.references import REFERENCES, reference_average_precision

Box = tuple[float, ...]
A, B, C = (10.0, 10.0, 20.0, 20.0), (100.0, 10.0, 110.0, 20.0), (200.0, 10.0, 220.0, 30.0)
NEAR_A = (11.0, 10.0, 21.0, 20.0)  # IoU 0.82
AROUND_C = (190.0, 0.0, 230.0, 40.0)


def _case(
    found: Sequence[tuple[Box, float]],
    truth: Sequence[Box],
    ignored: Sequence[Box] = (),
    frame: int = 0,
    name: str = "a",
) -> Case:
    boxes = np.array([box for box, _ in found], float).reshape(-1, 4)
    names = {"class_name": np.full(len(found), name)}
    return Case(
        "v",
        frame,
        sv.Detections(boxes, confidence=np.array([score for _, score in found]), data=names),
        sv.Detections(np.array(truth, float).reshape(-1, 4), data={"class_name": np.full(len(truth), name)}),
        np.array(ignored, float).reshape(-1, 4),
    )


VECTORS = {
    "one found": [_case([(A, 0.9)], [A])],
    "false positives in an empty frame": [
        _case([(A, 0.8)], [A, B]),
        _case([(A, 0.9), (B, 0.7)], [], frame=1),
        _case([], [], frame=2),
    ],
    "equal confidence: right one first": [_case([(A, 0.5), (B, 0.5)], [A])],
    "equal confidence: wrong one first": [_case([(B, 0.5), (A, 0.5)], [A])],
    "equal confidence in two frames": [_case([(B, 0.5)], [A]), _case([(A, 0.5)], [A], frame=1)],
    "two on one truth, the worse one surer": [_case([(NEAR_A, 0.9), (A, 0.8)], [A])],
    "on an ignored box": [_case([(A, 0.5), (C, 0.9), (C, 0.8)], [A], [AROUND_C])],
    "a truth inside an ignored box": [_case([(C, 0.9)], [C, A], [AROUND_C])],
    "only an ignored box found": [_case([(C, 0.9)], [A], [AROUND_C])],
    "two classes": [_case([(A, 0.9)], [A, B]), _case([(B, 0.5), (C, 0.9)], [B], frame=1, name="b")],
    "a class that nobody labelled": [_case([(A, 0.9)], [A]), _case([(B, 0.9)], [], frame=1, name="b")],
    "more than COCO's 100 boxes in a frame": [
        _case([((20.0 * n, 0, 20.0 * n + 10, 10), 1 - n / 200) for n in range(130)], [(2400, 0, 2410, 10), A])
    ],
}  # fmt: skip


@pytest.mark.parametrize("reference", REFERENCES)
@pytest.mark.parametrize("by_class", [False, True], ids=["one class", "by class"])
@pytest.mark.parametrize("vector", VECTORS)
def test_vectors(vector: str, by_class: bool, reference: str) -> None:
    ours = scores(VECTORS[vector], by_class=by_class)
    expected = reference_average_precision(VECTORS[vector], reference, by_class)
    assert {name: ours[name] for name in expected} == pytest.approx(expected, abs=1e-6)


@pytest.mark.parametrize("reference", REFERENCES)
@pytest.mark.parametrize("seed", range(4))
def test_random_boxes(seed: int, reference: str) -> None:
    """Ties, duplicates, empty frames and two classes."""
    cases = _random_cases(np.random.default_rng(seed))
    for by_class in (False, True):
        ours, expected = (
            scores(cases, by_class=by_class),
            reference_average_precision(cases, reference, by_class),
        )
        assert {name: ours[name] for name in expected} == pytest.approx(expected, abs=1e-6)


def test_an_annotation_with_id_0_counts() -> None:
    """pycocotools takes id 0 for "unmatched": of a file whose ids begin there it loses a right box."""
    case = _case([(A, 0.9)], [A])
    assert scores([case])["mAP50"] == pytest.approx(1)
    assert reference_average_precision([case], "pycocotools")["mAP50"] == pytest.approx(1)
    assert reference_average_precision([case], "pycocotools", first_id=0)["mAP50"] == 0


@pytest.mark.parametrize("reference", REFERENCES)
def test_boxes_of_a_real_model(reference: str) -> None:
    """1,635 boxes of a model trained by this project, on 19 frames in which every ship is boxed."""
    table = pd.read_csv(Path(__file__).parent / "boxes_of_a_model.csv")
    sides = ["x1", "y1", "x2", "y2"]
    cases = []
    for key, rows in table.groupby(table["clip"] + "/" + table["frame_index"].astype(str)):
        clip, index = str(key).split("/")
        found = rows[rows["label"] == "found"]
        cases.append(
            Case(
                clip,
                int(index),
                sv.Detections(found[sides].to_numpy(float), confidence=found["confidence"].to_numpy()),
                sv.Detections(rows.loc[rows["label"] == "ship", sides].to_numpy(float)),
                rows.loc[rows["label"].isin(COMPLETE_IGNORED), sides].to_numpy(float),
            )
        )
    assert (len(cases), sum(len(case.found) for case in cases)) == (19, 1635)
    ours, expected = scores(cases), reference_average_precision(cases, reference)
    assert 0 < expected["mAP50"] < 1
    assert ours["mAP50"] == pytest.approx(expected["mAP50"], abs=1e-6)
    # Ours looks once, at IoU 0.5, whether a box belongs to an ignored one; COCO at each of its thresholds.
    assert ours["mAP50_95"] == pytest.approx(expected["mAP50_95"], abs=2e-3)


def test_precision_and_recall_pair_boxes_by_overlap_not_by_confidence() -> None:
    """COCO gives the surer box the truth that it overlaps most, so that the other box finds none."""
    truth = [(0.0, 0.0, 10.0, 10.0), (2.0, 0.0, 12.0, 10.0)]
    case = _case([((1.0, 0.0, 11.0, 10.0), 0.9), ((-2.0, 0.0, 8.0, 10.0), 0.8)], truth)
    assert matches(case, 0.5).tolist() == [1, 0]


def _random_cases(rng: np.random.Generator) -> list[Case]:
    cases = []
    for frame in range(12):
        corner = rng.uniform(0, 300, (rng.integers(0, 6) * (rng.random() > 0.3), 2))
        truth = np.hstack([corner, corner + rng.uniform(5, 20, corner.shape)])
        corner = rng.uniform(0, 300, (rng.integers(0, 8), 2))
        wrong = np.hstack([corner, corner + rng.uniform(5, 20, corner.shape)])
        jittered = [truth + rng.normal(0, 1, truth.shape) for _ in range(rng.integers(0, 3))]
        found = np.concatenate([*jittered, wrong])
        cases.append(
            Case(
                "v",
                frame,
                sv.Detections(
                    found,
                    confidence=rng.integers(1, 10, len(found)) / 10,
                    data={"class_name": rng.choice(["a", "b"], len(found))},
                ),
                sv.Detections(truth, data={"class_name": rng.choice(["a", "b"], len(truth))}),
            )
        )
    return cases
