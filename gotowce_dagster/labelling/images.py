"""Frames of a video as the pipeline's input."""

from collections.abc import Callable, Collection, Iterator
from pathlib import Path

import numpy as np

from gotowce_dagster.video.decode import read_frames


def decoded(path: Path) -> Callable[[Collection[int]], Iterator[tuple[int, np.ndarray]]]:
    """A function that reads frames of a video by index: (frame_index, RGB uint8 (H, W, 3)), ascending.

    Frames that cannot be decoded are left out.

    Raises:
        InputError: when called, if the file is missing or not a video.
    """

    def images(wanted: Collection[int]) -> Iterator[tuple[int, np.ndarray]]:
        return ((frame.index, frame.rgb()) for frame in read_frames(path, wanted))

    return images
