"""Frames with designators drawn by hand, after a round trip through a codec that halves the chroma."""

from functools import lru_cache

import cv2
import numpy as np
import supervision as sv

from gotowce_dagster.core.colour import Colour
from gotowce_dagster.designators.profile import Designator, Profile
from tests.support.synthetic import Bracket as Look
from tests.support.synthetic import bracket_mask

RED = (210, 40, 40)
TARGET = Designator(
    name="target",
    class_name="ship",
    colours=(Colour(ycrcb=(85, 190, 108), tolerance=(50, 48, 28)),),
    arm=(0.22, 0.28),
    arm_px=10,
    gap=(0.44, 0.56),
    thickness_px=2,
    size_px=(28, 0),
)
PROFILE = Profile(name="drawn", videos=("drawn*",), designators=(TARGET,))


def sky(width: int = 640, height: int = 360, seed: int = 0) -> np.ndarray:
    """A dim, noisy background: RGB uint8 (H, W, 3)."""
    return _sky(width, height, seed).copy()


@lru_cache(maxsize=32)
def _sky(width: int, height: int, seed: int) -> np.ndarray:
    rng = np.random.default_rng(seed)
    mist = cv2.resize(rng.uniform(0, 30, (4, 6, 3)), (width, height), interpolation=cv2.INTER_CUBIC)
    return np.clip(mist + rng.normal(0, 2, (height, width, 1)), 0, 255).astype(np.uint8)


def put_mark(image: np.ndarray, x: int, y: int, side: int, look: Look | None = None) -> np.ndarray:
    """Draw a mark in place, cut at the image's edges; gives its box as float (4,)."""
    look = look or Look(colour=RED)
    height, width = image.shape[:2]
    mask = bracket_mask(side, look)
    top, left = max(-y, 0), max(-x, 0)
    mask = mask[top : max(height - y, 0), left : max(width - x, 0)]
    part = image[y + top : y + top + mask.shape[0], x + left : x + left + mask.shape[1]]
    part[mask] = look.colour
    return np.array([x, y, x + side, y + side], float)


def confidences(found: sv.Detections) -> np.ndarray:
    """float (n,)."""
    return np.asarray(found.confidence)


def corners(found: sv.Detections) -> list[int]:
    """How many corners of each mark are visible."""
    return np.asarray(found.data["visible_corners"]).tolist()


def compressed(image: np.ndarray, quality: int = 90) -> np.ndarray:
    """As it comes back from a JPEG with 4:2:0 chroma."""
    chroma = (cv2.IMWRITE_JPEG_SAMPLING_FACTOR, cv2.IMWRITE_JPEG_SAMPLING_FACTOR_420)
    encoded = cv2.imencode(".jpg", image[..., ::-1], (cv2.IMWRITE_JPEG_QUALITY, quality, *chroma))[1]
    return np.asarray(cv2.imdecode(encoded, cv2.IMREAD_COLOR_RGB))
