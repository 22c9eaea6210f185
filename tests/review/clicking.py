"""Interactive segmenter without weights, for tests: it segments one colour and counts calls."""

from collections.abc import Sequence

import cv2
import numpy as np

from gotowce_dagster.segmenters.base import Answer, Encoded
from gotowce_dagster.segmenters.prompts import Prompt

_ALIKE = 60


class Flood:
    """The component of one colour under each positive point or the box's centre, minus negative points."""

    name = "flood"
    weights = ""
    device = "cpu"
    crop_scales = (2.0, 3.0)

    def __init__(self) -> None:
        self.encoded: list[tuple[int, int]] = []
        self.asked: list[Prompt] = []

    def encode(self, picture: np.ndarray) -> Encoded:
        self.encoded.append(picture.shape[:2])
        return Encoded(picture, picture.shape[:2])

    def ask_again(self, encoded: Encoded, prompts: Sequence[Prompt]) -> list[Answer]:
        self.asked += prompts
        return [_answer(encoded.features, prompt) for prompt in prompts]

    def ask(self, crops: Sequence[np.ndarray], prompts: Sequence[Sequence[Prompt]]) -> list[list[Answer]]:
        pairs = zip(crops, prompts, strict=True)
        return [self.ask_again(self.encode(crop), asked) for crop, asked in pairs]


def _answer(picture: np.ndarray, prompt: Prompt) -> Answer:
    points, labels = prompt.points, prompt.labels
    if points is None or labels is None:
        assert prompt.box is not None
        points, labels = (prompt.box[None, :2] + prompt.box[None, 2:]) / 2, np.ones(1, int)
    mask = np.zeros(picture.shape[:2], bool)
    for x, y in points[labels == 1].astype(int):
        mask |= _piece(picture, x, y)
    for x, y in points[labels == 0].astype(int):
        mask &= ~_piece(picture, x, y)
    if prompt.box is not None:
        x1, y1, x2, y2 = prompt.box.round().astype(int).clip(0)
        inside = np.zeros_like(mask)
        inside[y1:y2, x1:x2] = True
        mask &= inside
    return Answer(np.where(mask, 5.0, -5.0).astype(np.float32)[None], np.array([0.9]))


def _piece(picture: np.ndarray, x: int, y: int) -> np.ndarray:
    alike = np.abs(picture.astype(int) - picture[y, x]).max(axis=2) < _ALIKE
    _, pieces = cv2.connectedComponents(alike.astype(np.uint8), connectivity=4)
    return pieces == pieces[y, x]
