"""Circles in a mask of thin lines, of any radius in a range, also broken and partly hidden ones.

Every pixel votes for the centres that lie along the normal of the line through it. Votes are added over all
radii, so a circle's centre stands out whatever its size; the radius is then the distance at which most
directions have a pixel. Pixels inside areas have no normal and do not vote.
"""

from dataclasses import dataclass

import cv2
import numpy as np

SECTORS, DIRECTIONS = 48, 72
VOTERS = 2500
_REACH = 3, 6
"""Half the side of the patch in which a line's direction is measured, pixels: about as much as its width."""
_BANDS = (0.15, 0.1, 0.1, 0.05, 0.05)
"""Share of the radius by which pixels may lie off the circle in each step of a fit."""
_AROUND = 2
"""Cells around a peak of votes that belong to it."""
_SURROUNDED = (0.4, 0.65)
"""Share of the directions in which something may be beside a ring, and from which it is no ring."""


@dataclass(frozen=True, eq=False)
class Circle:
    """A circle that a mask may show."""

    centre: np.ndarray
    radius: float
    """Of the outer edge of the line."""
    line: float
    """Of the middle of the line."""


def circles(
    mask: np.ndarray, radii: tuple[float, float], most: int = 24, thickness: float = 0.0
) -> list[Circle]:
    """Circles whose radius is in ``radii``, in pixels; the best supported centres only.

    Args:
        thickness: of the line in pixels, if it is known: the direction of a wide one is not seen from near.
    """
    on = cv2.findNonZero(mask)
    if on is None or len(on) < 12:
        return []
    points = on.reshape(-1, 2)
    voters, normal = _normals(mask, points, int(np.clip(round(0.9 * thickness), *_REACH)))
    if len(voters) < 12:
        return []
    centres = _centres(voters, normal, mask.shape, radii, most)
    found = []
    for centre in centres:
        circle = _fitted(points, centre, radii)
        if circle is not None:
            found.append(circle)
    return found


def _normals(mask: np.ndarray, points: np.ndarray, reach: int) -> tuple[np.ndarray, np.ndarray]:
    """Pixels that lie on thin lines (n, 2) and the unit normals there (n, 2)."""
    step = max(len(points) // VOTERS, 1)
    points = points[::step]
    padded = np.pad(mask, reach)
    grid = np.mgrid[-reach : reach + 1, -reach : reach + 1]
    dy, dx = grid.reshape(2, -1)
    on = padded[points[:, 1, None] + reach + dy, points[:, 0, None] + reach + dx].astype(np.float32)
    count = on.sum(axis=1)
    mean_x, mean_y = on @ dx / count, on @ dy / count
    xx, yy = on @ (dx * dx) / count - mean_x**2, on @ (dy * dy) / count - mean_y**2
    xy = on @ (dx * dy) / count - mean_x * mean_y
    spread = np.hypot(xx - yy, 2 * xy)
    thin = (spread >= 0.55 * (xx + yy)) & (count >= 4)
    angle = 0.5 * np.arctan2(2 * xy, xx - yy)[thin] + np.pi / 2
    return points[thin], np.c_[np.cos(angle), np.sin(angle)]


def _centres(
    points: np.ndarray, normal: np.ndarray, shape: tuple[int, ...], radii: tuple[float, float], most: int
) -> np.ndarray:
    """The places (n, 2) that most normals pass through at a distance in ``radii``."""
    cell = float(np.clip(radii[0] / 6, 2, 6))
    along = np.arange(radii[0], radii[1] + cell, cell)
    along = np.concatenate((along, -along))
    x, y = (points[:, axis, None] + along * normal[:, axis, None] for axis in range(2))
    columns, rows = int(shape[1] / cell) + 1, int(shape[0] / cell) + 1
    inside = (x >= 0) & (y >= 0) & (x < columns * cell) & (y < rows * cell)
    # Few pixels of a small circle count as much as many of a large one.
    weight = np.broadcast_to(1 / np.abs(along), inside.shape)[inside]
    flat = (x[inside] / cell).astype(np.int32) + columns * (y[inside] / cell).astype(np.int32)
    votes = np.bincount(flat, weight, rows * columns).reshape(rows, columns).astype(np.float32)
    votes = cv2.blur(votes, (3, 3))
    peaks = (votes == cv2.dilate(votes, np.ones((5, 5), np.uint8))) & (votes > 0)
    y, x = np.nonzero(peaks)
    best = np.argsort(-votes[y, x], kind="stable")[:most]
    return (_settled(votes, np.c_[x, y][best]) + 0.5) * cell


def _settled(votes: np.ndarray, peaks: np.ndarray) -> np.ndarray:
    """The middle of the votes around each peak, (n, 2) in cells: lines of few pixels scatter them.

    Args:
        votes: float (H, W).
        peaks: int (n, 2), x and y.
    """
    step = np.mgrid[-_AROUND : _AROUND + 1, -_AROUND : _AROUND + 1].reshape(2, -1)[::-1]
    near = np.pad(votes, _AROUND)[
        peaks[:, 1, None] + _AROUND + step[1], peaks[:, 0, None] + _AROUND + step[0]
    ]
    weight = np.maximum(near - 0.5 * votes[peaks[:, 1], peaks[:, 0]][:, None], 0)
    return peaks + (weight @ step.T) / weight.sum(axis=1, keepdims=True)


def _fitted(points: np.ndarray, centre: np.ndarray, radii: tuple[float, float]) -> Circle | None:
    reach = radii[1] + 6
    low, high = np.ceil(centre - reach), np.floor(centre + reach)
    x, y = points.T  # by columns: reductions over an axis of two are slow
    near = points[(x >= low[0]) & (x <= high[0]) & (y >= low[1]) & (y <= high[1])].astype(float)
    if len(near) < 12:
        return None
    radius = 0.0
    for attempt, share in enumerate(_BANDS):
        offset = near - centre
        distance = np.hypot(*offset.T)
        if attempt == 0:
            radius = _radius(offset, distance, radii)
        band = max(2.5 if attempt == 0 else 2.0, share * radius)
        inlier = np.abs(distance - radius) <= band
        if inlier.sum() < 10:
            return None
        # Kasa's fit: x^2 + y^2 = 2ax + 2by + c.
        on = near[inlier] - centre
        solution, *_ = np.linalg.lstsq(np.c_[2 * on, np.ones(len(on))], (on**2).sum(axis=1), rcond=None)
        shift = np.clip(solution[:2], -0.3 * radius, 0.3 * radius)
        centre = centre + shift
        radius = float(np.sqrt(max(solution[2] + (solution[:2] ** 2).sum(), 1)))
        if not radii[0] * 0.9 <= radius <= radii[1] * 1.1:
            return None
    distance = np.hypot(*(near - centre).T)
    inlier = np.abs(distance - radius) <= max(2.0, 0.05 * radius)
    edge = float(np.quantile(distance[inlier], 0.9)) if inlier.any() else radius
    return Circle(centre, max(edge, radius), radius)


def line_seen(
    mask: np.ndarray, centre: np.ndarray, radii: tuple[float, float], thickness: float
) -> tuple[float, float]:
    """The visible share of an ellipse's line in a mask, and the share of it that is clear of other pixels.

    Args:
        centre: x, y.
        radii: to the middle of the line, across and down, in pixels.
        thickness: of the line in pixels.

    Returns:
        Share of the directions in which the line is drawn, and share of these in which the pixels just
        inside and outside of it are empty; text may touch it in a few, and ticks may stand on it.
    """
    angle = 2 * np.pi * np.arange(DIRECTIONS) / DIRECTIONS
    circle = np.c_[np.cos(angle), np.sin(angle)]
    on_line = centre + circle * radii
    normal = circle / np.array(radii)
    normal /= np.hypot(*normal.T)[:, None]
    half = max(thickness / 2, 0.75)
    beside = half + np.array([2.2, 3.2, 4.4])
    steps = np.concatenate((-beside[::-1], half * np.array([-1, -0.5, 0, 0.5, 1]), beside))
    at = np.round(on_line[:, None] + steps[:, None] * normal[:, None]).astype(int)
    height, width = mask.shape
    inside = (at[..., 0] >= 0) & (at[..., 1] >= 0) & (at[..., 0] < width) & (at[..., 1] < height)
    on = mask[np.clip(at[..., 1], 0, height - 1), np.clip(at[..., 0], 0, width - 1)].astype(bool) & inside
    drawn = on[:, 3:8].any(axis=1)
    clear = ~(on[:, :3].any(axis=1) | on[:, 8:].any(axis=1))
    return float(drawn.mean()), float((drawn & clear).sum() / max(drawn.sum(), 1))


def alone(mask: np.ndarray, centre: np.ndarray, radii: tuple[float, float]) -> float:
    """1 if an ellipse is isolated, 0 if pixels of its colours surround it, as in rings made up of letters.

    Text glued to a mark stands in few directions.

    Args:
        centre: x, y.
        radii: of the line's middle, across and down, in pixels.
    """
    angle = 2 * np.pi * np.arange(DIRECTIONS) / DIRECTIONS
    circle = np.c_[np.cos(angle), np.sin(angle)] * radii
    length = np.hypot(*circle.T)
    away = np.linspace(5, 5 + 0.4 * min(radii), 12)
    at = np.round(centre + circle[:, None] * (1 + away[None] / length[:, None])[..., None]).astype(int)
    height, width = mask.shape
    inside = (at[..., 0] >= 0) & (at[..., 1] >= 0) & (at[..., 0] < width) & (at[..., 1] < height)
    on = mask[np.clip(at[..., 1], 0, height - 1), np.clip(at[..., 0], 0, width - 1)].astype(bool) & inside
    return float(np.clip((_SURROUNDED[1] - on.any(axis=1).mean()) / np.subtract(*_SURROUNDED[::-1]), 0, 1))


def _radius(offset: np.ndarray, distance: np.ndarray, radii: tuple[float, float]) -> float:
    """The distance at which pixels lie in the most directions."""
    edges = np.arange(radii[0] * 0.9, radii[1] * 1.1 + 2, 2.0)
    ring = np.digitize(distance, edges)
    seen = np.zeros((len(edges) + 1, SECTORS), bool)
    seen[ring, _sectors(offset)] = True
    seen[0] = seen[-1] = False
    share = (seen[:-1] | seen[1:]).sum(axis=1)
    best = int(np.argmax(share))
    return float(edges[min(max(best, 0), len(edges) - 1)])


def _sectors(offset: np.ndarray) -> np.ndarray:
    angle = np.arctan2(offset[:, 1], offset[:, 0])
    return ((angle + np.pi) / (2 * np.pi) * SECTORS).astype(int) % SECTORS


def line_width(mask: np.ndarray, centre: np.ndarray, radii: tuple[float, float], fill: float) -> float:
    """Mean width in pixels of an ellipse's line of which a share ``fill`` is drawn."""
    y, x = np.nonzero(mask)
    away = np.hypot((x - centre[0]) / radii[0], (y - centre[1]) / radii[1])
    near = np.abs(away - 1) * min(radii) <= max(4.0, 0.12 * min(radii))
    around = np.pi * (3 * sum(radii) - np.sqrt((3 * radii[0] + radii[1]) * (radii[0] + 3 * radii[1])))
    return float(np.clip(near.sum() / max(around * fill, 1), 1, 30))
