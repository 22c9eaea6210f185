"""Lines along the silhouette of a target: thin closed curves that enclose an area.

What tells them from other pieces of the mask: much is enclosed by few pixels. Rectangles and rings are
enclosing lines as well; calibration prefers those families where they fit.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import cv2
import numpy as np

from gotowce_dagster.designators.base import (
    Draft,
    Scene,
    Sighting,
    blobs_of,
    closed,
    crop,
    fits_size,
    inset_of,
    pixels_in,
    ramp,
    shape_of,
    sizes,
    smallest,
)
from gotowce_dagster.designators.evidence import FLOOD
from gotowce_dagster.designators.profile import Look, OutlineLook

CLOSE, _WIDE_CLOSE = 2, 4
"""Gaps in the line in pixels that are closed; the latter in lines as wide as that, which compression breaks
where the ground resembles them, and in marks so large that such a gap is a small part of their line."""
_LARGE = 10
"""Longer side in gaps from which a mark is that large: letters are smaller."""
_PALE, _BRIDGE = 1.6, 3
"""Factor by which colours may leave those of the profile in gaps of the line, and how far from its pixels:
halved chroma mixes thin lines with the ground."""
_SOFT = 1.0
"""Pixels by which compression widens a line."""
_ONE_SHAPE = 0.14
"""Examples whose aspects differ by less, as a logarithm, are of one shape, which other marks nearly keep."""


@dataclass(frozen=True, eq=False)
class _Piece:
    """A piece of a mask that encloses something."""

    box: np.ndarray
    """float (4,) xyxy."""
    enclosed: float
    """Share of the box that it encloses, its own pixels included."""
    width: float
    """Mean width of the line in pixels."""
    hole: np.ndarray
    """float32 (h, w): distance of each pixel inside the piece from its largest hole, others infinite."""

    def hollow(self, line: float) -> float:
        """Share of the enclosed pixels that are in the largest hole or within a line's width of it.

        Of one line around one hole that is nearly all, whatever the size of the mark: in a small one the line
        itself covers most. Words have several holes, and rough ground small ones.
        """
        return float((self.hole <= line + _SOFT).sum() / max(np.isfinite(self.hole).sum(), 1))


class Outline:
    """The family of outlines."""

    def learn(self, scenes: Sequence[Scene], boxes: Sequence[np.ndarray], draft: Draft) -> list[Look]:
        """See base.Family."""
        near: list[_Piece] = []
        drawn = []
        for scene, box in zip(scenes, boxes, strict=True):
            found = [
                piece
                for piece in _enclosing(pixels_in(scene.mask, box, 5).astype(np.uint8), lambda _: True, 5)
                if np.abs(piece.box - box).max() <= 6
            ]
            if found:
                near.append(max(found, key=lambda piece: piece.enclosed))
                drawn.append(box)
        enclosed = [piece.enclosed for piece in near]
        if len(enclosed) < max(2, 0.6 * len(boxes)) or min(enclosed) < 0.05:
            return []
        width = float(np.median([piece.width for piece in near]))
        look = OutlineLook(
            **vars(draft),
            **shape_of(boxes, slack=2.5 if _vary(boxes) else 1.6),
            thickness_px=round(width, 1),
            enclosed=(round(0.6 * min(enclosed), 2), round(min(1.0, 1.4 * max(enclosed)), 2)),
            hollow=round(0.6 * min(piece.hollow(width) for piece in near), 2),
            inset_px=inset_of([piece.box for piece in near], drawn),
        )
        return [look]

    def find(self, scene: Scene, look: Look) -> list[Sighting]:
        """See base.Family."""
        assert isinstance(look, OutlineLook)
        found = _sightings(scene.mask, look, CLOSE, lambda box: fits_size(box, look))
        least = 0.0 if look.thickness_px >= _WIDE_CLOSE else _LARGE * _WIDE_CLOSE

        def may_be_broken(box: np.ndarray) -> bool:
            return fits_size(box, look) and not any(_overlap(box, other.box) for other in found)

        return found + _sightings(
            scene.mask, look, _WIDE_CLOSE, may_be_broken, least=least, bridges=_bridges(scene, look)
        )

    def mark_pixels(self, mask: np.ndarray, box: np.ndarray, look: Look) -> np.ndarray:
        """See base.Family."""
        return pixels_in(mask, box, 3)


def _bridges(scene: Scene, look: OutlineLook) -> np.ndarray:
    """Pixels close to those of the mask that nearly have a colour of the look: uint8 (H, W) of 0 and 1.

    Empty where much of the scene has: there it says nothing.
    """
    wider = [
        colour.model_copy(
            update={"tolerance": tuple(min(round(_PALE * part), 255) for part in colour.tolerance)}
        )
        for colour in look.colours
    ]
    pale = np.bitwise_or.reduce([np.asarray(cv2.inRange(scene.ycrcb, *colour.bounds)) for colour in wider])
    if cv2.countNonZero(pale) > FLOOD * pale.size:
        return np.zeros_like(scene.mask)
    near = cv2.dilate(scene.mask, np.ones((2 * _BRIDGE + 1, 2 * _BRIDGE + 1), np.uint8))
    return np.bitwise_and(pale, near)


def _sightings(
    mask: np.ndarray,
    look: OutlineLook,
    reach: int,
    is_possible: Callable[[np.ndarray], bool],
    *,
    least: float = 0.0,
    bridges: np.ndarray | None = None,
) -> list[Sighting]:
    """Outlines in a mask; see _enclosing."""
    low, high = look.enclosed
    line = look.thickness_px
    found = []
    for piece in _enclosing(mask, is_possible, max(smallest(look), least), reach, bridges):
        confidence = ramp(piece.enclosed, 0.6 * low, low) * ramp(piece.enclosed, min(1.4 * high, 1.2), high)
        confidence *= ramp(piece.width, 2.2 * line + 1, 1.5 * line + 0.5)
        # A mark of half the size has a line of half the width at least.
        confidence *= ramp(piece.width, 0.25 * line, 0.5 * line)
        confidence *= ramp(piece.hollow(line), 0.6 * look.hollow, look.hollow) if look.hollow else 1.0
        if confidence > 0.2:
            found.append(Sighting(piece.box, confidence))
    return found


def _overlap(one: np.ndarray, other: np.ndarray) -> bool:
    return bool((np.maximum(one[:2], other[:2]) < np.minimum(one[2:], other[2:])).all())


def _vary(boxes: Sequence[np.ndarray]) -> bool:
    """Whether boxes differ in shape, as those of targets that turn do."""
    size = sizes(boxes)
    return bool(np.ptp(np.log(size[:, 0] / size[:, 1])) > _ONE_SHAPE)


def _enclosing(
    mask: np.ndarray,
    is_possible: Callable[[np.ndarray], bool],
    least: float,
    reach: int = CLOSE,
    bridges: np.ndarray | None = None,
) -> list[_Piece]:
    """Pieces of a mask that enclose something when gaps of ``reach`` pixels are closed.

    Args:
        is_possible: whether a box, float (4,) xyxy, may be a mark's; other pieces are not measured.
        least: longer side of the smallest piece, in pixels.
        bridges: uint8 (H, W) of 0 and 1, pixels that close gaps as well but are not the line's.
    """
    blobs = blobs_of(closed(mask if bridges is None else mask | bridges, reach), least=12)
    found = []
    sides = blobs.boxes[:, 2:] - blobs.boxes[:, :2]
    # Solid pieces enclose nothing, and most of a HUD is text.
    hollow = (sides.min(axis=1) >= 5) & (blobs.area <= 0.9 * sides.prod(axis=1))
    for number in np.flatnonzero(hollow & (sides.max(axis=1) >= least)):
        box, size = blobs.boxes[number], sides[number]
        part, left, top = crop(blobs.image, box)
        joined = (part == blobs.numbers[number]).astype(np.uint8)
        line = crop(mask, box)[0] & joined
        x, y, width, height = cv2.boundingRect(line)
        around = np.array([left + x, top + y, left + x + width, top + y + height], float)
        if not is_possible(around):
            continue
        # Closing fills a part of a small hole; if the line has no gap it need not be closed.
        own, inside, largest = max((_holes(own) for own in (joined, line)), key=lambda each: each[2].sum())
        if inside.sum() < max(6.0, 0.02 * np.prod(size)):
            continue
        contours, _ = cv2.findContours(joined, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)
        length = max(sum(len(contour) for contour in contours), 1)
        enclosed = own | inside
        hole = cv2.distanceTransform((~largest).astype(np.uint8), cv2.DIST_L2, 3)
        hole[~enclosed] = np.inf
        found.append(_Piece(around, float(enclosed.sum() / np.prod(size)), float(line.sum()) / length, hole))
    return found


def _holes(own: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The pixels of a piece, of all its holes, and of the largest one: bool (h, w) each.

    Args:
        own: uint8 (h, w) of 0 and 1.
    """
    around = cv2.copyMakeBorder(own, 1, 1, 1, 1, cv2.BORDER_CONSTANT)
    cv2.floodFill(around, None, (0, 0), 1)
    inside = around[1:-1, 1:-1] == 0
    count, numbers, stats, _ = cv2.connectedComponentsWithStats(inside.astype(np.uint8), connectivity=4)
    largest = 1 + int(stats[1:, cv2.CC_STAT_AREA].argmax()) if count > 1 else -1
    return own.astype(bool), inside, numbers == largest
