"""Pictures from disk."""

from pathlib import Path

import cv2
import numpy as np

from gotowce_dagster.core.errors import InputError


def read_rgb(path: Path) -> np.ndarray:
    """An image file as RGB uint8 (H, W, 3).

    Raises:
        InputError: it is missing or damaged.
    """
    picture = cv2.imread(str(path), cv2.IMREAD_COLOR_RGB)
    if picture is None:
        raise InputError(f"{path}: not there or not an image; run the stage that makes it again")
    return np.asarray(picture)


def is_whole_jpeg(path: Path) -> bool:
    """Whether a file begins and ends as a JPEG does; cheap, for its middle is not looked at."""
    if not path.is_file() or path.stat().st_size < 4:
        return False
    with path.open("rb") as file:
        begin = file.read(2)
        file.seek(-2, 2)
        return begin == b"\xff\xd8" and file.read() == b"\xff\xd9"
