"""Erase marks: paint over the pixels of a designator and of text attached to it, without visible traces.

A model that has only seen targets inside marks learns the marks. So part of the training pictures show the
target without its mark. The pixels of the mark follow from its geometry (where its lines run, a little wider
than they are, for video compression smears colour) and from its colours (text that touches it); those of the
target itself are never touched.

What is painted in their place comes from a frame before or after if the camera stands still, and is otherwise
filled from the surroundings (fill.py), for a model would learn the traces of a bad fill just as well.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import cv2
import numpy as np

from gotowce_dagster.designators.evidence import mark_mask, to_ycrcb
from gotowce_dagster.designators.families import FAMILIES
from gotowce_dagster.designators.fill import paint_over, window_around
from gotowce_dagster.designators.profile import AnyDesignator, Designator, Look

_ONE_MORE = np.ones((3, 3), np.uint8)
"""What is painted over keeps a pixel away from targets."""
_SMEAR = 2
"""Pixels by which a line's colour reaches beyond it: chroma has half the resolution of luma."""
_TEXT_GAP, _LINE_GAP = 15, 11
"""Pixels between letters, or between the mark and its text, and between lines of text, that are bridged."""
_CLOUD = 17
"""Pixels; what is thicker than this in all directions is no line of text but a cloud of the mark's hue."""
_LEAST_TEXT, _LEAST_LENGTH = 100, 0.8
"""Text has so many pixels at least, and is so many of the mark's sides long; less is a shot or a ship."""
_SAME_HUE, _FAINT, _GREY = 0.96, 0.5, 8.0
"""Cosine between the chroma of a pixel and of the mark, and the pixel's share of its strength, at least; a
mark with less chroma than the last has no hue."""
_SHOWN = 0.12
"""Share of a corner's pixels that must have the mark's hue, or it is hidden."""
_SEARCHED = 96
"""Pixels around a mark in which something is looked for that can take its place."""
_STILL = 4.0
"""Mean difference around a mark, in levels, up to which the camera counts as standing still."""


@dataclass(frozen=True, eq=False)
class Erased:
    """An image without marks."""

    image: np.ndarray
    """RGB uint8 (H, W, 3)."""
    painted: np.ndarray
    """bool (H, W): the pixels that were painted over."""


def mark_pixels(
    image: np.ndarray, box: np.ndarray, designator: AnyDesignator, spare: np.ndarray | None = None
) -> np.ndarray:
    """The pixels of one mark and of text attached to it.

    Args:
        image: RGB uint8 (H, W, 3).
        box: xyxy, float, of the mark as it was detected.
        spare: bool (H, W), pixels of targets, which never belong to a mark.

    Returns:
        bool (H, W).
    """
    if isinstance(designator, Designator):
        edge = box - designator.inset_px * np.array([1, 1, -1, -1])
        found = _corner_lines(image, edge, designator) | _glued_text(image, edge, designator)
    else:
        found = _pixels_of_look(image, box, designator) | _glued_text(image, box, designator)
    if spare is not None and spare.any():
        found &= ~cv2.dilate(spare.astype(np.uint8), _ONE_MORE).astype(bool)
    return found


def erase(
    image: np.ndarray,
    marks: Iterable[tuple[np.ndarray, AnyDesignator]],
    spare: np.ndarray | None = None,
    others: Sequence[np.ndarray] = (),
) -> Erased:
    """Paint over all marks of an image.

    Args:
        image: RGB uint8 (H, W, 3); left as it is.
        marks: box (xyxy, pixels) and designator of each.
        spare: bool (H, W), pixels of targets: they stay as they are.
        others: pictures of the same camera shortly before and after, (H, W, 3) each, nearest first.
    """
    marks = list(marks)
    pixels = [mark_pixels(image, box, designator, spare) for box, designator in marks]
    painted = np.zeros(image.shape[:2], bool)
    for own in pixels:
        painted |= own
    inside = _insides(image.shape[:2], [box for box, _ in marks])
    keep = np.zeros_like(painted) if spare is None else cv2.dilate(spare.astype(np.uint8), _ONE_MORE) > 0
    result, changed = image.copy(), painted.copy()
    for own, (_, designator) in zip(pixels, marks, strict=True):
        if not own.any():
            continue
        window = window_around(own, _SEARCHED)
        area, before = own[window], image[window]
        source = _standing(before, area, [other[window] for other in others], designator)
        if source is None:
            avoid = painted[window] | inside[window] | _coloured(before, designator)
            result[window] = paint_over(result[window], area, avoid, keep[window])
            changed[window] |= np.logical_or.reduce(cv2.split(cv2.absdiff(result[window], before)))
        else:
            result[window][area] = source[area]
    return Erased(result, changed)


def _insides(shape: tuple[int, int], boxes: Sequence[np.ndarray]) -> np.ndarray:
    """The pixels within boxes, where targets are: bool (H, W)."""
    inside = np.zeros(shape, bool)
    for x1, y1, x2, y2 in boxes:
        inside[_pixels(x1, y1, x2, y2, shape)] = True
    return inside


def _corner_lines(image: np.ndarray, edge: np.ndarray, designator: Designator) -> np.ndarray:
    """The arms of those corners that show, bool (H, W), wider than they are by what compression smears.

    A corner behind a panel of the HUD has nothing to erase.
    """
    x1, y1, x2, y2 = edge
    side = max(x2 - x1, y2 - y1)
    # A game may draw arms of a fixed length around targets of any size, or arms that grow with them.
    arm = max(designator.arm[1] * side, min(designator.arm_px * 1.3, side / 2)) + _SMEAR
    inward = designator.thickness_px + _SMEAR + 0.5 + designator.rounding * designator.arm_px * 0.5
    height, width = image.shape[:2]
    mask = np.zeros((height, width), bool)
    for left, outer_x in ((x1 - _SMEAR, x1 - _SMEAR), (x2 + _SMEAR - arm, x2 - inward)):
        for top, outer_y in ((y1 - _SMEAR, y1 - _SMEAR), (y2 + _SMEAR - arm, y2 - inward)):
            across = _pixels(left, outer_y, left + arm, outer_y + inward + _SMEAR, (height, width))
            down = _pixels(outer_x, top, outer_x + inward + _SMEAR, top + arm, (height, width))
            around = _pixels(left, top, left + arm, top + arm, (height, width))
            if not image[around].size:
                continue
            corner = np.zeros((height, width), bool)
            corner[across] = corner[down] = True
            shown = corner[around] & _coloured(image[around], designator)
            if np.count_nonzero(shown) >= _SHOWN * 2 * arm * designator.thickness_px:
                mask |= corner
    return mask


def _pixels_of_look(image: np.ndarray, box: np.ndarray, look: Look) -> np.ndarray:
    """The pixels of a mark of another family than corners, bool (H, W), wider by what compression smears."""
    outline = box - np.array(look.inset_px) * (1, 1, -1, -1)
    mask = mark_mask(to_ycrcb(image), look)
    found = FAMILIES[look.family].mark_pixels(mask, outline, look).astype(np.uint8)
    return cv2.dilate(found, np.ones((2 * _SMEAR + 1, 2 * _SMEAR + 1), np.uint8)).astype(bool)


def _pixels(
    left: float, top: float, right: float, bottom: float, shape: tuple[int, int]
) -> tuple[slice, slice]:
    """The pixels that a rectangle touches, inside a picture of that height and width."""
    height, width = shape
    x = np.clip([np.floor(left), np.ceil(right)], 0, width).astype(int)
    y = np.clip([np.floor(top), np.ceil(bottom)], 0, height).astype(int)
    return slice(*y.tolist()), slice(*x.tolist())


def _glued_text(image: np.ndarray, edge: np.ndarray, designator: AnyDesignator) -> np.ndarray:
    """Thin strokes of the mark's hue that a chain of small gaps joins to its outline, bool (H, W).

    Looked for outside the mark only, at its height and a little above and below it.
    """
    height, width = image.shape[:2]
    x1, y1, x2, y2 = edge
    margin = max((y2 - y1) / 3, 2.0 * _TEXT_GAP)
    top, bottom = max(int(y1 - margin), 0), max(int(np.ceil(y2 + margin)), 0)
    found = np.zeros((height, width), bool)
    band = image[top:bottom]
    if not band.size:
        return found
    rows, columns = np.arange(top, top + len(band)), np.arange(width)

    def within(grow: float) -> np.ndarray:
        """The mark's rectangle, grown."""
        down = (rows >= y1 - grow) & (rows < y2 + grow)
        return down[:, None] & ((columns >= x1 - grow) & (columns < x2 + grow))[None]

    on = _of_hue(band, designator).astype(np.uint8)
    thick = cv2.morphologyEx(on, cv2.MORPH_OPEN, np.ones((_CLOUD, _CLOUD), np.uint8))
    strokes = (on > 0) & (cv2.dilate(thick, np.ones((3, 3), np.uint8)) == 0) & ~within(0)
    outline = within(1) & ~within(-1)
    near = cv2.dilate((strokes | outline).astype(np.uint8), np.ones((_LINE_GAP, _TEXT_GAP), np.uint8))
    count, numbers = cv2.connectedComponents(near)
    touched = np.zeros(count, bool)
    touched[np.unique(numbers[outline])] = True
    touched[0] = False
    # The mark's own smear lies within its outline grown; without letters beyond there is no text.
    text = strokes & np.isin(numbers, np.flatnonzero(touched))
    beyond = text & ~within(_SMEAR + 1)
    length = np.ptp(np.flatnonzero(beyond.any(axis=0))) if beyond.any() else 0
    if np.count_nonzero(beyond) >= _LEAST_TEXT and length >= _LEAST_LENGTH * (x2 - x1):
        found[top:bottom] = cv2.dilate(text.astype(np.uint8), np.ones((5, 5), np.uint8)).astype(bool)
    return found


def _coloured(image: np.ndarray, designator: AnyDesignator) -> np.ndarray:
    """Pixels within the colours of the mark, bool (H, W)."""
    colours = to_ycrcb(image)
    return np.any([cv2.inRange(colours, *map(np.asarray, c.bounds)) > 0 for c in designator.colours], axis=0)


def _of_hue(image: np.ndarray, designator: AnyDesignator) -> np.ndarray:
    """Pixels with the hue of one of the mark's colours, however strong, bool (H, W).

    Letters are brighter than thin lines in video, and their edges fainter, so a box in YCrCb misses both.
    """
    chroma = to_ycrcb(image)[..., 1:].astype(np.float32) - 128
    strength = np.linalg.norm(chroma, axis=-1)
    found = np.zeros(image.shape[:2], bool)
    for colour in designator.colours:
        own = np.subtract(colour.ycrcb[1:], 128.0)
        size = float(np.linalg.norm(own))
        if size < _GREY:
            found |= _coloured(image, designator)
            continue
        along = chroma @ (own / size).astype(np.float32)
        found |= (strength >= _FAINT * size) & (along >= _SAME_HUE * strength)
    return found


def _standing(
    image: np.ndarray, area: np.ndarray, others: Sequence[np.ndarray], designator: AnyDesignator
) -> np.ndarray | None:
    """The first other image that is equal around the area and has no mark in it."""
    grown = [cv2.dilate(area.astype(np.uint8), np.ones((size, size), np.uint8)) for size in (3, 11)]
    ring = (grown[1] > 0) & (grown[0] == 0)
    if not ring.any():
        return None
    for other in others:
        differ = np.abs(image[ring].astype(np.int16) - other[ring]).max(axis=1)
        if differ.mean() > _STILL or np.percentile(differ, 95) > 4 * _STILL:
            continue
        if np.count_nonzero(_coloured(other, designator)[area]) <= 0.02 * np.count_nonzero(area):
            return other
    return None
