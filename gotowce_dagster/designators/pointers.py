"""Pointers on a circle: pieces of about one area and form, evenly spaced, turned with the circle.

Any two of them propose centres, and the centre at which all others are found is the mark's. What tells them
from letters: each is as long along its radius, over its width across, as the examples' pointers are.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations

import cv2
import numpy as np

from gotowce_dagster.designators.base import (
    Blobs,
    Draft,
    Scene,
    Sighting,
    blobs_of,
    closed,
    crop,
    pixels_in,
    ramp,
    sizes,
)
from gotowce_dagster.designators.profile import Look, RadialLook

COUNTS = (8, 6, 5, 4, 3, 2)
"""How many pointers a mark may have, the most first: some of six stand as three do."""
PIECES = 90
"""Pieces of the right area that are looked at in a frame at most."""
CENTRES = 1500
"""Proposed centres that are looked at in a frame at most."""
_CLOSE = 2
_MOST_AT_EXAMPLE = 12
_ALL_NEEDED = 3
"""Up to so many pointers all must be seen: two pieces stand evenly around a centre anywhere."""
_UNEVEN = 0.25
"""Share of a step by which pointers of an example may stand off their places."""
_SECTORS = 12
_CROWDED = 4
"""Sectors around a centre in which other pieces may stand: text beside a mark fills one or two."""
_NEAR, _WITHIN = 0.75, 0.8
"""Another piece is close by if it is within this times a piece's own size, unless it is nearer to the centre
than this share of the radius."""
_FORM = (0.75, 0.4)
"""Difference in the logarithm of length over width at which pieces are none, and up to which they are."""
_ASPECT = {2: 20.0, 3: 1.5}
"""How far from square, as a factor, the box of so many pointers may be at some angle; of more: 1.3."""
_SECOND = (("mu20", 1 / 12), ("mu02", 1 / 12), ("mu11", 0.0))


@dataclass(frozen=True, eq=False)
class Pieces:
    """Pieces of a mask."""

    middle: np.ndarray
    """float (n, 2)."""
    area: np.ndarray
    """int (n,)."""
    boxes: np.ndarray
    """float (n, 4) xyxy."""
    spread: np.ndarray
    """float (n, 3): variance in x and y, covariance."""

    @staticmethod
    def of(blobs: Blobs, rows: np.ndarray) -> "Pieces":
        """Some of the pieces of a mask."""
        spread = np.zeros((len(rows), 3))
        for at, row in enumerate(rows):
            x1, y1, x2, y2 = blobs.boxes[row].astype(int)
            own = blobs.image[y1:y2, x1:x2] == blobs.numbers[row]
            moments = cv2.moments(own.astype(np.uint8), binaryImage=True)
            spread[at] = [moments[key] / max(moments["m00"], 1) + plus for key, plus in _SECOND]
        return Pieces(blobs.middle[rows], blobs.area[rows], blobs.boxes[rows], spread)

    def form(self, rows: np.ndarray, centres: np.ndarray) -> np.ndarray:
        """Logarithm of the length along the radius from a centre over the width across, (n,).

        Args:
            rows: which pieces, (n,).
            centres: (n, 2) or (2,).
        """
        along = self.middle[rows] - centres
        along /= np.maximum(np.hypot(*along.T), 1e-6)[:, None]
        (x, y), (xx, yy, xy) = along.T, self.spread[rows].T
        length, width = x * x * xx + 2 * x * y * xy + y * y * yy, y * y * xx - 2 * x * y * xy + x * x * yy
        return 0.5 * np.log(np.maximum(length, 0.05) / np.maximum(width, 0.05))


def learn_pointers(
    scenes: Sequence[Scene], boxes: Sequence[np.ndarray], draft: Draft, shape: dict
) -> list[Look]:
    """The look with the most pointers that the pieces in most of the examples' boxes show, if one does."""
    pieces = [_pieces_at(scene.mask, box) for scene, box in zip(scenes, boxes, strict=True)]
    for count in COUNTS:
        shown = [
            (own, rows)
            for own, box in zip(pieces, boxes, strict=True)
            if (rows := _standing_evenly(own, box, count)) is not None
        ]
        if len(shown) < max(2, 0.6 * len(boxes)):
            continue
        area = np.concatenate([own.area[rows] for own, rows in shown])
        centres = [own.middle[rows].mean(axis=0) for own, rows in shown]
        form = [own.form(rows, centre) for (own, rows), centre in zip(shown, centres, strict=True)]
        share = [
            np.hypot(*(own.middle[rows] - centre).T).mean() / _extent(own.boxes[rows])
            for (own, rows), centre in zip(shown, centres, strict=True)
        ]
        longest = sizes(boxes).max(axis=1)
        length = np.median(np.concatenate([_longer_sides(own.boxes[rows]) for own, rows in shown]))
        # Pointers that keep their size stand nearer to the centre of smaller marks; so do two letters.
        nearest, farthest, nearer = (0.45, 2.2, 0.25 * float(length)) if count > 2 else (0.52, 2.6, 0.0)
        flat = _ASPECT.get(count, 1.3)
        look = RadialLook(
            **vars(draft),
            **shape | {"aspect": (round(1 / flat, 3), flat)},
            shape="pointers",
            thickness_px=2,
            pointers=count,
            pointer_px=(round(0.4 * float(area.min()), 1), round(2.5 * float(area.max()), 1)),
            radius_px=(
                round(max(nearest * float(min(share) * longest.min()) - nearer, 2.0), 1),
                round(farthest * float(max(share) * longest.max()), 1),
            ),
            form=round(float(np.median(np.concatenate(form))), 2),
        )
        return [look]
    return []


def find_pointers(mask: np.ndarray, look: RadialLook) -> list[Sighting]:
    """Marks of a look with pointers, no two sharing a piece."""
    blobs = blobs_of(closed(mask, _CLOSE), least=max(int(look.pointer_px[0]), 3))
    right = np.flatnonzero(blobs.area <= look.pointer_px[1])
    right = right[np.argsort(-blobs.area[right], kind="stable")[:PIECES]]
    need = look.pointers if look.pointers <= _ALL_NEEDED else look.pointers - 1
    if len(right) < need:
        return []
    pieces = Pieces.of(blobs, right)
    centres, radii, pairs = _proposed(pieces, look)
    offset = pieces.middle[None] - centres[:, None]
    away = np.hypot(offset[..., 0], offset[..., 1])
    on_ring = np.abs(away - radii[:, None]) <= np.maximum(2.5, 0.12 * radii[:, None])
    likely = np.flatnonzero(on_ring.sum(axis=1) >= need)[:CENTRES]
    usual = float(np.sqrt(look.radius_px[0] * look.radius_px[1]))
    found: list[tuple[float, frozenset[int], Sighting]] = []
    seen: dict[frozenset[int], None] = {}
    for row in likely:
        chosen = _at_places(pieces, centres[row], on_ring[row], int(pairs[row]), look.pointers)
        if len(chosen) < need or frozenset(chosen.tolist()) in seen:
            continue
        seen[frozenset(chosen.tolist())] = None
        sighting = _judge(pieces, chosen, centres[row], look)
        if sighting is None or _crowded(offset[row], away[row], radii[row], chosen):
            continue
        if _is_text(blobs, right[chosen], centres[row], radii[row]):
            continue
        likelihood = sighting.confidence - 0.1 * abs(float(np.log(radii[row] / usual)))
        found.append((likelihood, frozenset(chosen.tolist()), sighting))
    kept: list[Sighting] = []
    taken: set[int] = set()
    for _, own, sighting in sorted(found, key=lambda each: -each[0]):
        if not own & taken:  # a piece belongs to one mark
            kept.append(sighting)
            taken |= own
    return kept


def _extent(boxes: np.ndarray) -> float:
    """The longer side of the box around boxes."""
    return float((boxes[:, 2:].max(axis=0) - boxes[:, :2].min(axis=0)).max())


def _longer_sides(boxes: np.ndarray) -> np.ndarray:
    return (boxes[:, 2:] - boxes[:, :2]).max(axis=1)


def _pieces_at(mask: np.ndarray, box: np.ndarray) -> Pieces:
    """The largest pieces of a mask at an example's box."""
    blobs = blobs_of(closed(pixels_in(mask, box, 4).astype(np.uint8), _CLOSE), least=4)
    return Pieces.of(blobs, np.argsort(-blobs.area, kind="stable")[:_MOST_AT_EXAMPLE])


def _standing_evenly(pieces: Pieces, box: np.ndarray, count: int) -> np.ndarray | None:
    """Those of an example's pieces that stand evenly on a circle and fill its box; None if none do."""
    if len(pieces.area) < count:
        return None
    rows = np.array(list(combinations(range(len(pieces.area)), count)))
    own = pieces.boxes[rows]
    around = np.concatenate((own[..., :2].min(axis=1), own[..., 2:].max(axis=1)), axis=1)
    offset = pieces.middle[rows] - pieces.middle[rows].mean(axis=1, keepdims=True)
    away = np.hypot(offset[..., 0], offset[..., 1])
    angle = np.sort(np.arctan2(offset[..., 1], offset[..., 0]), axis=1)
    gaps = np.diff(angle, axis=1, append=angle[:, :1] + 2 * np.pi)
    step = 2 * np.pi / count
    uneven = np.abs(gaps - step).max(axis=1) / step + np.ptp(away, axis=1) / np.maximum(away.mean(axis=1), 1)
    fits = (np.abs(around - box).max(axis=1) <= 5) & (uneven <= 2 * _UNEVEN)
    fits &= np.ptp(np.log(pieces.area[rows]), axis=1) < 1.1
    # Pieces that stand close are the dashes of a line.
    fits &= np.sqrt(pieces.area[rows].mean(axis=1)) < 0.6 * step * away.mean(axis=1)
    if not fits.any():
        return None
    return rows[np.argmin(np.where(fits, uneven, np.inf))]


def _proposed(pieces: Pieces, look: RadialLook) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Centres (n, 2), radii (n,) of circles on which two pieces may be pointers; one of these, int (n,)."""
    i, j = np.triu_indices(len(pieces.area), 1)
    alike = np.abs(np.log(pieces.area[i] / pieces.area[j])) < 1.2
    i, j = i[alike], j[alike]
    half = (pieces.middle[j] - pieces.middle[i]) / 2
    between, apart = pieces.middle[i] + half, np.hypot(*half.T)
    normal = np.c_[-half[:, 1], half[:, 0]]
    proposed = []
    for steps in range(1, look.pointers // 2 + 1):
        angle = np.pi * steps / look.pointers
        height = 1 / np.tan(angle) if steps * 2 != look.pointers else 0.0
        radius = apart / np.sin(angle)
        fits = (radius >= look.radius_px[0]) & (radius <= look.radius_px[1])
        for sign in (1, -1) if height else (1,):
            centre = between + sign * height * normal
            proposed.append((centre[fits], radius[fits], i[fits], j[fits]))
    centres, radii, first, second = (np.concatenate(column) for column in zip(*proposed, strict=True))
    form = np.stack([pieces.form(rows, centres) for rows in (first, second)]) - look.form
    right = np.abs(form).max(axis=0, initial=0) < 1.2 * _FORM[0]
    return centres[right], radii[right], first[right]


def _at_places(pieces: Pieces, centre: np.ndarray, on_ring: np.ndarray, first: int, count: int) -> np.ndarray:
    """The pieces on a ring that are nearest to even places counted from the first one: int (up to count,)."""
    rows = np.flatnonzero(on_ring)
    offset = pieces.middle[rows] - centre
    angle = np.arctan2(offset[:, 1], offset[:, 0])
    step = 2 * np.pi / count
    turned = (angle - np.arctan2(*(pieces.middle[first] - centre)[::-1])) / step
    off, slot = np.abs(turned - np.round(turned)), np.round(turned).astype(int) % count
    order = np.lexsort((off, slot))
    order = order[off[order] <= 0.25]
    _, begin = np.unique(slot[order], return_index=True)
    return np.sort(rows[order[begin]])


def _judge(pieces: Pieces, chosen: np.ndarray, centre: np.ndarray, look: RadialLook) -> Sighting | None:
    """A sighting of pieces near even places on a circle."""
    count, step = look.pointers, 2 * np.pi / look.pointers
    whole = len(chosen) == count
    if whole:
        centre = pieces.middle[chosen].mean(axis=0)
    offset = pieces.middle[chosen] - centre
    away, angle = np.hypot(*offset.T), np.sort(np.arctan2(offset[:, 1], offset[:, 0]))
    gaps = np.sort(np.diff(angle, append=angle[0] + 2 * np.pi))
    gaps = gaps if whole else gaps[:-1]
    alike = ramp(float(np.ptp(np.log(pieces.area[chosen]))), 1.4, 0.6)
    even = ramp(float(np.ptp(away) / away.mean()), 0.3, 0.12)
    regular = ramp(float(np.abs(gaps - step).max() / step), 0.45, 0.2)
    form = pieces.form(chosen, centre) - look.form
    formed = ramp(float(np.abs(form).mean()), *_FORM)
    confidence = alike * even * regular * formed * (1.0 if whole else 0.55)
    if confidence <= 0.2:
        return None
    own = pieces.boxes[chosen]
    if not whole:  # the box reaches to where the hidden one would be
        missing = centre - offset.sum(axis=0)
        half = (own[:, 2:] - own[:, :2]).mean(axis=0) / 2
        own = np.vstack((own, np.concatenate((missing - half, missing + half))))
    return Sighting(np.concatenate((own[:, :2].min(axis=0), own[:, 2:].max(axis=0))), confidence)


def _is_text(blobs: Blobs, rows: np.ndarray, centre: np.ndarray, radius: float) -> bool:
    """Whether most pieces have others close by, as letters do; a pointer has none but now and then.

    What is well inside the circle does not count: the target may have the mark's colours.
    """
    lonely = 0
    for row in rows:
        gap = max(_CLOSE + 1, _NEAR * float(np.sqrt(blobs.area[row])))
        part, x, y = crop(blobs.image, blobs.boxes[row], margin=gap)
        below, right = np.nonzero((part > 0) & ~np.isin(part, blobs.numbers[rows]))
        away = np.hypot(right + x - centre[0], below + y - centre[1])
        lonely += not (away >= _WITHIN * radius).any()
    return lonely < len(rows) / 2


def _crowded(offset: np.ndarray, away: np.ndarray, radius: float, chosen: np.ndarray) -> bool:
    """Whether other pieces stand at about the same distance in many directions: letters of text do."""
    near = (away > 0.6 * radius) & (away < 1.3 * radius)
    near[chosen] = False
    angle = np.arctan2(offset[near, 1], offset[near, 0])
    return len(np.unique((angle / (2 * np.pi) * _SECTORS).round() % _SECTORS)) > _CROWDED
