"""Reading the pictures that extraction wrote."""

from pathlib import Path

import cv2
import numpy as np

from gotowce_dagster.errors import InputError


def read_still(path: Path) -> np.ndarray:
    """A picture's file as RGB uint8 (H, W, 3).

    Raises:
        InputError: the file is missing or damaged.
    """
    image = cv2.imread(str(path), cv2.IMREAD_COLOR_RGB)
    if image is None:
        raise InputError(f"{path}: missing or damaged; remove its folder and run extracted_frames again")
    return image
