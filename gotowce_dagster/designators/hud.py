"""Parts of the HUD that look like a mark: they stand still while marks move."""

from collections.abc import Sequence

import cv2
import numpy as np

from gotowce_dagster.core.colour import Colour
from gotowce_dagster.designators.base import blobs_of, closed
from gotowce_dagster.designators.bracket import STILL
from gotowce_dagster.designators.evidence import CONTRAST, TINTED, mark_mask
from gotowce_dagster.designators.profile import AnyDesignator
from gotowce_dagster.designators.sightings import different_frames, marks, overlaps

MOST_KNOWN = 24
"""Maximum number of parts of the HUD in a designator's ``not_marks``."""
_FAINT = 0.2
"""Confidence from which a part of the HUD may look like the mark in another frame."""
_ALIKE = 0.7
"""Share of the pixels of a part of the HUD that two frames share."""
_NEARLY_ALL = 0.8
"""Share of the frames in which a part of the HUD shows the same."""
_AROUND = 21
"""Side in pixels of halved chroma of the square from which a part of the HUD stands out."""
_STRENGTH = 0.25
"""Share of the mark's tint by which it does at least: thin letters lose most of theirs."""
_SPREAD = 0.7
"""Difference from the mark's hue up to which it is of it, as a tangent."""
_MOVING = 0.3
"""Share of the scene's edges that may stand still where the camera moves."""


def knowing_hud(
    designator: AnyDesignator, frames: Sequence[np.ndarray], boxes: Sequence[np.ndarray]
) -> AnyDesignator:
    """The designator that knows what it finds of the HUD, where the examples' marks move.

    A part of the HUD may look like the mark in few frames, so how often it is found tells nothing: it is one
    if its pixels are the same in nearly all frames. Nor does one need to look like the mark in any of these
    frames: bars and text of its colours do so now and then.

    Args:
        boxes: of the examples; what overlaps one of them in any frame may be a mark.
    """
    different = [frames[k] for k in different_frames(frames)]
    if len(different) < 3 or len({frame.shape for frame in different}) > 1 or not is_moving(boxes):
        return designator
    found = [marks(frame, designator, _FAINT) for frame in different]
    masks = [mark_mask(frame, designator).astype(bool) for frame in different]
    fixed: list[np.ndarray] = []
    for sightings, mask in zip(found, masks, strict=True):
        for sighting in sightings:
            box = sighting.box
            if overlaps(np.stack(boxes), [sighting]).max() > 0 or is_at(box, fixed):
                continue
            (x1, y1), (x2, y2) = np.maximum(np.floor(box[:2]), 0).astype(int), np.ceil(box[2:]).astype(int)
            own = mask[y1:y2, x1:x2]
            others = [other[y1:y2, x1:x2] for other in masks]
            alike = [(own & other).sum() >= _ALIKE * (own | other).sum() for other in others]
            if own.any() and np.mean(alike) >= _NEARLY_ALL:
                fixed.append(box)
    painted = still_paint(different, designator.colours)
    regions = still_regions([mask | painted for mask in masks], boxes)
    fixed += [box for box in regions if not is_at(box, fixed)]
    places = tuple(tuple(round(float(v), 1) for v in box) for box in fixed)
    return designator.model_copy(update={"not_marks": (*designator.not_marks, *places)[:MOST_KNOWN]})


def still(found: Sequence[Sequence[np.ndarray]], boxes: Sequence[np.ndarray]) -> list[np.ndarray]:
    """Boxes found at one place in most frames, where the marks of the examples move.

    Args:
        found: boxes xyxy (4,) of each frame.
        boxes: of the examples.
    """
    if len(found) < 3 or not is_moving(boxes):
        return []
    places: list[tuple[np.ndarray, set[int]]] = []
    for number, frame in enumerate(found):
        for box in frame:
            near = [seen for place, seen in places if np.abs(place - box).max() <= STILL]
            if near:
                near[0].add(number)
            else:
                places.append((box, {number}))
    return [place for place, seen in places if len(seen) >= max(3, 0.5 * len(found))]


def is_moving(boxes: Sequence[np.ndarray]) -> bool:
    return bool(np.ptp(np.stack(boxes), axis=0).max() > 12)


def still_regions(
    masks: Sequence[np.ndarray], boxes: Sequence[np.ndarray], join: int = 12, most: float = 0.08
) -> list[np.ndarray]:
    """Boxes xyxy (4,) of bars and text near the screen's edges that stand still in nearly all frames, the
    largest first.

    Args:
        masks: bool (H, W) of each frame.
        boxes: of the examples; a region that touches one of them may be the mark's.
        join: pixels up to which letters and bars are of one region.
        most: share of a frame that a region covers at most.
    """
    fixed = np.mean(masks, axis=0) >= _NEARLY_ALL
    height, width = fixed.shape
    joined = closed(fixed.astype(np.uint8), join)
    blobs = blobs_of(joined, least=200)
    found = []
    for row in np.argsort(-blobs.area, kind="stable"):
        box = blobs.boxes[row]
        area = float(np.prod(box[2:] - box[:2]))
        # What is hollow is the border of a panel or of the screen, in which marks move.
        dense = blobs.area[row] >= 0.5 * area
        apart = all(((box[2:] < own[:2]) | (own[2:] < box[:2])).any() for own in boxes)
        # Elsewhere it may be the scene of a camera that stands still.
        across, down = box[[0, 2]] / width, box[[1, 3]] / height
        aside = min(across[1], 1 - across[0]) <= 0.25 or min(down[1], 1 - down[0]) <= 0.2
        if dense and apart and aside and area <= most * fixed.size:
            found.append(box)
    return found[:8]


def still_paint(frames: Sequence[np.ndarray], colours: Sequence[Colour]) -> np.ndarray:
    """Pixels that stand still and differ from what is around them by a tint of the mark's hue: bool (H, W).

    Bars and letters as thin as a pixel have the mark's colours only here and there, and elsewhere in each
    frame, but over a moving scene nothing else is the same in nearly all frames. If the scene stands still,
    no pixel is: its parts cannot be distinguished from those of the HUD then.

    Args:
        frames: YCrCb uint8 (H, W, 3), all of one size.
    """
    height, width = frames[0].shape[:2]
    light, chroma = (np.stack([frame[::2, ::2, part] for frame in frames]) for part in (0, np.s_[1:]))
    middle = np.median(chroma, axis=0).astype(np.float32)
    alike = (np.abs(chroma - middle) <= CONTRAST[1:]).all(axis=-1).mean(axis=0) >= _NEARLY_ALL
    shift = middle - cv2.blur(middle, (_AROUND, _AROUND))
    painted = np.zeros(alike.shape, bool)
    if not _is_scene_moving(light, alike & (np.abs(shift).max(axis=-1) > TINTED / 2)):
        return np.zeros((height, width), bool)
    for colour in colours:
        tint = np.array(colour.ycrcb[1:], np.float32) - 128
        length = float(np.linalg.norm(tint))
        if length >= TINTED:
            along = shift @ (tint / length)
            across = np.abs(shift @ (np.array([tint[1], -tint[0]]) / length))
            painted |= alike & (along >= max(_STRENGTH * length, TINTED / 2)) & (across <= _SPREAD * along)
    size = (2 * painted.shape[1], 2 * painted.shape[0])
    grown = cv2.resize(painted.astype(np.uint8), size, interpolation=cv2.INTER_NEAREST)
    return np.asarray(grown[:height, :width], bool)


def _is_scene_moving(light: np.ndarray, tinted: np.ndarray) -> bool:
    """Whether edges that stand still are few, but for those at tinted parts that do.

    Args:
        light: uint8 (n, H, W), brightness of each frame.
        tinted: bool (H, W).
    """
    apart = cv2.dilate(tinted.astype(np.uint8), np.ones((15, 15), np.uint8)) == 0
    still_edges = _edges(np.median(light, axis=0).astype(np.uint8)) & apart
    edges = [_edges(frame) & apart for frame in light]
    shares = [(own & still_edges).sum() / max(own.sum(), 1) for own in edges]
    return bool(np.mean(shares) <= _MOVING)


def _edges(light: np.ndarray) -> np.ndarray:
    """bool (H, W): pixels that stand out from what is around them."""
    return np.asarray(cv2.absdiff(light, cv2.blur(light, (_AROUND, _AROUND))) > CONTRAST[0])


def is_at(box: np.ndarray, known: Sequence[np.ndarray]) -> bool:
    return any(np.abs(box - place).max() <= STILL for place in known)
