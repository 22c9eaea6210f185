"""Answers about images as pictures, and as a page with everything that was answered."""

from collections.abc import Iterator, Mapping

import cv2
import numpy as np
import supervision as sv

from gotowce_dagster.core.boxes import BOX
from gotowce_dagster.core.detections import confidences, from_boxes
from gotowce_dagster.detectors.ask import Answer
from gotowce_dagster.detectors.local.kosmos2 import Description
from gotowce_dagster.pictures.contact_sheet import contact_sheet
from gotowce_dagster.pictures.overlay import draw
from gotowce_dagster.pictures.report import Section, Table, render_report

_TILE_PX = 960
_POINT_PX = 7
"""Half the side of a point's cross."""
_PAGE_BYTES = 8_000_000
Row = tuple[str, str, np.ndarray]
"""What a box or a point is, where its phrase stands in the caption, and xyxy or xy in pixels."""


def picture_of(image: np.ndarray, answer: Answer, words: str = "") -> np.ndarray:
    """Draw the boxes or points of an answer; captions cover neither each other nor a box if possible.

    Args:
        image: RGB uint8 (H, W, 3), not modified.
        words: what was pointed at.

    Returns:
        RGB uint8 (H, W, 3); the image itself if the answer has neither boxes nor points.
    """
    if isinstance(answer, np.ndarray):
        return _with_points(image, answer, words)
    rows = [(name, place) for name, _, place in _rows(answer, words)]
    names = [name for name, _ in rows]
    detections = from_boxes(
        np.array([place for _, place in rows]).reshape(-1, 4),
        np.ones(len(rows), np.float32),
        class_name=np.array(names, dtype=str),
    )
    return draw(image, detections, names)


def sheet(images: Mapping[int, np.ndarray], answers: Mapping[int, Answer], words: str = "") -> np.ndarray:
    """The pictures of all frames, each with its frame and text below; RGB uint8 (H, W, 3).

    Args:
        images, answers: by frame number.
    """
    pictures = [picture_of(image, answers[index], words) for index, image in images.items()]
    captions = [f"frame {index}: {text_of(answers[index])}" for index in images]
    return contact_sheet(pictures, captions, columns=2, tile_width=_TILE_PX)


def page(title: str, images: Mapping[int, np.ndarray], answers: Mapping[int, Answer], words: str = "") -> str:
    """The answers as an HTML page: text, what it names with spans and boxes, and the picture of each frame.

    Arguments are those of sheet.
    """
    sections = []
    for index, image in images.items():
        answer = answers[index]
        is_text = isinstance(answer, Description)
        rows = [
            [name, *([span] if is_text else []), *map(float, place.round(1))]
            for name, span, place in _rows(answer, words)
        ]
        places = ["x", "y"] if isinstance(answer, np.ndarray) else BOX
        headings = ["what", *(["characters of the text"] if is_text else []), *places]
        table = [Table(headings, rows, "Places in pixels of the frame")] if rows else []
        picture = ("", picture_of(image, answer, words))
        sections.append(Section(f"Frame {index}", text_of(answer), tables=table, pictures=[picture]))
    found = sum(len(list(_rows(answer, words))) for answer in answers.values())
    return render_report(title, {"frames": len(images), "places": found}, sections, _PAGE_BYTES)


def text_of(answer: Answer) -> str:
    """An answer in words, on one line."""
    match answer:
        case None:
            return "no usable response"
        case Description():
            return answer.caption
        case sv.Detections():
            return _counted(len(answer), "box", "boxes")
        case np.ndarray():
            return _counted(len(answer), "point", "points")
    return str(answer)


def lines_of(answer: Answer, words: str = "") -> list[str]:
    """One line per box or point: what it is, and where in whole pixels."""
    return [f"{name}: {', '.join(f'{x:.0f}' for x in place)}" for name, _, place in _rows(answer, words)]


def _counted(count: int, one: str, many: str) -> str:
    return f"{count} {one if count == 1 else many}"


def _rows(answer: Answer, words: str) -> Iterator[Row]:
    if isinstance(answer, Description):
        for thing in answer.entities:
            for box in thing.boxes:
                yield thing.phrase, f"{thing.span[0]} to {thing.span[1]}", box
    elif isinstance(answer, sv.Detections):
        columns = (answer.data["prompt"], confidences(answer), answer.xyxy)
        for prompt, score, box in zip(*columns, strict=True):
            yield f"{prompt} {score:.2f}", "", box
    elif isinstance(answer, np.ndarray):
        for number, point in enumerate(answer, start=1):
            yield f"{words} {number}".strip(), "", point


def _with_points(image: np.ndarray, points: np.ndarray, words: str) -> np.ndarray:
    """Crosses, and captions beside them."""
    marked = image.copy()
    for x, y in np.round(points).astype(int).tolist():
        for colour, thickness in (((0, 0, 0), 4), ((255, 255, 255), 2)):
            cv2.drawMarker(marked, (x, y), colour, cv2.MARKER_CROSS, 2 * _POINT_PX, thickness, cv2.LINE_AA)
    names = [name for name, _, _ in _rows(points, words)]
    around = np.hstack([points - _POINT_PX - 2, points + _POINT_PX + 2]).reshape(-1, 4)
    boxes = from_boxes(
        around, np.ones(len(points), np.float32), class_name=np.array([words] * len(points), dtype=str)
    )
    return draw(marked, boxes, names)
