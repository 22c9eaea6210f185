"""Reading images from disk."""

from pathlib import Path

import cv2
import numpy as np

from gotowce_dagster.core.errors import InputError


def read_rgb(path: Path) -> np.ndarray:
    """Read an image file as RGB uint8 (H, W, 3).

    Raises:
        InputError: the file is missing or damaged.
    """
    image = cv2.imread(str(path), cv2.IMREAD_COLOR_RGB)
    if image is None:
        raise InputError(f"{path}: missing or not an image; run the stage that writes it again")
    return np.asarray(image)


def is_whole_jpeg(path: Path) -> bool:
    """Whether a file begins and ends like a JPEG; cheap, because the rest is not read."""
    if not path.is_file() or path.stat().st_size < 4:
        return False
    with path.open("rb") as file:
        begin = file.read(2)
        file.seek(-2, 2)
        return begin == b"\xff\xd8" and file.read() == b"\xff\xd9"
