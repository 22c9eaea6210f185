"""Paint over an area of a picture so that nobody sees that something was removed.

Every connected part of the area is covered with a piece of the surroundings, or of a picture shortly before or
after, whose rim fits best around the hole (as in Criminisi, Region filling and object removal by exemplar-based
inpainting, 2004, though a part is filled at once): what a camera or a codec leaves in a picture is copied with
it. A piece is moved in brightness and colour until its rim meets that of the hole. Where no piece fits the area
is inpainted (Telea, An image inpainting technique based on the fast marching method, 2004) and given the grain
of its surroundings.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np

_RADIUS = 3
"""Of inpainting, pixels."""
_RIM = 4
"""Pixels around a hole in which a piece is compared."""
_REACH = 48
"""Pixels beside a hole within which pieces are looked for."""
_SMOOTH = 3.0
"""Pixels over which the difference at the rim fades inside the hole."""
_FITS = 12.0
"""Root mean square difference at the rim, in levels, from which no piece fits."""
_AROUND = 15
"""Side of the square whose mean a pixel stands out from, if it is part of a ship or a letter."""
_STANDS_OUT = 1.5, 5.0
"""A pixel may stand out as much as nine in ten at the rim, times the first, and so many levels, in a piece."""


@dataclass(frozen=True, eq=False)
class Source:
    """A picture to take pieces from."""

    image: np.ndarray
    """RGB uint8 (H, W, 3)."""
    avoid: np.ndarray
    """bool (H, W): pixels that are never copied."""


def paint_over(
    image: np.ndarray, area: np.ndarray, avoid: np.ndarray | None = None, others: Sequence[Source] = ()
) -> np.ndarray:
    """The image with the area painted over.

    Args:
        image: RGB uint8 (H, W, 3).
        area: bool (H, W).
        avoid: bool (H, W), pixels that belong to marks and targets: nothing is taken from them. The area itself
            is one of them in any case.
        others: pictures of the same size, of the same camera a little before or after.
    """
    avoid = area if avoid is None else avoid | area
    result = image.copy()
    sources = (Source(image, avoid), *others)
    near = cv2.dilate(area.astype(np.uint8), np.ones((5, 5), np.uint8))
    count, numbers = cv2.connectedComponents(near)
    left = np.zeros_like(area)
    for number in range(1, count):
        part = area & (numbers == number)
        window = _grown(part, _RIM)
        piece = _best_piece(image, part, avoid, window, sources)
        if piece is None:
            left |= part
        else:
            inside = part[window]
            result[window][inside] = piece[inside]
    return _inpainted(result, left, avoid) if left.any() else result


def _best_piece(
    image: np.ndarray,
    part: np.ndarray,
    avoid: np.ndarray,
    window: tuple[slice, slice],
    sources: Sequence[Source],
) -> np.ndarray | None:
    """The piece that fits best around the hole, moved to meet its rim: uint8 (h, w, 3); None if none fits."""
    hole = part[window].astype(np.uint8)
    rim = (cv2.dilate(hole, np.ones((2 * _RIM + 1, 2 * _RIM + 1), np.uint8)) > 0) & ~avoid[window]
    if np.count_nonzero(rim) < np.count_nonzero(hole) / 4:
        return None
    own = image[window]
    weights = rim.astype(np.float32)
    factor, more = _STANDS_OUT
    least, best = _FITS**2 * 3 * float(weights.sum()), None
    for source in sources:
        search = _grown(part, _RIM + _REACH)
        picture = source.image[search]
        out = _stands_out(picture)
        # The first source is the image itself, so the rim is in it; in others it is about as lively.
        lively = float(np.percentile(_stands_out(image[search])[_part_of(rim, window, search)], 90))
        barred = (source.avoid[search] | (out > factor * lively + more)).astype(np.float32)
        taken = cv2.matchTemplate(barred, hole.astype(np.float32), cv2.TM_CCORR) > 0.5
        cost = cv2.matchTemplate(picture, own, cv2.TM_SQDIFF, mask=np.dstack([rim.astype(np.uint8)] * 3))
        cost = np.where(taken | ~np.isfinite(cost), np.inf, cost)
        row, column = np.unravel_index(int(cost.argmin()), cost.shape)
        if cost[row, column] < least:
            least = float(cost[row, column])
            best = picture[row : row + hole.shape[0], column : column + hole.shape[1]]
    if best is None:
        return None
    off = (own.astype(np.float32) - best) * weights[..., None]
    share = cv2.GaussianBlur(weights, (0, 0), _SMOOTH)[..., None]
    shift = cv2.GaussianBlur(off, (0, 0), _SMOOTH) / np.maximum(share, 1e-4)
    return np.clip(best + shift, 0, 255).round().astype(np.uint8)


def _part_of(
    rim: np.ndarray, window: tuple[slice, slice], search: tuple[slice, slice]
) -> tuple[np.ndarray, ...]:
    """Rows and columns of the rim in a larger window."""
    rows, columns = np.nonzero(rim)
    return rows + window[0].start - search[0].start, columns + window[1].start - search[1].start


def _stands_out(image: np.ndarray) -> np.ndarray:
    """How much each pixel differs from its surroundings: float32 (H, W)."""
    around = cv2.blur(image, (_AROUND, _AROUND))
    return cv2.absdiff(image, around).max(axis=2).astype(np.float32)


def _grown(pixels: np.ndarray, margin: int) -> tuple[slice, slice]:
    """The rectangle around the pixels, with a margin, inside the picture."""
    x, y, width, height = cv2.boundingRect(pixels.astype(np.uint8))
    return (
        slice(max(y - margin, 0), min(y + height + margin, pixels.shape[0])),
        slice(max(x - margin, 0), min(x + width + margin, pixels.shape[1])),
    )


def _inpainted(image: np.ndarray, area: np.ndarray, avoid: np.ndarray) -> np.ndarray:
    """The image with the area inpainted, with the grain of its surroundings.

    Args:
        avoid: bool (H, W), where no grain is to be taken from.
    """
    smooth = cv2.inpaint(image, area.astype(np.uint8), _RADIUS, cv2.INPAINT_TELEA).astype(np.float32)
    base = image.astype(np.float32)
    base[area] = smooth[area]
    grain = base - cv2.GaussianBlur(base, (0, 0), 1.5)
    limit = 3 * np.median(np.abs(grain[~avoid])) + 1 if (~avoid).any() else 0.0
    grain = np.clip(grain, -limit, limit)
    rows, columns = np.nonzero(area)
    added = np.zeros((len(rows), image.shape[2]), np.float32)
    open_ = np.ones(len(rows), bool)
    for step in (7, 11, 16, 23):
        for down, right in ((0, step), (0, -step), (step, 0), (-step, 0)):
            row, column = rows + down, columns + right
            is_in = (row >= 0) & (column >= 0) & (row < len(image)) & (column < image.shape[1])
            row, column = np.clip(row, 0, len(image) - 1), np.clip(column, 0, image.shape[1] - 1)
            take = open_ & is_in & ~avoid[row, column]
            added[take] = grain[row[take], column[take]]
            open_ &= ~take
    result = image.copy()
    result[area] = np.clip(smooth[area] + added, 0, 255).round().astype(np.uint8)
    return result
