"""Masks as text: COCO's compressed run-length encoding, as pycocotools writes it."""

import re
from collections.abc import Mapping
from typing import Any

import cv2
import numpy as np
from pycocotools import mask as coco

from gotowce_dagster.core.boxes import BOX
from gotowce_dagster.core.crops import Crop

_COUNTS = re.compile(r"(?:[P-o]{0,7}[0-O])+")
"""Whole numbers of five bits a character, the last without the continuation bit; 40 bits cover any run."""


def encode(mask: np.ndarray) -> str:
    """Encode a bool mask (H, W) as counts.

    A target is small in its frame, so only the columns it covers are processed; pycocotools processes the
    whole frame, which takes several times as long at 1080p.
    """
    columns = np.flatnonzero(mask.any(axis=0))
    first, end = (columns[0], columns[-1] + 1) if len(columns) else (0, 0)
    pixels = mask[:, first:end].ravel(order="F")
    turns = np.flatnonzero(np.diff(pixels, prepend=False, append=False)) + first * len(mask)
    runs = np.diff(np.union1d(turns, mask.size), prepend=0)
    return coco.frPyObjects({"counts": runs.tolist(), "size": mask.shape}, *mask.shape)["counts"].decode()


def decode(counts: str, height: int, width: int) -> np.ndarray:
    """Decode counts to a bool mask (height, width).

    Raises:
        ValueError: the counts are not those of a mask of this size.
    """
    from supervision import rle_to_mask  # it loads scipy, which those who only check counts do not need

    try:
        if not _COUNTS.fullmatch(counts):
            raise ValueError("not COCO's compressed encoding")
        mask = rle_to_mask(counts, (width, height))
    except (ValueError, OverflowError) as error:
        raise ValueError(f"no mask of {width} x {height} pixels: {counts[:40]!r} ({error})") from None
    # Decoded column by column; OpenCV and most code read rows.
    return cv2.transpose(mask.T.view(np.uint8)).view(bool)


def mask_of(row: Mapping[Any, Any]) -> np.ndarray:
    """Decode the mask of a row with the columns ``rle``, ``height`` and ``width``: bool (height, width).

    Raises:
        ValueError: see decode.
    """
    return decode(row["rle"], int(row["height"]), int(row["width"]))


def mask_columns(mask: np.ndarray) -> dict[str, Any]:
    """Columns of a table of masks: box, ``rle``, ``height``, ``width`` and ``area_px``.

    Box and ``rle`` are None for an empty mask.

    Args:
        mask: bool (H, W).
    """
    height, width = mask.shape
    window = Crop.of_mask(mask)
    box = dict.fromkeys(BOX) if window is None else dict(zip(BOX, window.box, strict=True))
    return {
        **box,
        "rle": None if window is None else encode(mask),
        "height": height,
        "width": width,
        "area_px": int(np.count_nonzero(mask)),
    }
