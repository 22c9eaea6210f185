"""Fly-bys: what crosses the screen in a few frames, as a shot or a spark does, and no target can.

Three moments of the recording tell, without a model and without a human: what differs from both
the frame before and the frame after has moved (three-frame differencing; Collins et al., A System for Video
Surveillance and Monitoring, 2000), and where its look is found in both tells how fast. What moves as the
scene does, because the camera turns, is no fly-by.
"""

from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

import cv2
import numpy as np
import pandas as pd

from gotowce_dagster.core.boxes import BOX
from gotowce_dagster.core.progress import Progress, silent, tracked
from gotowce_dagster.video.decode import Frame, read_frames

_EXAMINED = 20
"""Maximum number of frames of a video in which fly-bys are looked for, so that hours cost two seconds."""
_WIDTH = 1280
"""Wider frames are reduced to so many pixels, in which all sizes below are meant."""
_STEPS = 3
"""Maximum number of frames before and after in which one that differs is looked for."""
_LEAST_CHANGED = 16
"""Minimum number of pixels that differ between two frames that show two moments."""
_MOVED = 24
"""Minimum difference in levels, in some channel, of a pixel that something has left or reached."""
_TOUCHING = 3
"""Gap in pixels that is closed inside a moved object."""
_LEAST_PX, _LARGEST_PX = 5, 128
"""Minimum and maximum long side of a fly-by; a star is smaller."""
_AROUND = 2
"""Pixels around a box that count as its look."""
_ALIKE = 0.7
"""Minimum correlation of a look with that in another frame."""
_LEAST_CONTRAST = 4.0
"""Minimum standard deviation of a look in levels."""
_SPEED = 12.0
"""Minimum speed of a fly-by in own long sides a second; targets in games were measured at up to 9."""
_REACH_PX = 102
"""Maximum movement between two frames."""
_STEADY = 0.5
"""Maximum difference of the velocities before and after, as a share of the larger."""
_PLACES, _SUPPORTERS = 24, 4
"""Number of moved places that are compared, and of those that must move as an object does to be the scene."""
_SURROUNDINGS_PX = 48
"""Pixels around a box in which the whole is looked for that it may be a part of."""
_LOOK_PX, _SLACK = 5, 3
"""Half the side of a place's look; error of its movement."""


def find_fly_bys(path: Path, frames: Sequence[int], progress: Progress = silent) -> pd.DataFrame:
    """Find what flies by in frames of a video; where there are many frames, in some of them, evenly spaced.

    Args:
        frames: numbers of the frames, ascending.
        progress: counts frames that were decoded.

    Returns:
        Columns of tables.FLY_BYS. Nothing is found in damaged frames.

    Raises:
        InputError: the file is missing, a folder, empty or no video.
    """
    places = np.linspace(0, len(frames) - 1, _EXAMINED).astype(int) if len(frames) else []
    some = {int(frames[place]) for place in places}
    wanted = sorted(
        {index + step for index in some for step in range(-_STEPS, _STEPS + 1) if index + step >= 0}
    )
    decoded = tracked(read_frames(path, wanted), len(wanted), progress)
    found = [
        (middle.index, *box)
        for middle, others in _surrounded(decoded, some)
        for box in _around(middle, others).tolist()
    ]
    return pd.DataFrame(found, columns=["frame_index", *BOX]).astype({"frame_index": "int64"})


def _surrounded(frames: Iterable[Frame], wanted: Iterable[int]) -> Iterator[tuple[Frame, list[Frame]]]:
    """The wanted ones of successive frames, each with the undamaged frames around it, the nearest first."""
    held: list[Frame] = []
    waiting = deque(sorted(wanted))
    for frame in frames:
        while waiting and frame.index > waiting[0] + _STEPS:
            yield from _window(held, waiting.popleft())
        held = [one for one in held if waiting and one.index >= waiting[0] - _STEPS] + [frame]
    while waiting:
        yield from _window(held, waiting.popleft())


def _window(frames: Iterable[Frame], index: int) -> Iterator[tuple[Frame, list[Frame]]]:
    """One of successive frames, if it is undamaged, with the undamaged ones around it, the nearest first."""
    sound = [one for one in frames if not one.damaged and abs(one.index - index) <= _STEPS]
    sound.sort(key=lambda one: abs(one.index - index))
    if sound and sound[0].index == index:
        yield sound[0], sound[1:]


def _around(middle: Frame, others: Sequence[Frame]) -> np.ndarray:
    """Boxes around what flies by in a frame, xyxy float (n, 4).

    Args:
        others: frames before and after it, the nearest first.
    """
    whole = middle.rgb()
    image = _reduced(whole)
    before = _changed(image, [one for one in others if one.index < middle.index])
    after = _changed(image, [one for one in others if one.index > middle.index])
    if before is None or after is None:
        return np.zeros((0, 4))
    seconds = middle.time_s - before[1], after[1] - middle.time_s
    return fly_bys(before[0], image, after[0], seconds) * (whole.shape[1] / image.shape[1])


def _changed(image: np.ndarray, others: Iterable[Frame]) -> tuple[np.ndarray, float] | None:
    """The first of other frames that differs from a picture, and its time; None if none does.

    Many recordings have more frames a second than the game drew.
    """
    for other in others:
        picture = _reduced(other.rgb())
        if np.count_nonzero(_differs(image, picture) > _MOVED) >= _LEAST_CHANGED:
            return picture, other.time_s
    return None


def _reduced(image: np.ndarray) -> np.ndarray:
    """A picture not wider than the sizes here are meant for."""
    factor = image.shape[1] / _WIDTH
    if factor <= 1:
        return image
    size = round(image.shape[1] / factor), round(image.shape[0] / factor)
    return cv2.resize(image, size, interpolation=cv2.INTER_AREA)


def fly_bys(
    before: np.ndarray, image: np.ndarray, after: np.ndarray, seconds: tuple[float, float]
) -> np.ndarray:
    """Boxes around what flies by in a frame, xyxy float (n, 4).

    Args:
        before, image, after: successive frames of the recording, RGB uint8 (H, W, 3).
        seconds: from the frame before, and to the frame after.
    """
    greys = [cv2.cvtColor(frame, cv2.COLOR_RGB2GRAY) for frame in (before, image, after)]
    others = (greys[0], greys[2])
    moved = _moved(before, image, after)
    sides = (moved[:, 2:] - moved[:, :2]).max(axis=1)
    places = (moved[:, :2] + moved[:, 2:])[np.argsort(-sides, kind="stable")][:_PLACES] // 2
    found = []
    for box in moved[(sides >= _LEAST_PX) & (sides <= _LARGEST_PX)]:
        flight = _flight(greys[1], others, seconds, box)
        # The tip of a slow ship moves far for its own size.
        if flight is None or not _are_fast(flight, seconds, _whole(image, box)):
            continue
        if not _is_scene(greys[1], others, flight, places, box):
            found.append(box)
    return np.array(found, float).reshape(-1, 4)


def _differs(image: np.ndarray, other: np.ndarray) -> np.ndarray:
    """Difference in levels of the channel that differs most, uint8 (H, W)."""
    # Many times as fast as the maximum of an axis of three.
    red, green, blue = cv2.split(cv2.absdiff(image, other))
    return cv2.max(cv2.max(red, green), blue)


def _moved(before: np.ndarray, image: np.ndarray, after: np.ndarray) -> np.ndarray:
    """Boxes around what differs from both neighbours, xyxy int (n, 4)."""
    differs = cv2.min(_differs(image, before), _differs(image, after))
    moved = cv2.morphologyEx(
        (differs > _MOVED).astype(np.uint8), cv2.MORPH_CLOSE, np.ones((_TOUCHING, _TOUCHING), np.uint8)
    )
    _, _, stats, _ = cv2.connectedComponentsWithStats(moved)
    x, y, width, height = stats[1:, :4].T
    return np.column_stack([x, y, x + width, y + height])


def _movement(grey: np.ndarray, other: np.ndarray, box: np.ndarray) -> np.ndarray | None:
    """Where the look of a box is in another frame, relative to it, in pixels; None if it is not found."""
    height, width = grey.shape
    x1, y1 = (box[:2] - _AROUND).clip(0).tolist()
    x2, y2 = np.minimum(box[2:] + _AROUND, [width, height]).tolist()
    look = grey[y1:y2, x1:x2]
    if look.std() < _LEAST_CONTRAST:
        return None
    left, top = max(x1 - _REACH_PX, 0), max(y1 - _REACH_PX, 0)
    region = other[top : min(y2 + _REACH_PX, height), left : min(x2 + _REACH_PX, width)]
    alike = cv2.matchTemplate(region, look, cv2.TM_CCOEFF_NORMED)
    alike[~np.isfinite(alike)] = 0
    _, best, _, (x, y) = cv2.minMaxLoc(alike)
    return np.array([left + x - x1, top + y - y1]) if best >= _ALIKE else None


def _flight(
    grey: np.ndarray, others: Sequence[np.ndarray], seconds: tuple[float, float], box: np.ndarray
) -> list[np.ndarray] | None:
    """The movements of a box to the frames before and after, in pixels, if they are a fast, steady flight."""
    movements, velocities = [], []
    for other, time in zip(others, seconds, strict=True):
        movement = _movement(grey, other, box) if time > 0 else None
        if movement is None or not _are_fast([movement], [time], box):
            return None
        movements.append(movement)
        velocities.append(movement / time)
    # Backwards in time the one, forwards the other: of a steady flight they cancel out.
    turn = np.hypot(*(velocities[0] + velocities[1]))
    return movements if turn <= _STEADY * max(np.hypot(*velocity) for velocity in velocities) else None


def _are_fast(movements: Sequence[np.ndarray], seconds: Sequence[float], box: np.ndarray) -> bool:
    """Whether each movement, in pixels in so many seconds, is too fast for a target as large as a box."""
    least = _SPEED * (box[2:] - box[:2]).max()
    return all(np.hypot(*movement) >= least * time for movement, time in zip(movements, seconds, strict=True))


def _whole(image: np.ndarray, box: np.ndarray) -> np.ndarray:
    """The box around what a box is a part of: what differs from the usual level around it, xyxy int (4,)."""
    left, top = (box[:2] - _SURROUNDINGS_PX).clip(0).tolist()
    right, bottom = (box[2:] + _SURROUNDINGS_PX).tolist()
    around = image[top:bottom, left:right]
    usual = np.median(around, axis=(0, 1))
    differs = (np.abs(around - usual).max(axis=2) > _MOVED).astype(np.uint8)
    differs[box[1] - top : box[3] - top, box[0] - left : box[2] - left] = 1
    _, labels, stats, _ = cv2.connectedComponentsWithStats(differs)
    x, y, width, height, _ = stats[labels[box[1] - top, box[0] - left]]
    return np.array([left + x, top + y, left + x + width, top + y + height])


def _is_scene(
    grey: np.ndarray,
    others: Sequence[np.ndarray],
    flight: Sequence[np.ndarray],
    places: np.ndarray,
    box: np.ndarray,
) -> bool:
    """Whether what has moved elsewhere has moved as a box has, so that it is the camera that moves.

    Args:
        places: xy int (n, 2).
    """
    margin = (box[2:] - box[:2]).max()
    inside = ((places >= box[:2] - margin) & (places <= box[2:] + margin)).all(axis=1)
    follow = [
        all(
            _alike_at(grey, other, point, movement) >= _ALIKE
            for other, movement in zip(others, flight, strict=True)
        )
        for point in places[~inside]
    ]
    return sum(follow) >= _SUPPORTERS


def _alike_at(grey: np.ndarray, other: np.ndarray, point: np.ndarray, movement: np.ndarray) -> float:
    """Largest correlation of a place's look with another frame, about a movement away; 0 outside."""
    height, width = grey.shape
    (x, y), (to_x, to_y) = point.tolist(), (point + movement).tolist()
    near, far = _LOOK_PX, _LOOK_PX + _SLACK
    if not (near <= x < width - near and near <= y < height - near):
        return 0.0
    if not (far <= to_x < width - far and far <= to_y < height - far):
        return 0.0
    look = grey[y - near : y + near + 1, x - near : x + near + 1]
    region = other[to_y - far : to_y + far + 1, to_x - far : to_x + far + 1]
    best = cv2.minMaxLoc(cv2.matchTemplate(region, look, cv2.TM_CCOEFF_NORMED))[1]
    return best if np.isfinite(best) else 0.0
