"""What likeness a learned mark has and what the scene has: its picture composed onto frames of the video.

The picture is painted at random places that show no example, with its own opacity, in the sizes of the
examples, and encoded as games' videos are: at the quality at which it comes out as like itself as the
examples are. What is found there is the mark's; what is found elsewhere is the scene's. The limit is between.
"""

import tempfile
from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np
import supervision as sv

from gotowce_dagster.designators.base import Scene, Sighting, sizes
from gotowce_dagster.designators.evidence import to_ycrcb
from gotowce_dagster.designators.families import FAMILIES, distinct
from gotowce_dagster.designators.picture import Cutout, read
from gotowce_dagster.designators.profile import LearnedLook
from gotowce_dagster.designators.sightings import different_frames, is_same_frame
from gotowce_dagster.video.decode import read_frames
from gotowce_dagster.video.encode import write_video

QUALITIES = (18, 24, 30)
"""Constant rate factors of H.264, one of which comes close to a recording's own quality."""
PICTURES = 8
"""Frames that the picture is composed onto, repeated where a video has fewer."""
_EACH = 3
"""Pictures of the mark on each."""
_SHARE = 0.4
"""Where between the scene and the mark the limit is: marks differ more from each other than these do."""
_LIMITS = (0.35, 0.85)
_WIDTHS = (0.06, 0.2)
"""From the limit to full confidence, and to none."""


def with_limits(
    look: LearnedLook,
    frames: Sequence[np.ndarray],
    boxes: Sequence[np.ndarray],
    empty: Sequence[np.ndarray] = (),
    seed: int = 0,
) -> LearnedLook:
    """The look with the likeness that tells its mark from the scene.

    Args:
        frames: YCrCb uint8 (H, W, 3), one a box; a frame with several boxes comes several times.
        boxes: float (4,) xyxy of the examples.
        empty: frames in which a human found no mark: what is like the picture there is the scene's, also a
            target that the picture contains parts of.
    """
    open_look = look.model_copy(update={"likeness": (0.0, 1.0)})
    different = [
        (
            frames[k],
            np.stack([box for f, box in zip(frames, boxes, strict=True) if is_same_frame(f, frames[k])]),
        )
        for k in different_frames(frames)
    ]
    own, scene = [], []
    for frame, drawn in different:
        at, elsewhere = _split(_found(frame, open_look), drawn)
        own += at
        scene += elsewhere
    for frame in empty:
        scene += [sighting.confidence for sighting in _found(frame, open_look)]
    pictures, places = _composed(different, look, np.random.default_rng(seed))
    trials = []
    for quality in QUALITIES:
        at = []
        for shape in dict.fromkeys(picture.shape for picture in pictures):
            alike = [k for k, picture in enumerate(pictures) if picture.shape == shape]
            shown = _encoded([pictures[k] for k in alike], quality)
            for frame, k in zip(shown, alike, strict=True):
                at += _split(_found(frame, open_look), places[k])[0]
        trials.append(at)
        if not own or np.median(at) <= np.median(own):
            break
    painted = min(trials, key=lambda at: abs(np.median(at) - np.median(own or at)))
    lowest = float(np.percentile([*own, *painted], 5))
    highest = max([value for value in scene if value < lowest], default=0.0)
    limit = float(np.clip(highest + _SHARE * (lowest - highest), *_LIMITS))
    width = float(np.clip((lowest - highest) / 2, *_WIDTHS))
    return look.model_copy(update={"likeness": (round(limit - width, 3), round(min(limit + width, 1), 3))})


def _found(frame: np.ndarray, look: LearnedLook) -> list[Sighting]:
    return distinct(FAMILIES["learned"].find(Scene(frame, np.zeros(frame.shape[:2], np.uint8)), look))


def _split(found: Sequence[Sighting], drawn: np.ndarray) -> tuple[list[float], list[float]]:
    """The likeness at each drawn box, 0 where nothing is found, and of what is found elsewhere."""
    if not found:
        return [0.0] * len(drawn), []
    ious = sv.box_iou_batch(drawn, np.stack([sighting.box for sighting in found]))
    values = np.array([sighting.confidence for sighting in found])
    at = np.where(ious.max(axis=1) >= 0.5, values[ious.argmax(axis=1)], 0.0)
    return at.tolist(), values[ious.max(axis=0) < 0.1].tolist()


def _composed(
    frames: Sequence[tuple[np.ndarray, np.ndarray]], look: LearnedLook, rng: np.random.Generator
) -> tuple[list[np.ndarray], list[np.ndarray]]:
    """Frames with the mark painted onto them, and where: YCrCb uint8 (H, W, 3) and float (n, 4) each."""
    cutout = read(look.picture)
    longer = np.concatenate([sizes(list(boxes)).max(axis=1) for _, boxes in frames])
    pictures, places = [], []
    for number in range(PICTURES):
        frame, taken = frames[number % len(frames)]
        picture, own = frame.copy(), []
        for _ in range(20 * _EACH):
            size = rng.uniform(longer.min(), longer.max())
            width, height = np.maximum(np.round(cutout.sides * size / cutout.sides.max()), 2).astype(int)
            room = np.array(frame.shape[1::-1]) - (width, height)
            if (room < 1).any():
                break
            x, y = rng.integers(0, room)
            box = np.array([x, y, x + width, y + height], float)
            apart = np.concatenate((taken, np.array(own).reshape(-1, 4)))
            gap = np.maximum(apart[:, :2] - box[2:], box[:2] - apart[:, 2:]).max(axis=1)
            if gap.min() < 8:
                continue
            _paint(picture, cutout.scaled(int(width), int(height)), int(x), int(y))
            own.append(box)
            if len(own) == _EACH:
                break
        pictures.append(picture)
        places.append(np.array(own).reshape(-1, 4))
    return pictures, places


def _paint(picture: np.ndarray, mark: Cutout, x: int, y: int) -> None:
    height, width = mark.opacity.shape
    under = picture[y : y + height, x : x + width].astype(np.float32)
    share = mark.opacity[..., None]
    painted = share * mark.colour + (1 - share) * under
    picture[y : y + height, x : x + width] = painted.round().clip(0, 255).astype(np.uint8)


def _encoded(pictures: Sequence[np.ndarray], quality: int) -> list[np.ndarray]:
    """Pictures of one size as they come back from the encoder: YCrCb uint8 (H, W, 3)."""
    height, width = (side - side % 2 for side in pictures[0].shape[:2])
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "composed.mp4"
        images = (cv2.cvtColor(picture[:height, :width], cv2.COLOR_YCrCb2RGB) for picture in pictures)
        write_video(path, images, options={"crf": str(quality), "preset": "veryfast"})
        return [to_ycrcb(frame.rgb()) for frame in read_frames(path)]
