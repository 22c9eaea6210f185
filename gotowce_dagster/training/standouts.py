"""Objects that stand out in a frame and move on the screen: candidates for unlabelled targets.

No model is needed: a target differs from its surroundings, is about as large as the labelled ones, and moves
on the screen, unlike panels of the HUD. Most candidates are shots and debris, so they are no labels; but they
are no background either until a model has searched the frame.
"""

from collections.abc import Sequence

import cv2
import numpy as np

from gotowce_dagster.training.fly_bys import fly_by
from gotowce_dagster.training.look_alikes import have_look_alikes

_STEP = 2
"""Factor by which frames are reduced before the search."""
_CONTRAST = 24
"""Minimum difference in levels between a target and its surroundings in some channel."""
_MOVED = 12
"""Minimum difference in levels from the usual picture of a pixel that has moved."""
_SIZES = 0.8, 2.0
"""Long side of a candidate relative to that of the smallest and of the largest labelled targets."""
_LEAST_PX = 6
"""Minimum long side of a candidate; otherwise stars would be candidates everywhere."""
_STILL_SHARE = 0.1
"""Maximum share of moved pixels in a box that counts as static."""
_TOUCHING = 3
"""Gap in pixels of the reduced frame that is closed inside a candidate."""
_EDGE = 12
"""Gradient in levels per pixel of the reduced frame at an edge of a panel."""
_STILL_FRAMES = 0.8
"""Minimum share of frames in which a pixel of the HUD equals the usual picture."""
_PANEL_PX = 15
"""Maximum gap between edges inside a panel, in pixels of the reduced frame."""
_LEAST_PANEL_PX = 7
"""Minimum extent of a panel; thinner edges are a star or a horizon before a static camera."""


def usual_picture(images: Sequence[np.ndarray]) -> np.ndarray:
    """The usual picture of a video: the median of its frames, uint8 (H, W, 3).

    Raises:
        ValueError: there are no frames.
    """
    if not len(images):
        raise ValueError("no frames, so nothing is usual")
    return np.median(np.stack(images), axis=0).astype(np.uint8)


def stand_still(image: np.ndarray, usual: np.ndarray, boxes: np.ndarray) -> np.ndarray:
    """bool (n,): whether each box looks as in the usual picture, as icons of the HUD do.

    Args:
        boxes: xyxy float (n, 4).
    """
    differ = cv2.absdiff(image, usual).max(axis=2)
    still = np.zeros(len(boxes), bool)
    for number, (x1, y1, x2, y2) in enumerate(np.round(boxes).astype(int).clip(0)):
        place = differ[y1:y2, x1:x2]
        still[number] = place.size > 0 and float((place > _MOVED).mean()) <= _STILL_SHARE
    return still


def panels(images: Sequence[np.ndarray]) -> np.ndarray:
    """The panels of the HUD, bool (H, W): edges that all frames share, and what they enclose.

    The dots on a radar move, but its frame does not; they are no targets either.

    Args:
        images: frames of one video far apart in time, RGB uint8 (H, W, 3).

    Raises:
        ValueError: there are no frames.
    """
    height, width = images[0].shape[:2] if len(images) else (0, 0)
    small = [
        cv2.resize(image, (width // _STEP, height // _STEP), interpolation=cv2.INTER_AREA) for image in images
    ]
    usual = usual_picture(small)
    as_usual = np.mean([cv2.absdiff(image, usual).max(axis=2) <= _MOVED for image in small], axis=0)
    is_edge = _edges(cv2.cvtColor(usual, cv2.COLOR_RGB2GRAY)) > _EDGE
    edges = (is_edge & (as_usual >= _STILL_FRAMES)).astype(np.uint8)
    round_ = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (_PANEL_PX, _PANEL_PX))
    dense = cv2.morphologyEx(edges, cv2.MORPH_CLOSE, round_)
    dense = cv2.morphologyEx(dense, cv2.MORPH_OPEN, np.ones((_LEAST_PANEL_PX, _LEAST_PANEL_PX), np.uint8))
    outlines, _ = cv2.findContours(dense, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_SIMPLE)
    filled = cv2.drawContours(np.zeros_like(dense), outlines, -1, 1, cv2.FILLED)
    return cv2.resize(filled, (width, height), interpolation=cv2.INTER_NEAREST).astype(bool)


def share_inside(mask: np.ndarray, boxes: np.ndarray) -> np.ndarray:
    """Share of each box's pixels that a mask covers, (n,); 0 outside the image.

    Args:
        mask: bool (H, W).
        boxes: xyxy float (n, 4).
    """
    shares = np.zeros(len(boxes))
    for number, (x1, y1, x2, y2) in enumerate(np.round(boxes).astype(int).clip(0)):
        place = mask[y1:y2, x1:x2]
        shares[number] = place.mean() if place.size else 0
    return shares


def standouts(
    image: np.ndarray,
    usual: np.ndarray | None,
    sides: tuple[float, float],
    limit: int,
    hud: np.ndarray | None = None,
    *,
    rare: bool = False,
    fly_bys: np.ndarray | None = None,
) -> np.ndarray:
    """Boxes around objects that stand out and are not part of the HUD, xyxy float (n, 4), sharpest first.

    A cloud differs from its surroundings too, and is larger than most targets, but it has no sharp edges.

    Args:
        image: RGB uint8 (H, W, 3).
        usual: from usual_picture; static objects are HUD. None: unknown, so everything counts as moved. Used
            where ``hud`` is None.
        sides: long side in pixels of the smallest and largest labelled targets.
        limit: maximum number of boxes.
        hud: bool (H, W), the panels; None: unknown.
        rare: whether targets are, so that what has many look-alikes in the frame is none.
        fly_bys: of the frame, xyxy (m, 4); None: unknown.
    """
    height, width = image.shape[0] // _STEP, image.shape[1] // _STEP
    small = cv2.resize(image, (width, height), interpolation=cv2.INTER_AREA)
    kernel = min(int(sides[1] * _SIZES[1] / _STEP), min(height, width) // 2, 127) // 2 * 2 + 1
    around = cv2.medianBlur(small, max(kernel, 3))
    out = cv2.absdiff(small, around).max(axis=2) > _CONTRAST
    if hud is not None:
        # A static ship, like the player's own, is a candidate; a panel is not.
        out &= ~cv2.resize(hud.astype(np.uint8), (width, height), interpolation=cv2.INTER_NEAREST).astype(
            bool
        )
    elif usual is not None:
        before = cv2.resize(usual, (width, height), interpolation=cv2.INTER_AREA)
        out &= cv2.absdiff(small, before).max(axis=2) > _MOVED
    bridged = cv2.morphologyEx(
        out.astype(np.uint8), cv2.MORPH_CLOSE, np.ones((_TOUCHING, _TOUCHING), np.uint8)
    )
    _, _, stats, _ = cv2.connectedComponentsWithStats(bridged)
    x, y, w, h = stats[1:, :4].T.astype(float) * _STEP
    side = np.maximum(w, h)
    fits = (side >= max(_SIZES[0] * sides[0], _LEAST_PX)) & (side <= _SIZES[1] * sides[1])
    sharp = cv2.integral(_edges(small).max(axis=2))
    x1, y1, x2, y2 = np.column_stack([stats[1:, :2], stats[1:, :2] + stats[1:, 2:4]])[fits].T
    total = sharp[y2, x2] - sharp[y1, x2] - sharp[y2, x1] + sharp[y1, x1]
    order = np.argsort(-total / (w * h)[fits], kind="stable")
    boxes = np.column_stack([x, y, x + w, y + h])[fits][order]
    if fly_bys is not None:
        boxes = boxes[~fly_by(boxes, fly_bys)]
    if not rare:
        return boxes[:limit]
    chosen = boxes[:0]
    while len(boxes) and len(chosen) < limit:
        # No more of them than needed, for each takes milliseconds.
        some, boxes = np.split(boxes, [limit - len(chosen)])
        chosen = np.concatenate([chosen, some[~have_look_alikes(image, some)]])
    return chosen


def _edges(image: np.ndarray) -> np.ndarray:
    """Gradient in levels per pixel, float32 of the image's shape."""
    levels = image.astype(np.float32)
    # Sobel's weights add up to four.
    return np.hypot(cv2.Sobel(levels, cv2.CV_32F, 1, 0), cv2.Sobel(levels, cv2.CV_32F, 0, 1)) / 4
