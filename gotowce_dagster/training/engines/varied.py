"""Augmentation of training images for engines without their own: flip, scale and colours."""

import cv2
import numpy as np

_GREY = (114, 114, 114)
"""Colour outside a reduced image."""
_LEAST_LEFT = 0.1
"""Minimum share of a truncated box that is kept."""
_HUE, _SATURATION, _VALUE = 0.015, 0.7, 0.4
"""Maximum relative changes, as in ultralytics."""


def varied(
    image: np.ndarray, boxes: np.ndarray, scale: float, rng: np.random.Generator
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Flip, scale, move and recolour an image.

    Args:
        image: RGB uint8 (H, W, 3).
        boxes: xyxy (n, 4) in pixels.
        scale: maximum relative change of scale.

    Returns:
        The image, the remaining boxes (k, 4), and their indices among the given ones, int (k,).
    """
    height, width = image.shape[:2]
    factor = 1 + scale * rng.uniform(-1, 1)
    # A larger image is cropped at a random position, a smaller one placed at a random position.
    room = np.array([width, height]) * (1 - factor)
    shift = room * rng.random(2)
    sign = -1.0 if rng.random() < 0.5 else 1.0
    turn = np.array([[sign * factor, 0, shift[0]], [0, factor, shift[1]]])
    if sign < 0:
        turn[0, 2] = width - shift[0]
    moved = cv2.warpAffine(image, turn, (width, height), flags=cv2.INTER_LINEAR, borderValue=_GREY)
    x = np.sort(boxes[:, [0, 2]] * turn[0, 0] + turn[0, 2], axis=1)
    y = boxes[:, [1, 3]] * factor + turn[1, 2]
    whole = np.stack([x[:, 0], y[:, 0], x[:, 1], y[:, 1]], axis=1)
    inside = np.clip(whole, 0, [width, height, width, height])
    kept = np.flatnonzero(_area(inside) > np.maximum(_LEAST_LEFT * _area(whole), 1))
    return recoloured(np.asarray(moved), rng), inside[kept], kept


def recoloured(image: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Change hue, saturation and brightness of an RGB uint8 image (H, W, 3) at random."""
    hue, saturation, value = 1 + rng.uniform(-1, 1, 3) * [_HUE, _SATURATION, _VALUE]
    hsv = cv2.cvtColor(image, cv2.COLOR_RGB2HSV).astype(np.float32)
    hsv = np.stack([hsv[..., 0] * hue % 180, hsv[..., 1] * saturation, hsv[..., 2] * value], axis=-1)
    return np.asarray(cv2.cvtColor(hsv.clip(0, 255).astype(np.uint8), cv2.COLOR_HSV2RGB))


def _area(boxes: np.ndarray) -> np.ndarray:
    return (boxes[:, 2:] - boxes[:, :2]).clip(min=0).prod(axis=1)
