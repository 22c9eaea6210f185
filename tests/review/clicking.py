"""Interactive segmenter without weights, for tests: it segments one colour and counts calls."""

from collections.abc import Sequence

import cv2
import numpy as np

from gotowce_dagster.segmenters.base import ImageEmbedding, Prediction
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

    def encode(self, image: np.ndarray) -> ImageEmbedding:
        self.encoded.append(image.shape[:2])
        return ImageEmbedding(image, image.shape[:2])

    def decode(self, embedding: ImageEmbedding, prompts: Sequence[Prompt]) -> list[Prediction]:
        self.asked += prompts
        return [_prediction(embedding.features, prompt) for prompt in prompts]

    def predict(
        self, crops: Sequence[np.ndarray], prompts: Sequence[Sequence[Prompt]]
    ) -> list[list[Prediction]]:
        pairs = zip(crops, prompts, strict=True)
        return [self.decode(self.encode(crop), asked) for crop, asked in pairs]


def _prediction(image: np.ndarray, prompt: Prompt) -> Prediction:
    points, labels = prompt.points, prompt.labels
    if points is None or labels is None:
        assert prompt.box is not None
        points, labels = (prompt.box[None, :2] + prompt.box[None, 2:]) / 2, np.ones(1, int)
    mask = np.zeros(image.shape[:2], bool)
    for x, y in points[labels == 1].astype(int):
        mask |= _piece(image, x, y)
    for x, y in points[labels == 0].astype(int):
        mask &= ~_piece(image, x, y)
    if prompt.box is not None:
        x1, y1, x2, y2 = prompt.box.round().astype(int).clip(0)
        inside = np.zeros_like(mask)
        inside[y1:y2, x1:x2] = True
        mask &= inside
    return Prediction(np.where(mask, 5.0, -5.0).astype(np.float32)[None], np.array([0.9]))


def _piece(image: np.ndarray, x: int, y: int) -> np.ndarray:
    alike = np.abs(image.astype(int) - image[y, x]).max(axis=2) < _ALIKE
    _, pieces = cv2.connectedComponents(alike.astype(np.uint8), connectivity=4)
    return pieces == pieces[y, x]
