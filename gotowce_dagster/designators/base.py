"""The protocol of a family of marks. Each family has a file; designators/families.py lists them."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import cv2
import numpy as np

from gotowce_dagster.designators.profile import Colour, Look


@dataclass(frozen=True, eq=False)
class Scene:
    """A frame prepared for the families."""

    ycrcb: np.ndarray
    """uint8 (H, W, 3)."""
    mask: np.ndarray
    """uint8 (H, W) of 0 and 1: the pixels of the mark's colours."""


@dataclass(frozen=True, eq=False)
class Sighting:
    """A mark found in a frame."""

    box: np.ndarray
    """float (4,): xyxy around the mark's pixels, exclusive end."""
    confidence: float


@dataclass(frozen=True)
class Draft:
    """A designator whose family is not known yet: its names and colours."""

    name: str
    class_name: str
    colours: tuple[Colour, ...]


class Family(Protocol):
    """Learns and finds the marks of one family."""

    def learn(self, scenes: Sequence[Scene], boxes: Sequence[np.ndarray], draft: Draft) -> list[Look]:
        """Looks that could explain the boxes, most likely first; empty if the family cannot.

        Args:
            scenes: of the draft's colours, one a box.
            boxes: float (4,) xyxy, off by 2 pixels at most.
        """
        ...

    def find(self, scene: Scene, look: Look) -> list[Sighting]:
        """Marks in a frame, in any order, possibly with duplicates."""
        ...

    def mark_pixels(self, mask: np.ndarray, box: np.ndarray, look: Look) -> np.ndarray:
        """Which pixels of ``mask`` (H, W) belong to the mark found at ``box``: bool (H, W)."""
        ...


def sizes(boxes: Sequence[np.ndarray]) -> np.ndarray:
    """Widths and heights: (n, 2)."""
    stacked = np.stack(boxes)
    return stacked[:, 2:] - stacked[:, :2]


def shape_of(
    boxes: Sequence[np.ndarray], smaller: float = 0.48, larger: float = 2.3, slack: float = 1.12
) -> dict:
    """``size_px`` and ``aspect`` of a look: a little less than half to a little more than twice the examples.

    Args:
        slack: factor by which the aspect may leave that of the examples, where these are no squares.
    """
    size = sizes(boxes)
    longer, aspect = size.max(axis=1), size[:, 0] / size[:, 1]
    if (np.abs(np.log(aspect)) < 0.09).all():
        slack = 1.12
    return {
        "size_px": (round(float(max(smaller * longer.min(), 5)), 1), round(float(larger * longer.max()), 1)),
        "aspect": (round(float(aspect.min() / slack), 3), round(float(aspect.max() * slack), 3)),
    }


def inset_of(found: Sequence[np.ndarray], boxes: Sequence[np.ndarray]) -> tuple[float, float, float, float]:
    """How far inside found boxes the drawn ones lie, x1, y1, x2, y2."""
    inwards = (np.stack(boxes) - np.stack(found)) * (1, 1, -1, -1)
    x1, y1, x2, y2 = (round(float(value), 1) for value in np.clip(np.median(inwards, axis=0), -4, 4))
    return x1, y1, x2, y2


def as_drawn(
    family: Family, looks: Sequence[Look], scenes: Sequence[Scene], boxes: Sequence[np.ndarray]
) -> list[Look]:
    """The looks that find at least two examples, with the inset of the drawn boxes."""
    kept = []
    for look in looks:
        found = [nearest(family.find(scene, look), box) for scene, box in zip(scenes, boxes, strict=True)]
        pairs = [(f.box, b) for f, b in zip(found, boxes, strict=True) if f is not None]
        if len(pairs) >= 2:
            near, drawn = zip(*pairs, strict=True)
            kept.append(look.model_copy(update={"inset_px": inset_of(near, drawn)}))
    return kept


def nearest(found: Sequence[Sighting], box: np.ndarray, reach: float = 8) -> Sighting | None:
    """The most confident sighting whose edges are within ``reach`` pixels of a box."""
    near = [s for s in found if np.abs(s.box - box).max() <= reach]
    return max(near, key=lambda s: s.confidence, default=None)


def smallest(look: Look) -> float:
    """The longer side of the smallest marks: a little is given away for the rounding of pixels."""
    return 0.9 * look.size_px[0] - 0.5


def fits_size(box: np.ndarray, look: Look, slack: float = 1.0) -> bool:
    """Whether a box has a size and aspect that the look allows."""
    width, height = box[2:] - box[:2]
    if min(width, height) < 2:
        return False
    low, high = look.aspect
    return bool(
        smallest(look) <= max(width, height) <= look.size_px[1] + 2
        and low * height - 2 * slack <= width <= high * height + 2 * slack
    )


@dataclass(frozen=True, eq=False)
class Blobs:
    """Connected pieces of a mask."""

    boxes: np.ndarray
    """float (n, 4) xyxy, exclusive end."""
    area: np.ndarray
    """int (n,)."""
    middle: np.ndarray
    """float (n, 2): x, y of the pixels' mean."""
    numbers: np.ndarray
    """int (n,): their values in ``image``."""
    image: np.ndarray
    """int32 (H, W): which piece each pixel belongs to."""


def blobs_of(mask: np.ndarray, least: int = 3, most: int = 4000) -> Blobs:
    """The connected pieces of a mask with a minimum number of pixels; the largest ``most`` of them."""
    _, image, stats, middles = cv2.connectedComponentsWithStats(mask, connectivity=8)
    numbers = np.flatnonzero(stats[:, cv2.CC_STAT_AREA] >= least)
    numbers = numbers[numbers > 0]
    if len(numbers) > most:
        numbers = numbers[np.argsort(-stats[numbers, cv2.CC_STAT_AREA], kind="stable")[:most]]
    x, y, width, height, area = stats[numbers].T
    return Blobs(np.c_[x, y, x + width, y + height].astype(float), area, middles[numbers], numbers, image)


def closed(mask: np.ndarray, reach: int) -> np.ndarray:
    """The mask with gaps of up to ``reach`` pixels closed."""
    if reach < 1:
        return mask
    return cv2.morphologyEx(mask, cv2.MORPH_CLOSE, np.ones((reach + 1, reach + 1), np.uint8))


def crop(image: np.ndarray, box: np.ndarray, margin: float = 0) -> tuple[np.ndarray, int, int]:
    """The part of an image around a box, cut at its edges, and the x and y where it begins."""
    height, width = image.shape[:2]
    x1, y1 = np.floor(box[:2] - margin).astype(int)
    x2, y2 = np.ceil(box[2:] + margin).astype(int)
    x1, y1 = min(max(x1, 0), width), min(max(y1, 0), height)
    return image[y1 : max(y2, y1), x1 : max(x2, x1)], x1, y1


def pixels_in(mask: np.ndarray, box: np.ndarray, margin: float) -> np.ndarray:
    """bool (H, W): the pixels of a mask in a box and so many pixels around it."""
    within = np.zeros(mask.shape, bool)
    part, x, y = crop(mask, box, margin)
    within[y : y + part.shape[0], x : x + part.shape[1]] = part.astype(bool)
    return within


def ramp(value: float, none: float, full: float) -> float:
    """Linear ramp: 0 at ``none``, 1 at ``full``."""
    return float(np.clip((value - none) / (full - none), 0, 1))
