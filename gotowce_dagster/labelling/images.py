"""The frames of a video as the pipeline sees them."""

from collections.abc import Callable, Collection, Iterator
from pathlib import Path

import numpy as np

from gotowce_dagster.video.decode import read_frames


def decoded(path: Path) -> Callable[[Collection[int]], Iterator[tuple[int, np.ndarray]]]:
    """The frames of a video file by their numbers: (frame_index, RGB uint8 (H, W, 3)), rising.

    A frame that cannot be decoded is left out.

    Raises:
        InputError: when frames are asked for and the file is missing or no video.
    """

    def images(wanted: Collection[int]) -> Iterator[tuple[int, np.ndarray]]:
        return ((frame.index, frame.rgb()) for frame in read_frames(path, wanted))

    return images
