"""Conversion between the tracks of a video and Label Studio's video rectangles.

Label Studio stores key frames. Between two key frames a box is interpolated linearly. After a key frame that
is not `enabled` the object is absent until the next one. After the last one the box stays to the end of the
video, if that key frame is enabled. Label Studio counts frames from 1 and shows frame n at (n - 1) / rate.
Its frame number is therefore our frame_index plus one, but only at a constant frame rate.
"""

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from gotowce_dagster.core.boxes import BOX, xyxy
from gotowce_dagster.core.errors import InputError
from gotowce_dagster.core.files import fresh_file
from gotowce_dagster.labels.followed import KeyFrame, Track
from gotowce_dagster.review.regions import Size, percent_box, pixel_box
from gotowce_dagster.video.decode import VideoInfo

_OURS = "track-"


def refuse_variable_rate(path: Path, info: VideoInfo) -> None:
    """Refuse a video with a variable frame rate, where a browser's times do not give frame numbers.

    Raises:
        InputError: The frame rate is variable.
    """
    if info.variable_rate:
        raise InputError(
            f"{path}: variable frame rate, so Label Studio would misnumber its frames; make a copy with a "
            f"constant rate (ffmpeg -i IN -fps_mode cfr -r {round(info.fps)} OUT) and add that as a video"
        )


def tracks_of(rows: pd.DataFrame, sampled: Iterable[int], tolerance_px: float) -> list[Track]:
    """Build the tracks of a video, with as few key frames as the tolerance allows.

    Args:
        rows: Rows with frame_index, object_id, class_name, x1, y1, x2 and y2, as in tables.MASKS; an object
            without a box is not visible in that frame.
        sampled: The frames that were processed; an object without a row in one of them is absent there.
        tolerance_px: Maximum error of any side of a box, in pixels, in the frames of ``rows``.
    """
    order = {frame: position for position, frame in enumerate(sorted({*sampled, *rows["frame_index"]}))}
    seen = rows.dropna(subset=BOX).sort_values("frame_index").drop_duplicates(["object_id", "frame_index"])
    tracks = []
    for name, of_object in seen.groupby("object_id", sort=True):
        frames = of_object["frame_index"].to_numpy(np.int64)
        boxes = xyxy(of_object)
        gaps = np.flatnonzero(np.diff([order[frame] for frame in frames.tolist()]) > 1) + 1
        key_frames = [
            KeyFrame(
                frame_index=int(run[position]),
                box=tuple(boxes[start + position].tolist()),
                goes_on=position != len(run) - 1,
            )
            for start, run in zip([0, *gaps.tolist()], np.split(frames, gaps), strict=True)
            for position in key_positions(run, boxes[start : start + len(run)], tolerance_px)
        ]
        class_name = str(of_object["class_name"].mode().iloc[0])
        tracks.append(Track(object_id=str(name), class_name=class_name, key_frames=tuple(key_frames)))
    return tracks


def key_positions(frames: np.ndarray, boxes: np.ndarray, tolerance_px: float) -> list[int]:
    """Select key frames such that linear interpolation between them stays within the tolerance.

    The Ramer-Douglas-Peucker algorithm: keep the frame with the largest error, then process both sides.

    Args:
        frames: int (n,), increasing.
        boxes: float (n, 4) in pixels.

    Returns:
        Positions in ``frames``, increasing, always with the first and the last.
    """
    kept = {0, len(frames) - 1}
    todo = [(0, len(frames) - 1)]
    while todo:
        first, last = todo.pop()
        share = (frames[first : last + 1] - frames[first])[:, None] / max(1, frames[last] - frames[first])
        even = boxes[first] + share * (boxes[last] - boxes[first])
        off = np.abs(boxes[first : last + 1] - even).max(axis=1)
        # The ends are exact; ignore rounding errors there.
        off[[0, -1]] = 0
        worst = first + int(off.argmax())
        if off[worst - first] > tolerance_px:
            kept.add(worst)
            todo += [(first, worst), (worst, last)]
    return sorted(kept)


def video_regions(tracks: Iterable[Track], info: VideoInfo) -> list[dict[str, Any]]:
    """Convert tracks to the result of a prediction for a video."""
    size = Size(info.width, info.height)
    return [
        {
            "id": _OURS + track.object_id,
            "from_name": "box",
            "to_name": "video",
            "type": "videorectangle",
            "value": {
                "framesCount": info.frames,
                "duration": info.frames / info.fps,
                "labels": [track.class_name],
                "sequence": [
                    {
                        "frame": key.frame_index + 1,
                        "enabled": key.goes_on,
                        "rotation": 0,
                        "time": key.frame_index / info.fps,
                        **percent_box(key.box, size),
                    }
                    for key in track.key_frames
                ],
            },
        }
        for track in tracks
    ]


def read_regions(result: Iterable[Mapping[str, Any]], size: Size, frames: int) -> list[Track]:
    """Convert the regions of an annotation or a prediction to tracks; other regions are ignored.

    A rotated rectangle becomes its bounding box. Key frames beyond the end of the video are left out.

    Raises:
        ValueError: A rectangle has no class, no area, a frame below 1, or was drawn on an image of another
            size. The message names the object.
    """
    tracks = []
    for region in result:
        if region["type"] != "videorectangle":
            continue
        value = region["value"]
        if not value.get("labels"):
            raise ValueError(f"the object {region['id']} has no class")
        drawn_size = (
            region.get("original_width") or size.width,
            region.get("original_height") or size.height,
        )
        if drawn_size != (size.width, size.height):
            raise ValueError(
                f"the object {region['id']} was drawn on an image of {drawn_size[0]} x {drawn_size[1]} "
                f"pixels; the video has {size.width} x {size.height}"
            )
        # If a frame occurs twice, the later key frame counts.
        by_frame = {_frame_of(key, region): key for key in value["sequence"]}
        if min(by_frame, default=1) < 1:
            raise ValueError(f"the object {region['id']} is in frame {min(by_frame)}; frames count from 1")
        keys = tuple(
            _key_frame(frame, key, size, region["id"])
            for frame, key in sorted(by_frame.items())
            if frame <= frames
        )
        if keys:
            name = str(region["id"]).removeprefix(_OURS)
            tracks.append(Track(object_id=name, class_name=value["labels"][0], key_frames=keys))
    return tracks


def _frame_of(key: Mapping[str, Any], region: Mapping[str, Any]) -> int:
    if not isinstance(key.get("frame"), int | float) or key["frame"] % 1:
        raise ValueError(
            f"the object {region['id']} is in frame {key.get('frame')!r}; expected a whole number"
        )
    return int(key["frame"])


def _key_frame(frame: int, key: Mapping[str, Any], size: Size, name: str) -> KeyFrame:
    try:
        return KeyFrame(
            frame_index=frame - 1, box=pixel_box(key, size), goes_on=bool(key.get("enabled", True))
        )
    except ValueError as error:
        raise ValueError(f"the object {name} in frame {frame}: {error}") from None


def write_truth(path: Path, video: str, rows: pd.DataFrame, frames: Sequence[int]) -> int:
    """Write the objects of these frames as ground truth (truth.read_truth); returns the number of boxes.

    Raises:
        InputError: The file exists; checked boxes are never overwritten.
    """
    if path.exists():
        raise InputError(f"{path}: exists already; move it away first to replace it with these boxes")
    chosen = rows[rows["frame_index"].isin(frames)]
    table = chosen[["frame_index", *BOX]].assign(clip=video, label="object")
    with fresh_file(path) as new:
        table[["clip", "frame_index", *BOX, "label"]].to_csv(new, index=False)
    return len(table)
