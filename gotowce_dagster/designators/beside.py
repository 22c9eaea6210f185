"""Small signs above, below or at the target: chevrons, triangles, dots, bars, icons.

A sign looks the same in every frame, so one template is compared with positions in a frame.
What is compared is how near each pixel is to the mark's colours, not the mask of these: halved chroma and
compression fray the rim of a small sign, and the rim of its mask more. The mask only says where to look.
"""

from collections.abc import Sequence

import cv2
import numpy as np

from gotowce_dagster.core.colour import Colour
from gotowce_dagster.designators.base import (
    Draft,
    Scene,
    Sighting,
    as_drawn,
    blobs_of,
    closed,
    fits_size,
    pixels_in,
    ramp,
    shape_of,
)
from gotowce_dagster.designators.evidence import CONTRAST
from gotowce_dagster.designators.profile import BesideLook, Look

CLOSE = 2
"""Gaps in pixels inside a sign that are closed."""
MARGIN = 2
"""Margin in pixels around a sign that is compared as well: it must not have the sign's colour."""
FINEST = 48
"""Maximum rows and columns of a stored template."""
_SHIFT = 3
"""Maximum offset in pixels of a sign from the centre of its piece of the mask."""
_SAME = 1.15
"""Factor up to which the sides of a piece say nothing about the size of the sign, nor do 1.5 pixels."""
_CROWD = 0.12
"""Share of the places left and right of a sign that may be fuller than in all examples."""
_MERGED = 12
"""A piece so many times wider or higher than the sign may be the sign and what touches it."""


class Beside:
    """The family of small signs."""

    def learn(self, scenes: Sequence[Scene], boxes: Sequence[np.ndarray], draft: Draft) -> list[Look]:
        """See base.Family."""
        pieces = [
            (scene, piece)
            for scene, box in zip(scenes, boxes, strict=True)
            if (piece := _piece_at(scene.mask, box)) is not None
        ]
        if len(pieces) < max(2, 0.6 * len(boxes)):
            return []
        near = [piece for _, piece in pieces]
        usual = np.round(np.median([piece[2:] - piece[:2] for piece in near], axis=0))
        room = usual + 2 * (MARGIN + _SHIFT)
        shown = [
            cv2.resize(
                _nearness(scene.ycrcb, _grown(piece, room * _factor(piece, usual)), draft.colours),
                room.astype(int).tolist(),
                interpolation=cv2.INTER_LINEAR,
            )
            for scene, piece in pieces
        ]
        picture = _common(shown)
        x, y, width, height = cv2.boundingRect((picture >= 0.4).astype(np.uint8))
        if min(width, height) < 2:
            return []
        picture = picture[y : y + height, x : x + width]
        if max(width, height) > FINEST:
            shrink = FINEST / max(width, height)
            picture = cv2.resize(picture, None, fx=shrink, fy=shrink, interpolation=cv2.INTER_AREA)
        crowd = max(_crowd(scene.mask, piece) for scene, piece in pieces)
        look = BesideLook(
            **vars(draft),
            **shape_of(near, smaller=0.75, larger=1.5, slack=1.3),
            thickness_px=2,
            picture=tuple("".join(str(round(9 * float(value))) for value in row) for row in picture),
            sides_px=(float(width), float(height)),
            crowd=round(min(crowd + _CROWD, 1.0), 2),
        )
        return as_drawn(self, [look], scenes, boxes)

    def find(self, scene: Scene, look: Look) -> list[Sighting]:
        """See base.Family."""
        assert isinstance(look, BesideLook)
        usual = np.array(look.sides_px)
        boxes = blobs_of(closed(scene.mask, CLOSE), least=6).boxes
        sides = boxes[:, 2:] - boxes[:, :2]
        alone = ((sides >= 0.55 * usual - 1) & (sides <= 1.6 * usual + 2)).all(axis=1)
        merged = ((sides >= 0.8 * usual - 1) & (sides <= _MERGED * usual)).all(axis=1)
        found = []
        for piece, is_alone in zip(boxes[alone | merged], alone[alone | merged], strict=True):
            factors = {(1.0, 1.0), tuple(_factor(piece, usual).tolist())} if is_alone else {(1.0, 1.0)}
            for factor in sorted(factors):
                sighting = _compared(scene, piece, usual * factor, look)
                if sighting.confidence <= 0.2 or not fits_size(sighting.box, look):
                    continue
                alone = ramp(_crowd(scene.mask, sighting.box), look.crowd + _CROWD, look.crowd)
                if sighting.confidence * alone > 0.2:
                    found.append(Sighting(sighting.box, sighting.confidence * alone))
        return found

    def mark_pixels(self, mask: np.ndarray, box: np.ndarray, look: Look) -> np.ndarray:
        """See base.Family."""
        return pixels_in(mask, box, 2)


def _piece_at(mask: np.ndarray, box: np.ndarray, reach: float = 4) -> np.ndarray | None:
    """The box of the only piece of a mask inside an example; None without one."""
    boxes = blobs_of(closed(pixels_in(mask, box, reach).astype(np.uint8), CLOSE), least=6).boxes
    off = np.abs(boxes - box).max(axis=1)
    return boxes[off.argmin()] if len(off) and off.min() <= reach else None


def _crowd(mask: np.ndarray, box: np.ndarray) -> float:
    """Share of what is left and right of a box that has the mark's colours, the fuller of the two."""
    reach = max(round(float((box[2:] - box[:2]).max()) * 0.6), 6)
    x1, y1, x2, y2 = np.round(box).astype(int)
    y1, y2 = max(y1, 0), max(y2, 0)
    sides = (
        mask[y1:y2, max(x1 - MARGIN - reach, 0) : max(x1 - MARGIN, 0)],
        mask[y1:y2, max(x2 + MARGIN, 0) : max(x2 + MARGIN + reach, 0)],
    )
    return max(float(side.mean()) if side.size else 0.0 for side in sides)


def _factor(piece: np.ndarray, usual: np.ndarray) -> np.ndarray:
    """Width and height of a piece relative to the usual ones, 1 within the tolerance of its rim: (2,)."""
    sides = piece[2:] - piece[:2]
    ragged = (np.abs(np.log(sides / usual)) <= np.log(_SAME)) | (np.abs(sides - usual) <= 1.5)
    return np.where(ragged, 1.0, sides / usual)


def _grown(box: np.ndarray, sides: np.ndarray) -> np.ndarray:
    """A box in whole pixels with the same centre and at least these sides: int (4,)."""
    middle = (box[:2] + box[2:]) / 2
    sides = np.maximum(sides, box[2:] - box[:2])
    begin = np.floor(middle - sides / 2).astype(int)
    return np.concatenate((begin, begin + np.ceil(sides).astype(int)))


def _nearness(ycrcb: np.ndarray, window: np.ndarray, colours: Sequence[Colour]) -> np.ndarray:
    """How much nearer to one of the colours than their surroundings the pixels of a window are, 0 to 1.

    Args:
        window: int (4,) xyxy; what is outside the frame has 0.
    """
    height, width = ycrcb.shape[:2]
    x1, y1, x2, y2 = window
    part = ycrcb[max(y1, 0) : max(y2, 0), max(x1, 0) : max(x2, 0)].astype(np.float32)
    near = np.zeros(part.shape[:2], np.float32)
    for colour in colours:
        low, high = (np.array(bound, np.float32) for bound in colour.bounds)
        off = (np.maximum(low - part, part - high) / CONTRAST.astype(np.float32)).max(axis=2)
        np.maximum(near, 1 - off.clip(0, 1), out=near)
    rim = np.concatenate((near[0], near[-1], near[:, 0], near[:, -1])) if near.size else np.zeros(1)
    usual = min(float(np.median(rim)), 0.8)
    near = ((near - usual) / (1 - usual)).clip(0, 1)
    return np.pad(near, ((max(-y1, 0), max(y2 - height, 0)), (max(-x1, 0), max(x2 - width, 0))))


def _common(shown: Sequence[np.ndarray]) -> np.ndarray:
    """The mean of pictures of one size (H, W), each moved by up to _SHIFT pixels to agree with the others."""
    inner = (slice(_SHIFT, -_SHIFT),) * 2
    mean = np.mean([picture[inner] for picture in shown], axis=0)
    for _ in range(2):
        moved = []
        for picture in shown:
            x, y = _best_place(picture, mean)
            moved.append(picture[y : y + mean.shape[0], x : x + mean.shape[1]])
        mean = np.mean(moved, axis=0)
    return mean.clip(0, 1)


def _best_place(window: np.ndarray, picture: np.ndarray) -> tuple[int, int]:
    """The position in a window with the smallest difference from the template: x, y."""
    apart = cv2.matchTemplate(window, picture.astype(np.float32), cv2.TM_SQDIFF)
    _, _, (x, y), _ = cv2.minMaxLoc(apart)
    return x, y


def _between(window: np.ndarray, picture: np.ndarray, x: int, y: int) -> np.ndarray:
    """How far from the best whole pixel the picture differs least, x, y: each the vertex of a parabola."""
    apart = cv2.matchTemplate(window, picture.astype(np.float32), cv2.TM_SQDIFF)
    height, width = apart.shape
    shift = np.zeros(2)
    if 0 < x < width - 1:
        shift[0] = _vertex(apart[y, x - 1 : x + 2])
    if 0 < y < height - 1:
        shift[1] = _vertex(apart[y - 1 : y + 2, x])
    return shift


def _vertex(values: np.ndarray) -> float:
    """Where between -0.5 and 0.5 a parabola through values at -1, 0 and 1, the least at 0, is least."""
    bend = float(values[0] - 2 * values[1] + values[2])
    return float(np.clip((values[0] - values[2]) / (2 * bend), -0.5, 0.5)) if bend > 0 else 0.0


def _compared(scene: Scene, piece: np.ndarray, sides: np.ndarray, look: BesideLook) -> Sighting:
    """The place at a piece of the mask that is most like the look's picture, drawn with these sides."""
    digits = np.array([[int(digit) for digit in row] for row in look.picture], np.float32) / 9
    width, height = np.maximum(np.round(sides), 2).astype(int).tolist()
    grows = width > digits.shape[1]
    picture = cv2.resize(digits, (width, height), interpolation=cv2.INTER_LINEAR if grows else cv2.INTER_AREA)
    picture = np.pad(picture, MARGIN)
    window = _grown(piece, np.array([width, height]) + 2 * (MARGIN + _SHIFT))
    near = _nearness(scene.ycrcb, window, look.colours)
    x, y = _best_place(near, picture)
    likeness = _likeness(near[y : y + picture.shape[0], x : x + picture.shape[1]], picture)
    begin = window[:2] + np.array([x, y]) + _between(near, picture, x, y) + MARGIN
    box = np.concatenate((begin, begin + np.array([width, height]))).astype(float)
    return Sighting(box, ramp(likeness, 0.6, 0.8))


def _likeness(one: np.ndarray, other: np.ndarray) -> float:
    """Similarity of two images (H, W), 0 to 1: mean of a strict one and one that tolerates a pixel of rim."""
    strict = np.minimum(one, other).sum() / max(np.maximum(one, other).sum(), 1e-6)
    cell = np.ones((3, 3), np.uint8)
    missing = np.maximum(other - cv2.dilate(one, cell), 0).sum()
    strange = np.maximum(one - cv2.dilate(other, cell), 0).sum()
    return float(strict + max(1 - (missing + strange) / max(other.sum(), 1e-6), 0)) / 2
