"""Conversion between the objects of a frame and Label Studio's regions.

A label becomes a box `box-N` and a mask `mask-N`, with N its detection_id. A polygon mask becomes one region
per piece: `mask-N-0` and so on. Coordinates are percent of the frame's sides, float64 and never rounded: four
decimals would cost 0.001 pixel at 1080p.
"""

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import cv2
import numpy as np
import supervision as sv
from pycocotools import mask as coco
from scipy.optimize import linear_sum_assignment

from gotowce_dagster.core import rle
from gotowce_dagster.labels.reviews import Box, Change, ReviewedObject, is_proposal
from gotowce_dagster.review.bitmask import mask_to_url, url_to_mask
from gotowce_dagster.review.config import MaskForm

_OURS = re.compile(r"(?:box|mask)-(\d+)(?:-\d+)?")
# Fixed-point bits of a polygon's vertices, enough for 1/16 pixel.
_SUBPIXEL_BITS = 4
_SAME_OBJECT_IOU = 0.5
_DRAWN = ("rectanglelabels", "bitmasklabels", "polygonlabels")
# Percent of the frame: coordinates dragged farther out are invalid.
_FARTHEST = 1000.0
# Percents survive the round trip exactly; pixels computed from them may differ in the last bits.
_UNMOVED_PX = 1e-6


@dataclass(frozen=True)
class Size:
    width: int
    height: int


def regions(
    objects: Iterable[tuple[ReviewedObject, float]], size: Size, masks: MaskForm, polygon_px: float = 0.5
) -> list[dict[str, Any]]:
    """Convert objects to the result of a prediction.

    Args:
        objects: Each with its score, 0 to 1, and with a detection_id. Boxes are clipped to the frame.
        polygon_px: Maximum distance of an outline from the mask's edge, in pixels.
    """
    return [
        {
            "id": name,
            "from_name": name.partition("-")[0],
            "to_name": "image",
            "type": kind,
            "value": {**value, kind: [thing.class_name]},
            "original_width": size.width,
            "original_height": size.height,
            "image_rotation": 0,
            "score": float(score),
        }
        for thing, score in objects
        for name, kind, value in _values(thing, size, masks, polygon_px)
    ]


def objects(
    result: Iterable[Mapping[str, Any]], size: Size, before: Iterable[ReviewedObject] = ()
) -> list[ReviewedObject]:
    """Convert regions to objects.

    A box and a mask form one object if they come from the same label. Remaining boxes and masks are paired by
    overlap. A mask that a human drew without a box gets its bounding box. If a label's box was deleted, its
    mask is dropped too. Empty masks are ignored.

    Args:
        result: Regions of an annotation or a prediction; those that are neither box nor mask are ignored.
        before: Objects of the prediction that the annotation started from. Where box and mask disagree on the
            class, the class that was changed counts.

    Raises:
        ValueError: A region has no class, no area, non-finite numbers, or was drawn on an image of another
            size. The message names the region.
    """
    boxes: dict[int | str, tuple[str, Box]] = {}
    drawn: dict[int | str, tuple[str, list[str]]] = {}
    for region in result:
        kind = region["type"]
        if kind not in _DRAWN:
            continue
        try:
            name, value = _class_of(region, size), region["value"]
            if kind == "rectanglelabels":
                boxes[_key(region["id"])] = name, _inside(pixel_box(value, size), size)
                continue
            pieces = drawn.setdefault(_key(region["id"]), (name, []))[1]
            if kind == "bitmasklabels":
                pieces.append(_url_to_rle(value["imageDataURL"], size))
            else:
                pieces.append(rle.encode(polygon_to_mask(value["points"], size)))
        except (LookupError, TypeError, ValueError, AttributeError) as error:
            what = f"it lacks {error}" if isinstance(error, KeyError) else str(error)
            raise ValueError(f"region {region.get('id')}: {what}") from None
    masks = {key: (name, _union(pieces, size)) for key, (name, pieces) in drawn.items()}
    masks = {key: found for key, found in masks.items() if coco.area(_coco(found[1], size))}

    bare, orphans = [key for key in boxes if key not in masks], [key for key in masks if key not in boxes]
    pairs = {key: key for key in boxes if key in masks}
    pairs |= {
        bare[box]: orphans[mask]
        for box, mask in match_boxes(
            [boxes[key][1] for key in bare], [_mask_box(masks[key][1], size) for key in orphans]
        )
    }
    before_names = {thing.detection_id: thing.class_name for thing in before}
    found = []
    for key, (name, box) in boxes.items():
        other = pairs.get(key)
        label = _detection(key) if _detection(key) is not None else _detection(other)
        names = [name] if other is None else [name, masks[other][0]]
        found.append(
            ReviewedObject(
                class_name=next(
                    (n for n in names if label in before_names and n != before_names[label]), name
                ),
                box=box,
                rle=None if other is None else masks[other][1],
                detection_id=label,
            )
        )
    alone = [key for key in orphans if key not in pairs.values() and _detection(key) is None]
    return found + [
        ReviewedObject(class_name=name, box=_mask_box(counts, size), rle=counts)
        for name, counts in (masks[key] for key in alone)
    ]


def changes(before: Iterable[ReviewedObject], after: Iterable[ReviewedObject], size: Size) -> list[Change]:
    """List the change of each object: first of the remaining objects, then the added, then the deleted.

    An object that was deleted and drawn again in the same place counts as changed.
    """
    old, new = list(before), list(after)
    by_label = {thing.detection_id: number for number, thing in enumerate(old)}
    pairs = {
        number: by_label[thing.detection_id]
        for number, thing in enumerate(new)
        if thing.detection_id is not None and thing.detection_id in by_label
    }
    fresh = [number for number in range(len(new)) if number not in pairs]
    gone = [number for number in range(len(old)) if number not in pairs.values()]
    pairs |= {
        fresh[a]: gone[b] for a, b in match_boxes([new[n].box for n in fresh], [old[n].box for n in gone])
    }
    kept = [_change(old[pairs[number]], new[number], size) for number in sorted(pairs)]
    added = [
        Change(kind="added", class_name=thing.class_name, mask_iou=None if thing.rle is None else 0.0)
        for number, thing in enumerate(new)
        if number not in pairs
    ]
    deleted = [
        Change(
            kind="deleted",
            class_name=thing.class_name,
            detection_id=thing.detection_id,
            box=thing.box if is_proposal(thing) else None,
        )
        for number, thing in enumerate(old)
        if number not in pairs.values()
    ]
    return kept + added + deleted


def match_boxes(boxes: list[Box], others: list[Box]) -> list[tuple[int, int]]:
    """Match two lists of boxes one to one by IoU (Hungarian method, scipy); returns pairs of indices."""
    if not boxes or not others:
        return []
    overlap = sv.box_iou_batch(np.array(boxes), np.array(others))
    rows, columns = linear_sum_assignment(overlap, maximize=True)
    return [(int(a), int(b)) for a, b in zip(rows, columns, strict=True) if overlap[a, b] >= _SAME_OBJECT_IOU]


def percent_box(box: Box, size: Size) -> dict[str, float]:
    """Convert a box in pixels, clipped to the frame, to x, y, width and height in percent of the frame."""
    limits = np.array([size.width, size.height] * 2, float)
    x1, y1, x2, y2 = np.clip(box, 0, limits) / limits * 100
    return {"x": float(x1), "y": float(y1), "width": float(x2 - x1), "height": float(y2 - y1)}


def pixel_box(value: Mapping[str, float], size: Size) -> Box:
    """Convert a rectangle in percent to a box in pixels; a rectangle rotated around x, y to its bounding box.

    The box may extend beyond the frame.

    Raises:
        ValueError: A number is not finite or far beyond any frame, or the rectangle has no area.
    """
    names = ("x", "y", "width", "height", "rotation")
    numbers = np.array([value[name] for name in names[:4]] + [value.get("rotation") or 0], float)
    if not (np.abs(numbers) <= _FARTHEST).all() or (numbers[2:4] <= 0).any():
        given = ", ".join(f"{name} {number:g}" for name, number in zip(names, numbers, strict=True))
        raise ValueError(f"a rectangle of {given}; expected percent of the frame, width and height above 0")
    side = np.array([size.width, size.height]) / 100
    origin = numbers[:2] * side
    width, height = numbers[2:4] * side
    corners = np.array([[0, 0], [width, 0], [width, height], [0, height]])
    if angle := np.deg2rad(numbers[4]):
        corners = corners @ np.array([[np.cos(angle), np.sin(angle)], [-np.sin(angle), np.cos(angle)]])
    low, high = origin + corners.min(axis=0), origin + corners.max(axis=0)
    return float(low[0]), float(low[1]), float(high[0]), float(high[1])


def percent_polygons(mask: np.ndarray, tolerance_px: float) -> list[list[list[float]]]:
    """Outlines of a mask's pieces, x and y in percent; holes are filled, because polygons have none."""
    traced, _ = cv2.findContours(mask.astype(np.uint8), cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)
    side = np.array(mask.shape[::-1]) / 100
    pieces = []
    for outline in traced:
        points = cv2.approxPolyDP(outline, tolerance_px, True)[:, 0, :].astype(float)
        # A piece of one or two pixels has fewer than three vertices.
        points = points[np.minimum(np.arange(max(3, len(points))), len(points) - 1)]
        pieces.append(((points + 0.5) / side).tolist())
    return pieces


def polygon_to_mask(points: Iterable[Iterable[float]], size: Size) -> np.ndarray:
    """Convert a polygon in percent to a bool mask (H, W), including its outline.

    Raises:
        ValueError: A number is not finite or far beyond any frame, or there are no points.
    """
    percent = np.array(list(points), float)
    if percent.ndim != 2 or percent.shape[1] != 2 or not (np.abs(percent) <= _FARTHEST).all():
        raise ValueError("the points of the polygon are not pairs of percents of the frame")
    pixels = percent * [size.width / 100, size.height / 100] - 0.5
    canvas = np.zeros((size.height, size.width), np.uint8)
    fixed = np.round(pixels * 2**_SUBPIXEL_BITS).astype(np.int32)
    cv2.fillPoly(canvas, [fixed], 1, shift=_SUBPIXEL_BITS)
    return canvas.astype(bool)


# An unedited mask has the same URL as its prediction: the cache decodes it once for both.
@lru_cache(maxsize=64)
def _url_to_rle(url: str, size: Size) -> str:
    return rle.encode(url_to_mask(url, (size.width, size.height)))


def _class_of(region: Mapping[str, Any], size: Size) -> str:
    """The class of a region, which must have been drawn on an image of this size.

    Raises:
        ValueError: The region has no class, or was drawn on an image of another size.
    """
    names = region["value"].get(region["type"])
    if not names or not isinstance(names[0], str):
        raise ValueError("it has no class")
    drawn_size = (region.get("original_width") or size.width, region.get("original_height") or size.height)
    if drawn_size != (size.width, size.height):
        raise ValueError(
            f"drawn on an image of {drawn_size[0]} x {drawn_size[1]} pixels; "
            f"the frame has {size.width} x {size.height}"
        )
    return names[0]


def _inside(box: Box, size: Size) -> Box:
    """Clip a box to the frame; the bounding box of a rotated rectangle may extend beyond it.

    Raises:
        ValueError: The box lies outside the frame.
    """
    x1, y1, x2, y2 = np.clip(box, 0, [size.width, size.height] * 2).tolist()
    if not (x1 < x2 and y1 < y2):
        raise ValueError(f"the box {np.round(box, 1).tolist()} lies outside the frame")
    return x1, y1, x2, y2


def _values(
    thing: ReviewedObject, size: Size, masks: MaskForm, polygon_px: float
) -> Iterator[tuple[str, str, dict[str, Any]]]:
    """Name, type and value of each region of one object."""
    number = thing.detection_id
    yield f"box-{number}", "rectanglelabels", {**percent_box(thing.box, size), "rotation": 0}
    if thing.rle is None:
        return
    mask = rle.decode(thing.rle, size.height, size.width)
    if masks == "bitmask":
        yield f"mask-{number}", "bitmasklabels", {"imageDataURL": mask_to_url(mask)}
        return
    for piece, points in enumerate(percent_polygons(mask, polygon_px)):
        yield f"mask-{number}-{piece}", "polygonlabels", {"points": points, "closed": True}


def _change(old: ReviewedObject, new: ReviewedObject, size: Size) -> Change:
    moved = float(np.abs(np.subtract(old.box, new.box)).max())
    iou = _mask_iou(old.rle, new.rle, size)
    same = moved <= _UNMOVED_PX and iou in {None, 1.0} and old.class_name == new.class_name
    return Change(
        kind="none" if same else "changed",
        detection_id=old.detection_id,
        class_name=new.class_name,
        class_before=None if old.class_name == new.class_name else old.class_name,
        moved_px=0.0 if moved <= _UNMOVED_PX else moved,
        mask_iou=iou,
    )


def _mask_iou(old: str | None, new: str | None, size: Size) -> float | None:
    if old is None or new is None:
        return None if old is new else 0.0
    (iou,) = coco.iou([_coco(new, size)], [_coco(old, size)], [0])[0]
    return float(iou)


def _union(pieces: list[str], size: Size) -> str:
    if len(pieces) == 1:
        return pieces[0]
    return coco.merge([_coco(counts, size) for counts in pieces])["counts"].decode("ascii")


def _mask_box(counts: str, size: Size) -> Box:
    x, y, width, height = map(float, coco.toBbox(_coco(counts, size)))
    return x, y, x + width, y + height


def _coco(counts: str, size: Size) -> dict[str, Any]:
    return {"size": [size.height, size.width], "counts": counts.encode("ascii")}


def _key(region_id: str) -> int | str:
    ours = _OURS.fullmatch(region_id)
    return int(ours[1]) if ours else region_id


def _detection(key: int | str | None) -> int | None:
    return key if isinstance(key, int) else None
