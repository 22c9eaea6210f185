"""Pictures of a segmentation of everything: all segments of a frame, and its smallest target close up."""

from collections.abc import Iterable

import cv2
import numpy as np
import pandas as pd

from gotowce_dagster.core.crops import around
from gotowce_dagster.studies.everything import Cut

_OPACITY = 0.45
_OUTLINE, _TRUTH = (255, 80, 200), (255, 255, 255)
_CLOSE, _CLOSE_PX, _LEAST_PX = 4, 400, 48
"""A close-up shows so many sides of its target, but at least _LEAST_PX pixels, on _CLOSE_PX pixels."""


def with_pieces(image_rgb: np.ndarray, cut: Cut, objects: np.ndarray, best: Iterable[int]) -> np.ndarray:
    """Paint the segments, smaller ones on top; outline the ground truth objects and the best segments.

    Args:
        image_rgb: uint8 (H, W, 3), not modified.
        objects: ground truth boxes, xyxy (n, 4).
        best: the index of a segment for each object, -1 for none.
    """
    paint = image_rgb.copy()
    colours = np.random.default_rng(0).integers(60, 256, (max(len(cut.pieces), 1), 3))
    for number in sorted(range(len(cut.pieces)), key=lambda n: -np.count_nonzero(cut.pieces[n].mask)):
        piece = cut.pieces[number]
        part = paint[piece.window.y1 : piece.window.y2, piece.window.x1 : piece.window.x2]
        part[piece.mask] = colours[number]
    picture = cv2.addWeighted(paint, _OPACITY, image_rgb, 1 - _OPACITY, 0)
    for piece in (cut.pieces[number] for number in best if number >= 0):
        outlines, _ = cv2.findContours(
            piece.mask.astype(np.uint8),
            cv2.RETR_EXTERNAL,
            cv2.CHAIN_APPROX_NONE,
            offset=(piece.window.x1, piece.window.y1),
        )
        cv2.drawContours(picture, outlines, -1, _OUTLINE, 2, cv2.LINE_AA)
    for x1, y1, x2, y2 in np.round(objects).astype(int).tolist():
        cv2.rectangle(picture, (x1 - 2, y1 - 2), (x2 + 1, y2 + 1), _TRUTH, 1)
    return picture


def closeup_of(image_rgb: np.ndarray, cut: Cut, objects: np.ndarray, fit: pd.DataFrame) -> np.ndarray:
    """The surroundings of the smallest object, enlarged, with the outline of its best segment.

    Args:
        image_rgb: uint8 (H, W, 3).
        objects: ground truth boxes, xyxy (n, 4), at least one.
        fit: their best segments, from everything.best_fit.

    Returns:
        uint8 (side, side, 3); narrower where the frame is.
    """
    number = int(fit["size"].to_numpy().argmin())
    box, best = objects[number], int(fit["piece"].iloc[number])
    reach = max(_CLOSE, _LEAST_PX / float((box[2:] - box[:2]).max()))
    window = around(box, reach, *image_rgb.shape[:2])
    part = window.cut(image_rgb)
    scale = _CLOSE_PX / max(part.shape[:2])
    size = (round(part.shape[1] * scale), round(part.shape[0] * scale))
    picture = cv2.resize(part, size, interpolation=cv2.INTER_CUBIC)
    if best >= 0:
        piece = cut.pieces[best]
        mask = window.cut(piece.window.paste(piece.mask, *image_rgb.shape[:2])).astype(np.uint8)
        enlarged = cv2.resize(mask, size, interpolation=cv2.INTER_NEAREST)
        outlines, _ = cv2.findContours(enlarged, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)
        cv2.drawContours(picture, outlines, -1, _OUTLINE, 2, cv2.LINE_AA)
    x1, y1, x2, y2 = np.round(window.to_crop(box) * scale).astype(int).tolist()
    cv2.rectangle(picture, (x1 - 1, y1 - 1), (x2, y2), _TRUTH, 1)
    return picture
