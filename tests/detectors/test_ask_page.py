import re

import numpy as np
import pytest

from gotowce_dagster.core.detections import from_boxes
from gotowce_dagster.detectors.ask import Answer
from gotowce_dagster.detectors.ask_page import lines_of, page, picture_of, sheet, text_of
from gotowce_dagster.detectors.local.kosmos2 import Description, Entity

BOXES = np.array([[40.0, 30, 90, 70], [60.0, 40, 120, 90]])
DESCRIPTION = Description(
    "a ship near two moons",
    (Entity("a ship", (0, 6), BOXES[:1]), Entity("two moons", (12, 21), BOXES)),
)
POINTS = np.array([[50.0, 60.0], [150.4, 20.0]])
DETECTIONS = from_boxes(BOXES, np.array([0.9, 0.25]), class_name=["ship", "ship"], prompt=["a ship", "hull"])


def blank() -> np.ndarray:
    return np.full((240, 320, 3), 90, np.uint8)


@pytest.mark.parametrize(
    ("answer", "text", "lines"),
    [
        (
            DESCRIPTION,
            "a ship near two moons",
            ["a ship: 40, 30, 90, 70", "two moons: 40, 30, 90, 70", "two moons: 60, 40, 120, 90"],
        ),
        (POINTS, "2 points", ["ship 1: 50, 60", "ship 2: 150, 20"]),
        (DETECTIONS[:1], "1 box", ["a ship 0.90: 40, 30, 90, 70"]),
        ("A ship.", "A ship.", []),
        (3, "3", []),
        (None, "no usable response", []),
    ],
    ids=["a description", "points", "boxes", "a text", "a number", "nothing"],
)
def test_an_answer_in_words(answer: Answer, text: str, lines: list[str]) -> None:
    assert text_of(answer) == text
    assert lines_of(answer, "ship") == lines


@pytest.mark.parametrize("answer", [DESCRIPTION, DETECTIONS], ids=["a description", "boxes"])
def test_boxes_are_drawn_at_their_places(answer: Answer) -> None:
    image = blank()
    picture = picture_of(image, answer)
    assert picture.shape == image.shape
    assert (image == blank()).all()
    assert (picture[30:70, 40] != 90).any(axis=1).all(), "the left side of the first box"
    assert (picture[90, 61:119] != 90).any(axis=1).all(), "the lower side of the second"


def test_points_are_crosses_with_numbers() -> None:
    picture = picture_of(blank(), POINTS, "ship")
    for x, y in np.round(POINTS).astype(int):
        assert (picture[y, x] == 255).all()
    assert (picture_of(blank(), np.empty((0, 2)), "ship") == 90).all()


def test_a_frame_without_an_answer_is_shown_as_it_is() -> None:
    assert (picture_of(blank(), None) == 90).all()
    answers: dict[int, Answer] = {4: DESCRIPTION, 9: None}
    images = {index: blank() for index in answers}
    assert sheet(images, answers).shape[1] > 2 * 900
    html = page("kosmos", images, answers)
    assert "Frame 9" in html
    assert "no usable response" in html


def test_the_page_has_text_spans_and_boxes() -> None:
    html = page("kosmos2: clip.mp4", {62: blank()}, {62: DESCRIPTION})
    cells = re.findall(r"<td[^>]*>([^<]*)</td>", html)
    assert "a ship near two moons" in html
    assert cells[:6] == ["a ship", "0 to 6", "40", "30", "90", "70"]
    assert len(cells) == 3 * 6
    assert "http" not in html.replace("http://www.w3.org", "")


def test_the_page_of_points() -> None:
    html = page("moon", {0: blank()}, {0: POINTS}, "ship")
    headings = re.findall(r"<th>([^<]*)</th>", html)
    assert headings == ["what", "x", "y"]
    assert "ship 2" in html
