"""The learned mark, for what no other family describes: its own picture, searched for as a matched filter.

The picture is cut out of the examples (cutout.py). A reduced copy of it is laid over reduced copies of a
frame, one for each size, by cross-correlation; the best places are then looked at closely: how much of what
differs from the surroundings there is what the mark, painted over these surroundings, would change.
"""

from collections.abc import Sequence
from functools import lru_cache

import cv2
import numpy as np
import supervision as sv

from gotowce_dagster.core.colour import Colour
from gotowce_dagster.designators.base import (
    Draft,
    Scene,
    Sighting,
    as_drawn,
    fits_size,
    ramp,
    shape_of,
    sizes,
)
from gotowce_dagster.designators.cutout import background, cut_out, window
from gotowce_dagster.designators.evidence import CONTRAST
from gotowce_dagster.designators.picture import Cutout, read, written
from gotowce_dagster.designators.profile import LearnedLook, Look

COARSE = 13
"""Longer side in pixels of the reduced mark."""
STEP = 1.15
"""From one size that is searched for to the next."""
_MARGIN = 4
"""Pixels around the mark that are compared as well: it changes nothing there."""
_PLACES = 24
"""Places of a frame that are looked at closely."""
_PROMISING = 0.35
"""Correlation from which a place is looked at closely."""
_MOST = 4.0
"""Differences count up to so many times the contrast of a clear line."""
_OTHER = 1.25
"""Sizes that differ by more are looked at closely both: the reduced picture tells them badly apart."""
_REACH = 3
"""Pixels by which a place may lie beside where the reduced picture fits best."""
_INSIDE, _SHARED = 0.8, 0.25
"""Of two sightings of one mark one has so much of its box inside the other, or they share so much (IoU)."""
_LARGER = 0.05
"""Likeness that a sighting twice as large may lack. It explains more; a hook may resemble a small mark."""
_WHOLE = 0.12
"""Likeness that a sighting may lack besides that has two others in it, apart from each other: its hooks."""
_GAINED = 0.3
"""Likeness that other sizes of a place add at most."""
_OPAQUE = 0.2
"""Opacity from which a pixel belongs to the mark when it is erased."""
USUAL_LIKENESS = (0.45, 0.7)


class Learned:
    """The family of what no other describes."""

    def learn(self, scenes: Sequence[Scene], boxes: Sequence[np.ndarray], draft: Draft) -> list[Look]:
        """See base.Family. The draft's colours are not looked at: the look gets those of the cut-out."""
        cutout = cut_out([scene.ycrcb for scene in scenes], boxes)
        if cutout is None:
            return []
        one_size = sizes(boxes).max(axis=1)
        fixed = one_size.max() <= 1.12 * one_size.min()
        look = LearnedLook(
            name=draft.name,
            class_name=draft.class_name,
            colours=main_colours(cutout),
            **(shape_of(boxes, smaller=0.8, larger=1.25) if fixed else shape_of(boxes)),
            thickness_px=2,
            picture=written(cutout),
            likeness=(0.0, 1.0),
        )
        # Without a limit the surest of the sightings at an example is the one that fits it best.
        fitted = as_drawn(self, [look], scenes, boxes)
        return [each.model_copy(update={"likeness": USUAL_LIKENESS}) for each in fitted]

    def find(self, scene: Scene, look: Look) -> list[Sighting]:
        """See base.Family."""
        assert isinstance(look, LearnedLook)
        cutout, least = _picture(look.picture), max(look.likeness[0] - 0.15, 0.15)
        first = [
            _nearby(scene.ycrcb, cutout, middle, cutout.sides * (size / cutout.sides.max()))
            for middle, size in _places(scene.ycrcb, cutout, _sizes(look))
        ]
        found = [_refined(scene.ycrcb, cutout, sighting, least) for sighting in _worth_refining(first)]
        found = [sighting for sighting in found if fits_size(sighting.box, look, slack=2)]
        sure = [Sighting(s.box, ramp(s.confidence, *look.likeness)) for s in one_a_mark(found)]
        return [sighting for sighting in sure if sighting.confidence > 0.05]

    def mark_pixels(self, mask: np.ndarray, box: np.ndarray, look: Look) -> np.ndarray:
        """See base.Family. The mask is not looked at."""
        assert isinstance(look, LearnedLook)
        x1, y1, x2, y2 = np.round(box).astype(int)
        found = np.zeros(mask.shape, bool)
        if x2 <= x1 or y2 <= y1:
            return found
        own = _picture(look.picture).scaled(int(x2 - x1), int(y2 - y1)).opacity >= _OPAQUE
        height, width = mask.shape
        left, top, right, bottom = max(x1, 0), max(y1, 0), min(x2, width), min(y2, height)
        if left < right and top < bottom:
            found[top:bottom, left:right] = own[top - y1 : bottom - y1, left - x1 : right - x1]
        return found


def one_a_mark(found: Sequence[Sighting]) -> list[Sighting]:
    """Of sightings of one mark the one most like it for its size; the confidence is the likeness."""
    kept: list[Sighting] = []
    worth = [_worth(sighting) + _WHOLE * _has_hooks(sighting, found) for sighting in found]
    for _, sighting in sorted(zip(worth, found, strict=True), key=lambda pair: -pair[0]):
        pair = np.stack([sighting.box, *(other.box for other in kept)])
        inside = sv.box_iou_batch(pair[:1], pair[1:], sv.OverlapMetric.IOS).max(initial=0)
        if inside < _INSIDE and sv.box_iou_batch(pair[:1], pair[1:]).max(initial=0) <= _SHARED:
            kept.append(sighting)
    return kept


def _worth(sighting: Sighting) -> float:
    """The likeness, and what a large sighting has in advance."""
    longer = float((sighting.box[2:] - sighting.box[:2]).max())
    return sighting.confidence + _LARGER * float(np.log2(max(longer, 1.0)))


def _has_hooks(sighting: Sighting, found: Sequence[Sighting]) -> bool:
    """Whether two of the sightings, apart from each other, lie in this one and are at most half as large."""
    boxes = np.stack([other.box for other in found])
    side = (boxes[:, 2:] - boxes[:, :2]).max(axis=1)
    inside = sv.box_iou_batch(sighting.box[None], boxes, sv.OverlapMetric.IOS)[0] >= _INSIDE
    small = boxes[inside & (side <= 0.5 * (sighting.box[2:] - sighting.box[:2]).max())]
    return bool((sv.box_iou_batch(small, small) == 0).any()) if len(small) else False


@lru_cache(maxsize=8)
def _picture(lines: tuple[str, ...]) -> Cutout:
    return read(lines)


@lru_cache(maxsize=8)
def _padded(cutout: Cutout) -> Cutout:
    """The mark and what is compared around it."""
    return cutout.padded(_MARGIN)


def _sizes(look: LearnedLook) -> np.ndarray:
    """Longer sides in pixels that are searched for, evenly spaced by their logarithm."""
    low, high = look.size_px
    count = max(int(np.ceil(np.log(high / low) / np.log(STEP))), 1)
    return np.geomspace(low, high, count + 1) if count > 1 else np.array([np.sqrt(low * high)])


def _places(ycrcb: np.ndarray, cutout: Cutout, sizes: np.ndarray) -> list[tuple[np.ndarray, float]]:
    """Where to look closely: middles x, y and longer sides in pixels, at most _PLACES of them."""
    found, shown = [], ycrcb
    for size in sorted(sizes.tolist()):
        factor = min(COARSE / size, 1.0)
        small = [max(round(side * factor), 8) for side in ycrcb.shape[1::-1]]
        # From the next larger one, which costs a fraction of reducing the frame itself.
        shown = cv2.resize(shown, small, interpolation=cv2.INTER_AREA) if factor < 1 else ycrcb
        scores, middles = _peaks(correlation(shown, _reduced(cutout, factor * size)))
        scale = np.array(ycrcb.shape[1::-1]) / small
        found += [(score, middle * scale, size) for score, middle in zip(scores, middles, strict=True)]
    kept: list[tuple[float, np.ndarray, float]] = []
    for score, middle, size in sorted(found, key=lambda place: -place[0]):
        # A mark shows at neighbouring sizes too; what is much smaller is its hook.
        if not any(
            np.abs(middle - other).max() <= 0.3 * min(size, near)
            and max(size, near) < _OTHER * min(size, near)
            for _, other, near in kept
        ):
            kept.append((score, middle, size))
    # Large marks have several hooks that are like small ones, and must not take all places.
    kept.sort(key=lambda place: -place[0] - _LARGER * np.log2(place[2]))
    return [(middle, size) for _, middle, size in kept[:_PLACES]]


def _peaks(scores: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The best local maxima of a correlation (H, W): scores (n,), middles x, y of their pixels (n, 2)."""
    reach = COARSE // 2 | 1
    peaks = (scores >= cv2.dilate(scores, np.ones((reach, reach), np.uint8))) & (scores >= _PROMISING)
    y, x = np.nonzero(peaks)
    best = np.argsort(-scores[y, x], kind="stable")[:_PLACES]
    return scores[y[best], x[best]], np.c_[x[best], y[best]] + 0.5


def _reduced(cutout: Cutout, longest: float) -> Cutout:
    sides = np.maximum(np.round(cutout.sides * longest / cutout.sides.max()), 2).astype(int)
    return cutout.scaled(int(sides[0]), int(sides[1])).padded(2)


def correlation(ycrcb: np.ndarray, mark: Cutout) -> np.ndarray:
    """How well what differs from its surroundings at each pixel agrees with a mark painted there: -1 to 1.

    Args:
        ycrcb: uint8 (H, W, 3).

    Returns:
        float32 (H, W), each value at the mark's middle.
    """
    unit = CONTRAST.astype(np.float32)
    image = cv2.multiply(ycrcb, np.append(1 / unit, 0.0), dtype=cv2.CV_32F)
    wide = 2 * max(mark.sides) + 1
    ground = cv2.blur(image, (wide, wide), borderType=cv2.BORDER_REFLECT)
    apart = cv2.subtract(image, ground)
    np.clip(apart, -_MOST, _MOST, out=apart)
    opacity, paint = mark.opacity, mark.colour / unit
    counted = cv2.dilate((opacity > 0.1).astype(np.float32), np.ones((3, 3), np.uint8))
    # Sum of apart * opacity * (paint - ground), the ground that of each pixel.
    total = _correlated(_summed(cv2.multiply(apart, ground)), -opacity)
    for channel in range(3):
        total += _correlated(cv2.extractChannel(apart, channel), opacity * paint[..., channel])
    # Sum of (opacity * (paint - ground))^2, the ground that of the middle.
    share = opacity**2
    usual = (share[..., None] * paint).sum(axis=(0, 1)) / max(float(share.sum()), 1e-6)
    spread = float((share[..., None] * (paint - usual) ** 2).sum())
    expected = share.sum() * _squared(cv2.subtract(ground, np.append(usual, 0.0))) + spread
    np.maximum(expected, 1e-3, out=expected)
    seen = np.maximum(_correlated(_squared(apart), counted), 0.02 * expected)
    return total / np.sqrt(expected * seen + 1e-6)


def _squared(planes: np.ndarray) -> np.ndarray:
    """The sum of squares over the channels of (H, W, 3)."""
    return _summed(cv2.multiply(planes, planes))


def _summed(planes: np.ndarray) -> np.ndarray:
    """The sum over the channels of (H, W, 3)."""
    return cv2.transform(planes, np.ones((1, 3), np.float32))


def _correlated(values: np.ndarray, kernel: np.ndarray) -> np.ndarray:
    """Cross-correlation of the size of the values; zeros where the kernel leaves them."""
    if values.shape[0] < kernel.shape[0] or values.shape[1] < kernel.shape[1]:
        return np.zeros(values.shape, np.float32)
    full = cv2.matchTemplate(values, kernel.astype(np.float32), cv2.TM_CCORR)
    top, left = kernel.shape[0] // 2, kernel.shape[1] // 2
    below, right = values.shape[0] - full.shape[0] - top, values.shape[1] - full.shape[1] - left
    return cv2.copyMakeBorder(full, top, below, left, right, cv2.BORDER_CONSTANT, value=0)


def _nearby(ycrcb: np.ndarray, cutout: Cutout, middle: np.ndarray, sides: np.ndarray) -> Sighting:
    """Where near a middle (x, y) a frame is most like a mark of these sides; the confidence says how much."""
    reach = _REACH + int(np.ceil(0.6 * max(sides) / COARSE))
    return _at(ycrcb, cutout, middle, sides, reach)


def _refined(ycrcb: np.ndarray, cutout: Cutout, best: Sighting, least: float) -> Sighting:
    """The sighting at the size near its own that is most like the mark; unchanged below a likeness."""
    for steps, reach in ((1.07, 2), (1.03, 1)):
        if best.confidence < least:
            break
        start = best
        for factor in (1 / steps, steps):
            middle, sides = (start.box[:2] + start.box[2:]) / 2, start.box[2:] - start.box[:2]
            sighting = _at(ycrcb, cutout, middle, sides * factor, reach)
            best = max(best, sighting, key=lambda s: s.confidence)
    return best


def _worth_refining(found: Sequence[Sighting]) -> list[Sighting]:
    """Sightings without those inside or around one that is more like the mark at whatever size they have."""
    if not found:
        return []
    boxes, sure = np.stack([s.box for s in found]), np.array([s.confidence for s in found])
    same = sv.box_iou_batch(boxes, boxes, sv.OverlapMetric.IOS) >= _INSIDE
    beaten = np.any(same & (sure > sure[:, None] + _GAINED), axis=1)
    return [found[k] for k in np.flatnonzero(~beaten)]


def _at(ycrcb: np.ndarray, cutout: Cutout, middle: np.ndarray, sides: np.ndarray, reach: int) -> Sighting:
    """The likeness at the best place up to ``reach`` pixels beside a middle, with these sides."""
    box = np.concatenate((middle - sides / 2, middle + sides / 2))
    part = window(ycrcb, box, cutout.sides, _MARGIN + reach)
    mark = _padded(cutout)
    unit = CONTRAST.astype(np.float32)
    ground = np.median(part[::3, ::3].reshape(-1, 3), axis=0)
    apart = np.clip((part - ground) / unit, -_MOST, _MOST)
    pattern = (mark.opacity[..., None] * (mark.colour - ground) / unit).astype(np.float32)
    fit = cv2.matchTemplate(apart, pattern, cv2.TM_CCORR)
    energy = cv2.matchTemplate(_squared(apart), _support(mark), cv2.TM_CCORR)
    _, _, _, (x, y) = cv2.minMaxLoc(fit / np.sqrt(np.maximum(energy, 1e-3)))
    shown = part[y : y + mark.opacity.shape[0], x : x + mark.opacity.shape[1]]
    shift = (np.array([x, y]) - reach) * sides / cutout.sides
    return Sighting(box + np.tile(shift, 2), likeness(shown, mark))


def _support(mark: Cutout) -> np.ndarray:
    """What is compared: the mark and what is within _MARGIN of it, float32 (h, w)."""
    side = _MARGIN + 1
    return cv2.dilate((mark.opacity > 0.1).astype(np.float32), np.ones((side, side), np.uint8))


def likeness(shown: np.ndarray, mark: Cutout) -> float:
    """How much of what differs from the surroundings is what the mark would change: 1 all of it, 0 nothing.

    Args:
        shown: float32 (h, w, 3) YCrCb, of the padded mark's size.
    """
    unit = CONTRAST.astype(np.float32)
    own = cv2.dilate((mark.opacity > 0.1).astype(np.float32), np.ones((3, 3), np.uint8))
    ground = background(shown, own)
    support = _support(mark)[..., None]
    seen = ((shown - ground) / unit).clip(-_MOST, _MOST) * support
    expected = (mark.opacity[..., None] * (mark.colour - ground) / unit).clip(-_MOST, _MOST) * support
    seen, expected = seen.ravel(), expected.ravel()
    return float(2 * (seen @ expected) / max(float(seen @ seen + expected @ expected), 1.0))


def main_colours(cutout: Cutout, most: int = 4) -> tuple[Colour, ...]:
    """The colours that most opaque pixels of a cut-out have."""
    pixels = cutout.colour[cutout.opacity >= 0.5]
    if not len(pixels):
        pixels = cutout.colour[cutout.opacity >= 0.5 * cutout.opacity.max()]
    near = np.array([30.0, 12, 12])
    found, left = [], np.ones(len(pixels), bool)
    while left.any() and len(found) < most:
        rest = pixels[left]
        alike = (np.abs(rest[:, None] - rest[None]) <= near).all(axis=-1)
        middle = rest[alike[alike.sum(axis=1).argmax()]].mean(axis=0)
        own = (np.abs(pixels - middle) <= 1.2 * near).all(axis=-1)
        if (own & left).sum() < 0.08 * len(pixels) and found:
            break
        y, cr, cb = (int(value) for value in middle.round())
        found.append(Colour(ycrcb=(y, cr, cb), tolerance=(36, 14, 14)))
        left &= ~own
    return tuple(found)
