"""Masks as text: COCO's compressed run-length encoding, as pycocotools writes it."""

import numpy as np
from pycocotools import mask as coco


def encode(mask: np.ndarray) -> str:
    """The counts of a bool mask (H, W)."""
    return coco.encode(np.asfortranarray(mask, np.uint8))["counts"].decode("ascii")


def decode(counts: str, height: int, width: int) -> np.ndarray:
    """The bool mask (height, width) behind counts."""
    return coco.decode({"size": [height, width], "counts": counts.encode("ascii")}).astype(bool)
