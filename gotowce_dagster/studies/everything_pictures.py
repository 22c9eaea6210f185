"""Preview of a segmentation of everything: each segment in its own colour."""

from collections.abc import Iterable

import cv2
import numpy as np

from gotowce_dagster.studies.everything import Cut

_OPACITY = 0.45


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
        cv2.drawContours(picture, outlines, -1, (255, 80, 200), 2, cv2.LINE_AA)
    for x1, y1, x2, y2 in np.round(objects).astype(int).tolist():
        cv2.rectangle(picture, (x1 - 2, y1 - 2), (x2 + 1, y2 + 1), (255, 255, 255), 1)
    return picture
