from typing import Any

import numpy as np
import pytest
import supervision as sv

from gotowce_dagster.detectors.base import batched, found, invalid_boxes, tidied
from tests.detectors.answers import classes, confidence, prompts

BOXES = np.array([[10, 10, 30, 30], [11, 10, 31, 30], [-5, 5, 8, 15], [50, 5, 60, 15], [20, 20, 20, 28]])
SURE = np.array([0.6, 0.9, 0.3, 0.7, 0.8])
NAMES = ["ship", "bus", "ship", "ship", "ship"]


def _tidied(min_confidence: float = 0.0, nms_iou: float = 0.5, class_agnostic: bool = False) -> sv.Detections:
    detections = found(BOXES, SURE, NAMES, [f"{number}" for number in range(5)])
    return tidied(
        detections,
        (40, 55, 3),
        min_confidence=min_confidence,
        nms_iou=nms_iou,
        class_agnostic=class_agnostic,
    )


@pytest.mark.parametrize(
    ("changes", "kept"),
    [
        ({}, ["1", "3", "0", "2"]),
        ({"class_agnostic": True}, ["1", "3", "2"]),
        ({"min_confidence": 0.65}, ["1", "3"]),
        ({"nms_iou": 1.0, "class_agnostic": True}, ["1", "3", "0", "2"]),
    ],
    ids=["overlapping boxes of two classes", "of any class", "unsure ones", "all that overlap"],
)
def test_tidied(changes: dict[str, Any], kept: list[str]) -> None:
    answer = _tidied(**changes)
    assert prompts(answer) == kept
    assert (np.diff(confidence(answer)) < 0).all()


def test_boxes_end_where_the_image_ends() -> None:
    answer = _tidied()
    assert answer.xyxy[prompts(answer).index("2")].tolist() == [0, 5, 8, 15]
    assert answer.xyxy[prompts(answer).index("3")].tolist() == [50, 5, 55, 15]


def test_nothing_found_has_its_columns_all_the_same() -> None:
    answer = tidied(found(np.empty((0, 4)), np.empty(0), [], []), (9, 9), min_confidence=0, nms_iou=0.5)
    assert (len(answer), classes(answer), prompts(answer)) == (0, [], [])
    assert answer.xyxy.shape == (0, 4)


def test_batches_of_one_shape_answers_in_order() -> None:
    shapes = [(4, 5), (4, 6), (4, 5), (4, 5), (4, 6)]
    images = [np.full((*shape, 3), number, np.uint8) for number, shape in enumerate(shapes)]
    asked: list[list[int]] = []

    def ask(part: list[np.ndarray]) -> list[int]:
        assert len({image.shape for image in part}) == 1
        asked.append([int(image[0, 0, 0]) for image in part])
        return asked[-1]

    assert batched(images, 2, ask) == [0, 1, 2, 3, 4]
    assert asked == [[0, 2], [3], [1, 4]]


NAN, INF = float("nan"), float("inf")


@pytest.mark.parametrize(
    ("box", "confidence", "name"),
    [
        ([NAN, 1, 5, 5], 0.5, "ship"),
        ([1, 1, INF, 5], 0.5, "ship"),
        ([-INF, 1, 5, 5], 0.5, "ship"),
        ([5, 1, 1, 5], 0.5, "ship"),
        ([1, 1, 5, 1], 0.5, "ship"),
        ([60, 1, 70, 5], 0.5, "ship"),
        ([1, -9, 5, -1], 0.5, "ship"),
        ([1, 1, 5, 5], NAN, "ship"),
        ([1, 1, 5, 5], -0.1, "ship"),
        ([1, 1, 5, 5], 1.1, "ship"),
        ([1, 1, 5, 5], 0.5, ""),
        ([1, 1, 5, 5], 0.5, " "),
    ],
)
def test_what_no_detector_can_have_seen(box: list[float], confidence: float, name: str) -> None:
    answer = found(np.array([[1, 1, 9, 9]] * 2), np.array([1.0, 0.9]), ["ship", name], ["", ""])
    answer.xyxy[1] = box
    answer.confidence = np.array([1.0, confidence])
    assert invalid_boxes(answer, (40, 55, 3)).tolist() == [False, True]


def test_a_box_may_stick_out_of_the_image() -> None:
    assert invalid_boxes(_tidied(), (40, 55, 3)).tolist() == [False] * 4
    assert invalid_boxes(sv.Detections(np.array([[-5.0, -5, 60, 45]])), (40, 55, 3)).tolist() == [False]
    assert invalid_boxes(sv.Detections.empty(), (40, 55, 3)).tolist() == []


def test_rows_that_are_not_finite_are_dropped_and_reported() -> None:
    boxes = np.array([[1, 1, 5, 5], [NAN, 1, 5, 5], [1, 1, 1e39, 5], [1, 1, 6, 6], [2, 2, 6, 6]])
    answer = found(boxes, np.array([0.2, 0.9, 0.9, NAN, 0.3]), list("abcde"), list("abcde"))
    assert classes(answer) == ["e", "a"]
    assert answer.metadata == {"unanswered": "3 of 5 boxes were not finite"}
    kept = tidied(answer, (40, 55, 3), min_confidence=0.25, nms_iou=0.5)
    assert (classes(kept), kept.metadata) == (["e"], answer.metadata)
