"""Masks of the pixels that have a designator's colours."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import cv2
import numpy as np

from gotowce_dagster.core.colour import Colour
from gotowce_dagster.designators.profile import AnyDesignator

CONTRAST = np.array([24, 12, 12])
"""A pixel that differs by so much in Y, Cr or Cb stands out from compression noise and clouds."""
FLOOD = 0.015
"""A mask that fills more of the frame than this has taken a cloud or a planet for the mark."""
SURROUNDINGS = 11
"""Side in pixels of the square around a pixel from which it must stand out then."""


TINTED = 12.0
"""A mark whose colour lies nearer to grey than this, in levels of Cr and Cb, has no colour of its own."""
_HUE_DEG = 20.0
"""Its own colour at full strength may differ so much in hue from what its thin lines show."""


def own_colour(ycrcb: np.ndarray, colours: Iterable[Colour]) -> np.ndarray | None:
    """Pixels painted in a mark's own colour, at any strength: bool (H, W); None of marks that are grey.

    A profile holds the colour of thin lines, which compression has dulled; a dot of the same paint is purer
    and brighter than all of them. So hue counts, with at least the lines' saturation and brightness.
    """
    light, chroma = ycrcb[..., 0], ycrcb[..., 1:].astype(np.float32) - 128
    found = None
    for colour in colours:
        tint = np.array(colour.ycrcb[1:], float) - 128
        length = float(np.linalg.norm(tint))
        if length < TINTED:
            continue
        # The corner of the profile's colours that is nearest to grey.
        dull = np.sign(tint) * np.maximum(np.abs(tint) - colour.tolerance[1:], 0)
        along = chroma @ (tint / length).astype(np.float32)
        across = np.abs(chroma @ (np.array([tint[1], -tint[0]]) / length).astype(np.float32))
        is_own = (along >= max(float(dull @ tint) / length, TINTED / 2)) & (light >= colour.bounds[0][0])
        is_own &= across <= np.tan(np.deg2rad(_HUE_DEG)) * along
        found = is_own if found is None else found | is_own
    return found


_GROUND = 9
"""Side in pixels of halved chroma of the square that shows the ground beneath a thin line."""
_TINT = 30
"""Levels of the ground's tint in Cr and Cb that count at most, so that no ground gives grey a hue."""
_FEW = 4000
"""Pixels of halved chroma up to which brightness is looked up at each: faster than in the whole frame."""


def to_ycrcb(image: np.ndarray) -> np.ndarray:
    """RGB uint8 (H, W, 3) to the colour space of profiles."""
    return cv2.cvtColor(image, cv2.COLOR_RGB2YCrCb)


def mark_mask(ycrcb: np.ndarray, designator: AnyDesignator) -> np.ndarray:
    """Pixels that have one of the mark's colours; see mask_of."""
    return mask_of(ycrcb, designator.colours)


@dataclass(frozen=True, eq=False)
class Untinted:
    """A frame's chroma without half of the tint of the ground beneath: uint8 (H / 2, W / 2), as all here.

    It takes as long as looking for a mark in it, so several designators share it.
    """

    cr: np.ndarray
    cb: np.ndarray
    stands_out: np.ndarray
    """255 where the chroma differs from the ground's, else 0."""

    @staticmethod
    def of(ycrcb: np.ndarray) -> "Untinted":
        """Of a frame, uint8 (H, W, 3)."""
        # Two pixels side by side are one of six channels: faster than a step of two.
        even = ycrcb if ycrcb.shape[1] % 2 == 0 else np.pad(ycrcb, ((0, 0), (0, 1), (0, 0)))
        pairs = even[::2].reshape(-(-len(even) // 2), -1, 6)
        moved, apart = [], np.zeros(pairs.shape[:2], np.uint8)
        for channel in (1, 2):
            chroma = np.asarray(cv2.extractChannel(pairs, channel))
            ground = cv2.blur(chroma, (_GROUND, _GROUND))
            apart = np.maximum(apart, cv2.absdiff(chroma, ground))
            tint = np.clip(ground, 128 - _TINT, 128 + _TINT)
            moved.append(np.asarray(cv2.addWeighted(chroma, 1, tint, -0.5, 64)))
        return Untinted(moved[0], moved[1], np.asarray(cv2.inRange(apart, int(CONTRAST[1]), 255)))


def shifted_mask(
    ycrcb: np.ndarray, colours: Sequence[Colour], untinted: Untinted | None = None
) -> np.ndarray:
    """Pixels that would have one of the colours on a grey ground: uint8 (H, W) of 0 and 1.

    Halved chroma mixes thin lines with what is beneath: on red soil green lines are nearly grey. So half of
    the ground's own tint is taken off, and what is left must still differ from the ground.

    Args:
        untinted: of the same frame, if it is known.
    """
    height, width = ycrcb.shape[:2]
    chroma = untinted or Untinted.of(ycrcb)
    found = np.zeros((height, width), np.uint8)
    for colour in colours:
        low, high = colour.bounds
        tinted = chroma.stands_out
        for place, plane in ((1, chroma.cr), (2, chroma.cb)):
            tinted = np.bitwise_and(tinted, np.asarray(cv2.inRange(plane, low[place], high[place])))
        if (count := cv2.countNonZero(tinted)) > _FEW:
            size = (2 * tinted.shape[1], 2 * tinted.shape[0])
            grown = cv2.resize(tinted, size, interpolation=cv2.INTER_NEAREST)[:height, :width]
            lit = np.asarray(cv2.inRange(cv2.extractChannel(ycrcb, 0), low[0], high[0]))
            found |= np.bitwise_and(grown, lit)
        elif count:
            columns, rows = 2 * np.asarray(cv2.findNonZero(tinted)).reshape(-1, 2).T
            for y, x in ((rows, columns), (rows, columns + 1), (rows + 1, columns), (rows + 1, columns + 1)):
                inside = (y < height) & (x < width)
                light = ycrcb[y[inside], x[inside], 0]
                found[y[inside], x[inside]] |= (low[0] <= light) & (light <= high[0])
    return np.bitwise_and(found, 1, out=found)


def mask_of(ycrcb: np.ndarray, colours: Sequence[Colour]) -> np.ndarray:
    """Pixels that have one of the colours: uint8 (H, W) of 0 and 1.

    Where much of the scene has them too, only those that stand out from their surroundings.
    """
    masks = [np.asarray(cv2.inRange(ycrcb, *colour.bounds)) for colour in colours]
    mask = masks[0] if len(masks) == 1 else np.maximum.reduce(masks)
    if cv2.countNonZero(mask) > FLOOD * mask.size:
        around = cv2.blur(ycrcb, (SURROUNDINGS, SURROUNDINGS))
        alike_around = cv2.inRange(cv2.absdiff(ycrcb, around), (0.0, 0.0, 0.0), tuple(CONTRAST / 2))
        mask[np.asarray(alike_around, bool)] = 0
    return np.bitwise_and(mask, 1, out=mask)
