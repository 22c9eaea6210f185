"""Tracking by ByteTrack (Zhang et al., ECCV 2022), from supervision's sister package ``trackers``."""

from typing import Any

import numpy as np
import supervision as sv

from gotowce_dagster.core.detections import from_boxes
from gotowce_dagster.core.extras import require


class Tracks:
    """Assigns track ids frame by frame; must be called for every frame, in order.

    Args:
        fps: frames per second.
        confidence: minimum confidence of a box that starts a track; others only continue one.

    Raises:
        MissingExtraError: the extra ``tracks`` is missing.
    """

    def __init__(self, fps: float, confidence: float) -> None:
        require("tracks", "--tracks")
        from trackers import ByteTrackTracker

        self._tracker: Any = ByteTrackTracker(
            frame_rate=fps,
            track_activation_threshold=confidence,
            high_conf_det_threshold=confidence,
            minimum_consecutive_frames=1,
        )

    def number(self, detections: sv.Detections) -> np.ndarray:
        """Return the track id of each box, int (n,); -1 without a track."""
        numbered = from_boxes(
            detections.xyxy,
            detections.confidence,
            class_id=np.zeros(len(detections), int),
            row=np.arange(len(detections)),
        )
        tracked = self._tracker.update(numbered)
        numbers = np.full(len(detections), -1)
        if len(tracked) and tracked.tracker_id is not None:
            numbers[np.asarray(tracked.data["row"], int)] = tracked.tracker_id
        return numbers
