"""Boxes, masks and captions drawn on a frame, whole or close up."""

import zlib
from collections.abc import Sequence
from dataclasses import replace

import cv2
import numpy as np
import supervision as sv
from PIL import Image, ImageDraw

from gotowce_dagster.core.boxes import centres
from gotowce_dagster.pictures import text

_PALETTE = sv.ColorPalette.from_hex(["#00e5ff", "#ffd400", "#ff5ca8", "#7dff5c", "#ff8a3d", "#b28dff"])


def draw(image_rgb: np.ndarray, detections: sv.Detections, labels: Sequence[str]) -> np.ndarray:
    """Draw detections on a copy of a frame; captions avoid boxes and each other.

    Args:
        image_rgb: RGB uint8 (H, W, 3); not modified.
        detections: boxes, with masks if present; ``data["class_name"]`` selects the colour, which is the
            same for a class in every picture.
        labels: one caption per box; empty for none.

    Returns:
        RGB uint8 (H, W, 3), of the same size.

    Raises:
        ValueError: labels and detections differ in number.
    """
    if len(labels) != len(detections):
        raise ValueError(f"{len(detections)} detections but {len(labels)} labels")
    small_side = min(image_rgb.shape[:2])
    colours = _colours(detections)
    scene = image_rgb[:, :, ::-1].copy()  # supervision paints BGR, and in place
    if detections.mask is not None:
        scene = sv.MaskAnnotator(_PALETTE, opacity=0.4).annotate(scene, detections, colours)
    thickness = max(1, round(small_side / 400))
    scene = sv.BoxAnnotator(_PALETTE, thickness).annotate(scene, detections, colours)
    picture = Image.fromarray(np.ascontiguousarray(scene[:, :, ::-1]))
    _write(picture, detections.xyxy, labels, colours, size=max(11, round(small_side / 45)))
    return np.asarray(picture)


def closeup(
    image_rgb: np.ndarray,
    detections: sv.Detections,
    labels: Sequence[str],
    *,
    box: np.ndarray,
    side: int = 320,
    margin: float = 1.0,
) -> np.ndarray:
    """Cut a square around a box, enlarge it, and draw what is inside at the enlarged size.

    Args:
        image_rgb: RGB uint8 (H, W, 3).
        detections, labels: see draw; in pixels of the whole frame.
        box: xyxy (4,) in pixels, shown in the centre.
        side: side of the result in pixels.
        margin: margin on each side of the box, in sides of the box.

    Returns:
        RGB uint8 (side, side, 3); black outside the frame.
    """
    middle = centres(box)
    reach = max(8.0, float((box[2:] - box[:2]).max()) * (0.5 + margin))
    scale = side / (2 * reach)
    origin = middle - reach
    shift = np.array([[scale, 0, -origin[0] * scale], [0, scale, -origin[1] * scale]])

    # The shift maps pixel corners; warpAffine maps pixel centres, half a pixel off at every scale.
    centred = shift + np.array([[0, 0, scale / 2 - 0.5], [0, 0, scale / 2 - 0.5]])
    cut = cv2.warpAffine(image_rgb, centred, (side, side), flags=cv2.INTER_CUBIC)
    moved = replace(
        detections,
        xyxy=(detections.xyxy - np.tile(origin, 2)) * scale,
        mask=None if detections.mask is None else _warp_masks(np.asarray(detections.mask), centred, side),
    )
    x1, y1, x2, y2 = moved.xyxy.T
    visible = np.flatnonzero((x2 > 0) & (y2 > 0) & (x1 < side) & (y1 < side))
    inside = moved[visible]
    assert isinstance(inside, sv.Detections)
    return draw(cut, inside, [labels[row] for row in visible])


def _warp_masks(masks: np.ndarray, shift: np.ndarray, side: int) -> np.ndarray:
    warped = [
        cv2.warpAffine(mask.astype(np.uint8), shift, (side, side), flags=cv2.INTER_NEAREST) for mask in masks
    ]
    return np.array(warped, dtype=bool).reshape(-1, side, side)


def _write(
    picture: Image.Image, boxes: np.ndarray, labels: Sequence[str], colours: np.ndarray, size: int
) -> None:
    pen = ImageDraw.Draw(picture)
    face = text.font(size)
    pad = max(2, size // 6)
    shown = [row for row, label in enumerate(labels) if label]
    lines = [text.fit(labels[row], size, picture.width - 2 * pad) for row in shown]
    sizes = np.array([(face.getlength(line) + 2 * pad, size * 1.2 + 2 * pad) for line in lines])
    places = caption_places(boxes, np.array(shown, int), sizes.reshape(-1, 2), picture.size)
    fills = [_PALETTE.by_idx(int(colours[row])).as_rgb() for row in shown]
    for row, place, fill in zip(shown, places, fills, strict=True):
        start, end = _gap(boxes[row], place)
        if np.abs(end - start).max() > 2:
            pen.line((*start, *end), fill=fill, width=max(1, size // 8))
    for place, line, fill in zip(places, lines, fills, strict=True):
        pen.rectangle(tuple(place), fill=fill)
        pen.text((place[0] + pad, place[1] + pad), line, fill=(0, 0, 0), font=face)


def caption_places(
    boxes: np.ndarray, shown: np.ndarray, sizes: np.ndarray, picture: tuple[int, int]
) -> np.ndarray:
    """Place captions near their boxes, covering no other caption and no box if possible.

    supervision's smart positions push captions apart, which moves them over boxes and out of the picture.

    Args:
        boxes: xyxy (n, 4) in pixels.
        shown: indices (m,) of the boxes with a caption.
        sizes: (m, 2) width and height of the captions in pixels.
        picture: width and height of the picture in pixels.

    Returns:
        xyxy (m, 4) in pixels.
    """
    boxes = boxes.astype(float).reshape(-1, 4)
    placed = np.empty((0, 4))
    for row, size in zip(shown, sizes, strict=True):
        tried = _candidates(boxes[row], size, np.array(picture, float))
        over_captions, over_boxes = _covered(tried, placed), _covered(tried, boxes)
        start, end = _gap(boxes[row], tried)
        away = np.hypot(*(end - start).T)
        best = np.lexsort((away.round(), over_boxes.round(), over_captions.round()))[0]
        placed = np.vstack([placed, tried[best]])
    return placed


def _candidates(box: np.ndarray, size: np.ndarray, picture: np.ndarray) -> np.ndarray:
    """Candidate places, xyxy (k, 4): eight around a box, then a grid over the whole picture."""
    (x1, y1, x2, y2), (width, height) = box, size
    around = np.array(
        [
            *((x, y) for y in (y1 - height - 1, y2 + 1) for x in (x1, x2 - width)),
            *((x, y) for x in (x2 + 1, x1 - width - 1) for y in (y1, y2 - height)),
        ]
    )
    free = np.maximum(picture - size, 0)
    everywhere = np.stack(
        np.meshgrid(np.arange(0, free[0] + 1, height), np.arange(0, free[1] + 1, height)), axis=-1
    ).reshape(-1, 2)
    corners = np.clip(np.vstack([around, everywhere]), 0, free)
    return np.hstack([corners, corners + size])


def _covered(places: np.ndarray, taken: np.ndarray) -> np.ndarray:
    """Pixels (k,) of the taken boxes (n, 4) that each place (k, 4) covers."""
    overlap = np.minimum(places[:, None, 2:], taken[:, 2:]) - np.maximum(places[:, None, :2], taken[:, :2])
    return overlap.clip(min=0).prod(axis=2).sum(axis=1)


def _gap(box: np.ndarray, place: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The nearest points (..., 2) of a box (4,) and of places (..., 4)."""
    start = np.clip((place[..., :2] + place[..., 2:]) / 2, box[:2], box[2:])
    end = np.clip(start, place[..., :2], place[..., 2:])
    return np.clip(end, box[:2], box[2:]), end


def _colours(detections: sv.Detections) -> np.ndarray:
    """A palette index for each box: by class name, else by its index."""
    names = detections.data.get("class_name")
    if names is None:
        return np.arange(len(detections))
    return np.array([zlib.crc32(str(name).encode()) % len(_PALETTE.colors) for name in names], dtype=int)
