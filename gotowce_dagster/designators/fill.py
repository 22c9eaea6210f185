"""Paint over an area of a picture so that nobody sees that something was removed.

Every connected part of the area is covered with a piece of the surroundings, or of a picture shortly before or
after, whose rim fits best around the hole (as in Criminisi, Region filling and object removal by exemplar-based
inpainting, 2004, though a part is filled at once): what a camera or a codec leaves in a picture is copied with
it. A piece is moved in brightness and colour until its rim meets that of the hole. Where no piece fits the area
is inpainted (Telea, An image inpainting technique based on the fast marching method, 2004) and given the grain
of its surroundings.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import cv2
import numpy as np

_RADIUS = 3
"""Of inpainting, pixels."""
_RIM = 4
"""Pixels beyond them in which a piece is compared."""
_REACH = 64
"""Pixels beside a hole within which pieces are looked for."""
_BAND = 12
"""Pixels around a hole in which coding left traces of what was there: a block of H.264 or JPEG is as wide."""
_JOINED = 17
"""Holes with fewer pixels between them are covered with one piece."""
_RESIDUE, _ALIKE = 8.0, 5
"""Difference from the piece in levels, beyond the usual one at the rim, up to which it may be such a trace, and side of
the square over which it is averaged."""
_NOISY = 2.0
"""Such a difference from which traces drown in the noise."""
_FITS = 12.0
"""Root mean square difference at the rim, in levels, from which no piece fits."""
_AROUND = 15
"""Side of the square whose mean a pixel stands out from, if it is part of a ship or a letter."""
_LIVELY = 1.5, 5.0
"""A pixel may stand out as much as nine in ten at the rim, times the first, and so many levels, in a piece."""


@dataclass(frozen=True, eq=False)
class Source:
    """A picture to take pieces from."""

    image: np.ndarray
    """RGB uint8 (H, W, 3)."""
    avoid: np.ndarray
    """bool (H, W): pixels that are never copied."""

    def part(self, window: tuple[slice, slice]) -> "Source":
        """The picture's part in a window."""
        return Source(self.image[window], self.avoid[window])


def paint_over(
    image: np.ndarray,
    area: np.ndarray,
    avoid: np.ndarray | None = None,
    keep: np.ndarray | None = None,
    others: Sequence[Source] = (),
) -> np.ndarray:
    """The image with the area painted over, and what coding it left around it.

    Args:
        image: RGB uint8 (H, W, 3).
        area: bool (H, W).
        avoid: bool (H, W), pixels from which nothing is taken, such as other marks. The area itself and what is
            kept are some of them in any case.
        keep: bool (H, W), pixels that stay as they are.
        others: pictures of the same size, of the same camera a little before or after.
    """
    keep = np.zeros_like(area) if keep is None else keep
    near = cv2.dilate(area.astype(np.uint8), np.ones((2 * _BAND + 1, 2 * _BAND + 1), np.uint8)) > 0
    avoid = near | keep if avoid is None else near | keep | avoid
    result, left = image.copy(), np.zeros_like(area)
    sources = (Source(image, avoid), *others)
    for joined in _parts(area, _JOINED):
        if not _covered(result, joined, area, keep, sources):
            for part in _parts(joined, 5):
                if not _covered(result, part, area, keep, sources):
                    left |= part
    return _inpainted(result, left, avoid) if left.any() else result


def _parts(area: np.ndarray, gap: int) -> Iterator[np.ndarray]:
    """The parts of an area with so many pixels between them, bool (H, W) each."""
    near = cv2.dilate(area.astype(np.uint8), np.ones((gap, gap), np.uint8))
    count, numbers = cv2.connectedComponents(near)
    for number in range(1, count):
        yield area & (numbers == number)


def _covered(
    image: np.ndarray, part: np.ndarray, area: np.ndarray, keep: np.ndarray, sources: Sequence[Source]
) -> bool:
    """Lay the piece that fits best over a hole, in place; False if none fits."""
    window = _grown(part, _BAND + _RIM)
    hole, own = part[window], image[window]
    away = cv2.distanceTransform((~hole).astype(np.uint8), cv2.DIST_L2, 3)
    fixed = (area[window] & ~hole) | keep[window]
    rim, out = (away > _BAND) & (away <= _BAND + _RIM) & ~fixed, _stands_out(own)
    if np.count_nonzero(rim) < np.count_nonzero(hole) / 8:
        return False
    lively = _LIVELY[0] * float(np.percentile(out[rim], 90)) + _LIVELY[1]
    rim &= out <= lively  # A shot or a star at the rim says nothing about the rest.
    piece = _best_piece(
        own, hole, rim, lively, [source.part(_wider(window, _REACH, area.shape)) for source in sources]
    )
    if piece is None:
        return False
    weights = rim.astype(np.float32)
    share = cv2.GaussianBlur(weights, (0, 0), _BAND)[..., None]
    off = cv2.GaussianBlur((own - piece) * weights[..., None], (0, 0), _BAND)
    piece = piece + off / np.maximum(share, 1e-3)
    differ = np.abs(own - piece).mean(axis=2)
    usual = float(differ[rim].mean())
    differ = cv2.blur(differ, (_ALIKE, _ALIKE))
    # In a noisy picture nobody sees such traces, and what stays as it is cannot be wrong.
    opacity = np.clip(_NOISY - usual, 0, 1) * np.clip((usual + _RESIDUE - differ) / 2, 0, 1)
    opacity = opacity * np.clip((_BAND + 1 - away) / 3, 0, 1)
    opacity[hole] = 1
    opacity[fixed] = 0
    blended = own + opacity[..., None] * (piece - own)
    image[window] = np.clip(blended, 0, 255).round().astype(np.uint8)
    return True


def _best_piece(
    own: np.ndarray, hole: np.ndarray, rim: np.ndarray, lively: float, sources: Sequence[Source]
) -> np.ndarray | None:
    """The piece whose rim fits best: float32 (h, w, 3); None if none fits.

    Args:
        own: RGB uint8 (h, w, 3) around the hole.
        lively: by how much a pixel may stand out that comes to lie in the hole.
    """
    height, width = hole.shape
    least, best = _FITS**2 * np.count_nonzero(rim), None
    template = cv2.cvtColor(own, cv2.COLOR_RGB2GRAY)
    for source in sources:
        barred = source.avoid | (_stands_out(source.image) > lively)
        taken = cv2.matchTemplate(barred.astype(np.float32), hole.astype(np.float32), cv2.TM_CCORR)
        luma = cv2.cvtColor(source.image, cv2.COLOR_RGB2GRAY)
        cost = cv2.matchTemplate(luma, template, cv2.TM_SQDIFF, mask=rim.astype(np.uint8))
        cost = np.where((taken > 0.5) | ~np.isfinite(cost), np.inf, cost)
        row, column = (int(v) for v in np.unravel_index(int(cost.argmin()), cost.shape))
        if cost[row, column] < least:
            least = float(cost[row, column])
            best = source.image[row : row + height, column : column + width]
    return None if best is None else best.astype(np.float32)


def _stands_out(image: np.ndarray) -> np.ndarray:
    """How much each pixel differs from its surroundings: float32 (H, W)."""
    around = cv2.blur(image, (_AROUND, _AROUND))
    return np.maximum.reduce(cv2.split(cv2.absdiff(image, around))).astype(np.float32)


def _grown(pixels: np.ndarray, margin: int) -> tuple[slice, slice]:
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
