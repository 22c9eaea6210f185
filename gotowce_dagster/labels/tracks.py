"""Tracker: links detections to objects within each shot, by position and velocity.

Sampled frames are far apart, so boxes of one object often do not overlap at all. Instead of IoU, the cost is
the distance between centres relative to how far an object may have moved. The Hungarian method (scipy) finds
the best assignment over all objects of a frame, as in SORT (Bewley et al. 2016).
"""

from dataclasses import dataclass, field

import numpy as np
import pandas as pd
from scipy.optimize import linear_sum_assignment

from gotowce_dagster.core.boxes import centres, xyxy

_MAX_GROWTH = 2.0
_NEVER = 1e6


@dataclass
class _Track:
    object_id: str
    class_name: str
    box: np.ndarray
    time_s: float
    velocity: np.ndarray = field(default_factory=lambda: np.zeros(2))

    def move(self, box: np.ndarray, time_s: float) -> None:
        self.velocity = (centres(box) - centres(self.box)) / (time_s - self.time_s)
        self.box, self.time_s = box, time_s


def link(detections: pd.DataFrame, frames: pd.DataFrame, gap_s: float, speed: float) -> pd.Series:
    """Link detections to tracks.

    Args:
        detections: Columns of tables.DETECTIONS, in any order; every frame_index must be in ``frames``.
        frames: Columns of tables.FRAMES.
        gap_s: An object not detected for longer, in seconds, gets a new track when it reappears.
        speed: Maximum speed of an object, in its own sides per second.

    Returns:
        The object_id ``shot/number`` of each detection, with the index of ``detections``; numbers count from
        0 in each shot.
    """
    timed = detections.join(frames.set_index("frame_index")[["shot", "time_s"]], on="frame_index")
    names = pd.Series("", index=detections.index, dtype=object)
    for shot, in_shot in timed.groupby("shot"):
        tracks: list[_Track] = []
        started = 0
        for _, rows in in_shot.groupby("frame_index"):
            time_s = float(rows["time_s"].iloc[0])
            tracks = [track for track in tracks if time_s - track.time_s <= gap_s]
            boxes = xyxy(rows)
            classes = rows["class_name"].to_numpy()
            pairs = _assign(tracks, boxes, classes, time_s, speed)
            for row, box in enumerate(boxes):
                if row in pairs:
                    track = tracks[pairs[row]]
                    track.move(box, time_s)
                else:
                    track = _Track(f"{shot}/{started}", classes[row], box, time_s)
                    tracks.append(track)
                    started += 1
                names[rows.index[row]] = track.object_id
    return names.astype(str)


def _assign(
    tracks: list[_Track], boxes: np.ndarray, classes: np.ndarray, time_s: float, speed: float
) -> dict[int, int]:
    """Match boxes to tracks; returns the index of the track by the index of the box."""
    if not tracks:
        return {}
    cost = np.array([_cost(track, boxes, time_s, speed) for track in tracks])
    cost[np.array([track.class_name for track in tracks])[:, None] != classes[None, :]] = _NEVER
    pairs = zip(*linear_sum_assignment(cost), strict=True)
    return {int(row): int(track) for track, row in pairs if cost[track, row] <= 1}


def _cost(track: _Track, boxes: np.ndarray, time_s: float, speed: float) -> np.ndarray:
    """Distance of each box relative to the track's possible movement; above 1 they cannot match."""
    elapsed = time_s - track.time_s
    side = _side(track.box)
    middles, before = centres(boxes), centres(track.box)
    stationary = np.linalg.norm(middles - before, axis=1)
    moving = np.linalg.norm(middles - before - elapsed * track.velocity, axis=1)
    distance = np.minimum(stationary, moving) / (side * (0.5 + speed * elapsed))
    growth = np.abs(np.log(_side(boxes) / side)) / np.log(_MAX_GROWTH)
    return np.where(growth > 1, _NEVER, distance)


def _side(boxes: np.ndarray) -> np.ndarray:
    return (boxes[..., 2:] - boxes[..., :2]).max(axis=-1)
