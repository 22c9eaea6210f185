"""Paint over an area of a picture so that nobody sees that something was removed.

Every connected part of the area is covered with a piece of its surroundings, the one whose rim fits best
around the hole (compare Criminisi, Region filling and object removal by exemplar-based inpainting, 2004; here
a part is filled at once). So what a camera or a codec leaves in a picture is copied with it. The piece is
changed in brightness and colour until it meets what is around the hole. What coding left around the thing
that was removed is covered too, if the picture is so quiet that it shows.

Where no piece fits the area is inpainted (Telea, An image inpainting technique based on the fast marching
method, 2004) and given the grain of its surroundings.
"""

from collections.abc import Iterator

import cv2
import numpy as np

_RADIUS = 3
"""Of inpainting, pixels."""
_RIM = 4
"""Pixels beyond them in which a piece is compared."""
_REACH = 64
"""Pixels beside a hole within which pieces are looked for."""
_BAND = 12
"""Pixels around a hole with traces of what is removed: blocks of H.264 and JPEG are about as wide."""
_JOINED = 17
"""Holes with fewer pixels between them are covered with one piece."""
_NOISY = 2.0
"""Mean difference at the rim in levels, from which traces of coding drown in the noise."""
_RESIDUE, _OWN, _STAR = 8.0, 4.0, 20.0
"""Such a trace differs by at most so many levels more than noise does, on average; a thing of its own, such
as a star, by more than so many times the noise and so many levels."""
_FITS = 12.0
"""Root mean square difference at the rim, in levels, from which no piece fits."""
_AROUND = 15
"""Side of the square whose mean a pixel stands out from, if it is part of a ship or a letter."""
_LIVELY = 4.0, 5.0
"""A pixel of a piece may stand out as much as the median at the rim, times the first, and so many levels."""


def paint_over(
    image: np.ndarray,
    area: np.ndarray,
    avoid: np.ndarray | None = None,
    keep: np.ndarray | None = None,
) -> np.ndarray:
    """The image with the area painted over, and what coding it left around it.

    Args:
        image: RGB uint8 (H, W, 3).
        area: bool (H, W).
        avoid: bool (H, W), pixels from which nothing is taken, such as other marks. The area itself and what
            is kept are some of them in any case.
        keep: bool (H, W), pixels that stay as they are.
    """
    keep = np.zeros_like(area) if keep is None else keep
    near = cv2.dilate(area.astype(np.uint8), np.ones((2 * _BAND + 1, 2 * _BAND + 1), np.uint8)) > 0
    avoid = near | keep if avoid is None else near | keep | avoid
    result, left = image.copy(), np.zeros_like(area)
    for joined in _parts(area, _JOINED):
        if not _covered(result, joined, area, keep, avoid):
            for part in _parts(joined, 5):
                if not _covered(result, part, area, keep, avoid):
                    left |= part
    return _inpainted(result, left, avoid) if left.any() else result


def _parts(area: np.ndarray, gap: int) -> Iterator[np.ndarray]:
    """The parts of an area with so many pixels between them, bool (H, W) each."""
    near = cv2.dilate(area.astype(np.uint8), np.ones((gap, gap), np.uint8))
    count, numbers = cv2.connectedComponents(near)
    for number in range(1, count):
        yield area & (numbers == number)


def _covered(
    image: np.ndarray, part: np.ndarray, area: np.ndarray, keep: np.ndarray, avoid: np.ndarray
) -> bool:
    """Lay the piece that fits best over a hole, in place; False if none fits."""
    window = window_around(part, _BAND + _RIM)
    hole, own = part[window], image[window]
    away = cv2.distanceTransform((~hole).astype(np.uint8), cv2.DIST_L2, 3)
    fixed = (area[window] & ~hole) | keep[window]
    rim, out = (away > _BAND) & (away <= _BAND + _RIM) & ~fixed, _stands_out(own)
    if np.count_nonzero(rim) < np.count_nonzero(hole) / 8:
        return False
    lively = _LIVELY[0] * float(np.median(out[rim])) + _LIVELY[1]
    rim &= out <= lively  # A shot or a star at the rim says nothing about the rest.
    searched = _wider(window, _REACH, area.shape)
    piece = _best_piece(own, hole, rim, lively, image=image[searched], avoid=avoid[searched])
    if piece is None:
        return False
    off = own - piece
    moved = piece + _spread(off, rim, _BAND)
    noise = float(np.abs(own - moved)[rim].mean())
    quiet = min(max(_NOISY - noise, 0.0), 1.0)
    close = (away > 1) & (away <= 1 + _RIM) & ~fixed & (np.abs(off).max(axis=2) <= _OWN * noise + _STAR)
    # In a noisy picture nobody sees what coding left, so the piece has to meet what is close to the hole.
    piece = quiet * moved + (1 - quiet) * (piece + _spread(off, close, _RIM))
    opacity = quiet * _of_trace(own - piece, hole | fixed, noise) * np.clip((_BAND + 1 - away) / 3, 0, 1)
    opacity[hole] = 1
    opacity[fixed] = 0
    blended = own + opacity[..., None] * (piece - own)
    image[window] = np.clip(blended, 0, 255).round().astype(np.uint8)
    return True


def _spread(values: np.ndarray, known: np.ndarray, reach: float) -> np.ndarray:
    """Values where they are known, and a mean of those nearby elsewhere: float32 (h, w, 3)."""
    weights = known.astype(np.float32)[..., None]
    share = cv2.GaussianBlur(weights, (0, 0), reach)[..., None]
    return cv2.GaussianBlur(values * weights, (0, 0), reach) / np.maximum(share, 1e-3)


def _of_trace(off: np.ndarray, other: np.ndarray, noise: float) -> np.ndarray:
    """Whether a difference from the piece is a trace of coding, and no thing of its own: (h, w), 0 to 1.

    Args:
        other: bool (h, w), pixels that have no say: the thing that is removed, and what is kept.
    """
    differ = np.where(other, 0, np.abs(off).mean(axis=2)).astype(np.float32)
    share = cv2.blur((~other).astype(np.float32), (5, 5))
    nearby = cv2.blur(differ, (5, 5)) / np.maximum(share, 0.04)
    largest = cv2.dilate(differ, np.ones((3, 3), np.uint8))
    alike = np.clip((noise + _RESIDUE - nearby) / 2, 0, 1)
    return alike * np.clip((_OWN * noise + _STAR - largest) / 2, 0, 1)


def _best_piece(
    own: np.ndarray, hole: np.ndarray, rim: np.ndarray, lively: float, *, image: np.ndarray, avoid: np.ndarray
) -> np.ndarray | None:
    """The piece of an image whose rim fits best: float32 (h, w, 3); None if none fits.

    Args:
        own: RGB uint8 (h, w, 3) around the hole.
        lively: by how much a pixel may stand out that comes to lie in the hole.
    """
    height, width = hole.shape
    barred = avoid | (_stands_out(image) > lively)
    taken = cv2.matchTemplate(barred.astype(np.float32), hole.astype(np.float32), cv2.TM_CCORR)
    luma, template = (cv2.cvtColor(picture, cv2.COLOR_RGB2GRAY) for picture in (image, own))
    cost = cv2.matchTemplate(luma, template, cv2.TM_SQDIFF, mask=rim.astype(np.uint8))
    cost = np.where((taken > 0.5) | ~np.isfinite(cost), np.inf, cost)
    row, column = (int(v) for v in np.unravel_index(int(cost.argmin()), cost.shape))
    if cost[row, column] > _FITS**2 * np.count_nonzero(rim):
        return None
    return image[row : row + height, column : column + width].astype(np.float32)


def _stands_out(image: np.ndarray) -> np.ndarray:
    """How much each pixel differs from its surroundings: float32 (H, W)."""
    around = cv2.blur(image, (_AROUND, _AROUND))
    return np.maximum.reduce(cv2.split(cv2.absdiff(image, around))).astype(np.float32)


def window_around(pixels: np.ndarray, margin: int) -> tuple[slice, slice]:
    """The rectangle around the pixels, with a margin, inside the picture."""
    x, y, width, height = cv2.boundingRect(pixels.astype(np.uint8))
    return _wider((slice(y, y + height), slice(x, x + width)), margin, pixels.shape)


def _wider(window: tuple[slice, slice], margin: int, shape: tuple[int, ...]) -> tuple[slice, slice]:
    """A window with a margin, inside a picture of that height and width."""
    rows, columns = window
    return (
        slice(max(rows.start - margin, 0), min(rows.stop + margin, shape[0])),
        slice(max(columns.start - margin, 0), min(columns.stop + margin, shape[1])),
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
