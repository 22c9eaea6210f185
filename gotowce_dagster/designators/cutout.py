"""The mark's own picture, cut out of aligned examples: pixels that stay while backgrounds change.

Where a pixel of the mark is opaque, all examples show one colour; where it is partly transparent, what they
show moves with the background, and by how much tells its opacity. Everything else moves with the background
alone, or with a target that turns.
"""

from collections.abc import Sequence

import cv2
import numpy as np

from gotowce_dagster.designators.base import sizes
from gotowce_dagster.designators.evidence import CONTRAST
from gotowce_dagster.designators.picture import FINEST, Cutout

RING = 8
"""Pixels around the mark that show the background of an example."""
_SHIFT = 3
"""Pixels by which an example may lie beside its box."""
_NOISE = (CONTRAST / 3).astype(np.float32)
"""Differences in Y, Cr and Cb that compression makes of nothing."""
_EVIDENCE = (0.45, 0.65)
"""Share of what is seen at a pixel that the mark explains: none of it is the mark's, all of it is."""
_LEAST = 12
"""Pixels of a mark, at least."""


def cut_out(images: Sequence[np.ndarray], boxes: Sequence[np.ndarray]) -> Cutout | None:
    """The mark that all examples show in their boxes; None if they show nothing in common.

    Args:
        images: YCrCb uint8 (H, W, 3), one a box.
        boxes: float (4,) xyxy.
    """
    usual = np.median(sizes(boxes), axis=0)
    grid = np.maximum(np.round(usual * min(1.0, FINEST / usual.max())), 3).astype(int)
    shown = [window(image, box, grid, RING + _SHIFT) for image, box in zip(images, boxes, strict=True)]
    aligned = _aligned(shown, grid)
    support = np.zeros(aligned[0].shape[:2], np.float32)
    support[RING - 1 : 1 - RING, RING - 1 : 1 - RING] = 1
    within = support > 0
    found = None
    for _ in range(3):
        under = np.stack([background(part, support) for part in aligned])
        found = _paint(np.stack(aligned), under)
        found = Cutout(found.colour, found.opacity * within)
        support = cv2.dilate((found.opacity > 0).astype(np.float32), np.ones((3, 3), np.uint8))
        if (found.opacity > 0.1).sum() < _LEAST:
            return None
    assert found is not None
    inner = np.s_[RING:-RING, RING:-RING]
    return Cutout(found.colour[inner], found.opacity[inner])


def window(image: np.ndarray, box: np.ndarray, sides: np.ndarray, margin: int) -> np.ndarray:
    """What an image shows in a box and around it, the box scaled to these sides.

    Args:
        sides: int (2,), width and height.
        margin: pixels around the box, counted after scaling.

    Returns:
        float32 (height + 2 margin, width + 2 margin, 3); the image's border is repeated outside of it.
    """
    factor = (box[2:] - box[:2]) / sides
    if (np.abs(factor - 1) < 0.02).all():
        factor = np.ones(2)
        begin = np.round((box[:2] + box[2:] - sides) / 2)
    else:
        begin = box[:2]
    begin = begin - margin * factor
    extent = np.ceil((sides + 2 * margin) * factor).astype(int) + 4
    low = np.floor(begin).astype(int) - 1
    part = cut_window(image, low, extent).astype(np.float32)
    if factor.max() > 1.2:
        part = cv2.GaussianBlur(part, (0, 0), 0.45 * float(factor.max()))
    # Middles of pixels are at halves.
    offset = begin - low + factor / 2 - 0.5
    matrix = np.array([[factor[0], 0, offset[0]], [0, factor[1], offset[1]]])
    size = (int(sides[0] + 2 * margin), int(sides[1] + 2 * margin))
    flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
    return cv2.warpAffine(part, matrix, size, flags=flags, borderMode=cv2.BORDER_REPLICATE)


def cut_window(image: np.ndarray, low: np.ndarray, extent: np.ndarray) -> np.ndarray:
    """The pixels from ``low`` (x, y) on, ``extent`` (width, height) of them, the border repeated."""
    height, width = image.shape[:2]
    x = np.arange(low[0], low[0] + extent[0]).clip(0, width - 1)
    y = np.arange(low[1], low[1] + extent[1]).clip(0, height - 1)
    return image[y[0] : y[-1] + 1, x[0] : x[-1] + 1][np.ix_(y - y[0], x - x[0])]


def background(part: np.ndarray, support: np.ndarray) -> np.ndarray:
    """What a window would show without the mark: its other pixels, spread over those of the mark.

    Args:
        part: float32 (h, w, 3).
        support: float32 (h, w), 1 where the mark is.
    """
    free = 1 - support
    paint = part * free[..., None]
    narrow = max(min(part.shape[:2]) // 8, 3) * 2 + 1
    wide = 3 * narrow
    # Far from any free pixel the wider spread decides.
    total = cv2.blur(paint, (narrow, narrow)) + 0.05 * cv2.blur(paint, (wide, wide))
    share = cv2.blur(free, (narrow, narrow)) + 0.05 * cv2.blur(free, (wide, wide))
    return total / np.maximum(share, 1e-4)[..., None]


def _aligned(shown: Sequence[np.ndarray], grid: np.ndarray) -> list[np.ndarray]:
    """The windows, each moved by up to _SHIFT pixels to agree with the others, without that margin."""
    whole = np.zeros(shown[0].shape[:2], np.float32)
    edge = RING + _SHIFT
    whole[edge:-edge, edge:-edge] = 1
    apart = [((part - background(part, whole)) / CONTRAST).clip(-4, 4).astype(np.float32) for part in shown]
    height, width = grid[1] + 2 * RING, grid[0] + 2 * RING
    places = [(_SHIFT, _SHIFT)] * len(shown)
    for _ in range(3):
        moved = [d[y : y + height, x : x + width] for d, (x, y) in zip(apart, places, strict=True)]
        total = np.sum(moved, axis=0)
        places = []
        for part, own in zip(apart, moved, strict=True):
            others = ((total - own) / max(len(apart) - 1, 1)).astype(np.float32)
            alike = cv2.matchTemplate(part, others, cv2.TM_CCORR)
            places.append(cv2.minMaxLoc(alike)[3])
    return [part[y : y + height, x : x + width] for part, (x, y) in zip(shown, places, strict=True)]


def _paint(shown: np.ndarray, under: np.ndarray) -> Cutout:
    """Colour and opacity of every pixel, 0 where it is not the mark's.

    A pixel shows ``opacity * colour + (1 - opacity) * background``: a straight line over the background.

    Args:
        shown: float32 (n, h, w, 3) of n examples.
        under: their backgrounds.
    """
    n = len(shown)
    seen, ground = shown.mean(axis=0), under.mean(axis=0)
    rise = ((shown - seen) * (under - ground) / _NOISE**2).sum(axis=(0, 3))
    run = ((under - ground) ** 2 / _NOISE**2).sum(axis=(0, 3))
    apart = np.abs(seen - ground) / CONTRAST
    strong = apart.max(axis=-1) >= 1
    usual = float(np.clip(rise[strong].sum() / (run[strong].sum() + 4 * n * strong.sum() + 1), 0, 0.8))
    smooth = [cv2.blur(values.astype(np.float32), (3, 3)) for values in (rise, run)]
    through = ((smooth[0] + 2 * n * usual) / (smooth[1] + 2 * n)).clip(0, 0.95)
    opacity = 1 - through
    change = (seen - ground) - opacity[..., None] * (under - ground)
    left = (shown - under) - change
    explained = (change**2 / _NOISE**2).mean(axis=0).sum(axis=-1)
    unexplained = (left**2 / _NOISE**2).mean(axis=0).sum(axis=-1) * n / max(n - 1.5, 1)
    evidence = explained / (explained + unexplained + 3)
    evidence = cv2.GaussianBlur(evidence.astype(np.float32), (0, 0), 0.6)
    low, high = _EVIDENCE
    share = ((evidence - low) / (high - low)).clip(0, 1)
    colour = (ground + (seen - ground) / opacity[..., None]).clip(0, 255)
    return Cutout(colour.astype(np.float32), (opacity * share).astype(np.float32))
