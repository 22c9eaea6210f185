"""Reading images from disk."""

from pathlib import Path

import cv2
import numpy as np
from PIL import ExifTags, Image

from gotowce_dagster.core.errors import InputError

_FIRST_TURNED = 5
"""Orientations of EXIF from this one turn an image by 90 degrees."""


def read_rgb(path: Path) -> np.ndarray:
    """Read an image file as RGB uint8 (H, W, 3).

    Raises:
        InputError: the file is missing or damaged.
    """
    image = cv2.imread(str(path), cv2.IMREAD_COLOR_RGB)
    if image is None:
        raise InputError(f"{path}: missing or not an image; run the stage that writes it again")
    return np.asarray(image)


def size_of(path: Path) -> tuple[int, int]:
    """Width and height of an image as ``read_rgb`` reads it, pixels; only the file's header is read.

    Raises:
        InputError: the file is missing or damaged.
    """
    error = InputError(f"{path}: missing or not an image; run the stage that writes it again")
    # Asked first: once ultralytics is imported, PIL would try to install a decoder of HEIF for what it cannot
    # identify.
    if not cv2.haveImageReader(str(path)):
        raise error
    try:
        with Image.open(path) as picture:
            width, height = picture.size
            is_turned = picture.getexif().get(ExifTags.Base.Orientation, 1) >= _FIRST_TURNED
    except (OSError, ImportError, Image.DecompressionBombError):
        raise error from None
    return (height, width) if is_turned else (width, height)


def is_whole_jpeg(path: Path) -> bool:
    """Whether a file begins and ends like a JPEG; cheap, because the rest is not read."""
    if not path.is_file() or path.stat().st_size < 4:
        return False
    with path.open("rb") as file:
        begin = file.read(2)
        file.seek(-2, 2)
        return begin == b"\xff\xd8" and file.read() == b"\xff\xd9"
