"""Step 1: detect."""

from collections.abc import Iterable, Sequence

import numpy as np

from gotowce_dagster.config.params import DetectionsParams
from gotowce_dagster.detectors.base import Detector
from gotowce_dagster.detectors.detect import detect_frames
from gotowce_dagster.detectors.detected import Detected


def detect(
    video: str,
    images: Iterable[tuple[int, np.ndarray]],
    detectors: Sequence[Detector],
    params: DetectionsParams,
) -> Detected:
    """Detect the designators in a stream of frames.

    Args:
        images: (frame_index, RGB uint8 (H, W, 3)), each frame once.
    """
    return detect_frames(video, images, detectors, params.consensus)
