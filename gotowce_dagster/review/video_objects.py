"""Objects through a video as Label Studio's video rectangles, and video rectangles as objects.

Label Studio keeps key frames. Between two of them a box moves evenly; after one that is not `enabled` there
is none until the next; after the last one it stays to the video's end, if that is enabled. Its frames count
from 1 and are times: frame n is shown at (n - 1) / rate. So they are our frame_index, plus one, where every
frame lasts equally long, and only there.
"""

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from gotowce_dagster.core.errors import InputError
from gotowce_dagster.core.files import fresh_file
from gotowce_dagster.labels.followed import KeyFrame, Track
from gotowce_dagster.review.regions import Size, percent_box, pixel_box
from gotowce_dagster.video.decode import VideoInfo

_SIDES = ["x1", "y1", "x2", "y2"]
_OURS = "track-"


def refuse_variable_rate(path: Path, info: VideoInfo) -> None:
    """Raises: InputError: frames last unequally long, so that a browser's times do not tell their numbers."""
    if info.variable_rate:
        raise InputError(
            f"{path}: its frames last unequally long, and Label Studio would number them wrong; make a copy "
            f"of constant rate (ffmpeg -i IN -fps_mode cfr -r {round(info.fps)} OUT) and add that as a video"
        )


def tracks_of(rows: pd.DataFrame, looked_at: Iterable[int], tolerance_px: float) -> list[Track]:
    """The objects of a video, with as few key frames as the tolerance allows.

    Args:
        rows: with frame_index, object_id, class_name, x1, y1, x2 and y2, as tables.MASKS has them; an object
            without a box is not seen in that frame.
        looked_at: the frames in which objects would have been seen: where one was not, it is gone.
        tolerance_px: how far any side of a box may lie off, in the frames of ``rows``.
    """
    order = {frame: place for place, frame in enumerate(sorted({*looked_at, *rows["frame_index"]}))}
    seen = rows.dropna(subset=_SIDES).sort_values("frame_index").drop_duplicates(["object_id", "frame_index"])
    tracks = []
    for name, of_object in seen.groupby("object_id", sort=True):
        frames = of_object["frame_index"].to_numpy(np.int64)
        boxes = of_object[_SIDES].to_numpy(float)
        gaps = np.flatnonzero(np.diff([order[frame] for frame in frames.tolist()]) > 1) + 1
        key_frames = [
            KeyFrame(
                frame_index=int(run[place]),
                box=tuple(boxes[start + place].tolist()),
                goes_on=place != len(run) - 1,
            )
            for start, run in zip([0, *gaps.tolist()], np.split(frames, gaps), strict=True)
            for place in bends(run, boxes[start : start + len(run)], tolerance_px)
        ]
        class_name = str(of_object["class_name"].mode().iloc[0])
        tracks.append(Track(object_id=str(name), class_name=class_name, key_frames=tuple(key_frames)))
    return tracks


def bends(frames: np.ndarray, boxes: np.ndarray, tolerance_px: float) -> list[int]:
    """Which frames to keep so that even motion between them is nowhere farther off than the tolerance.

    Ramer's and Douglas and Peucker's way: the frame farthest off is kept, and both sides looked at again.

    Args:
        frames: int (n,), rising.
        boxes: float (n, 4) in pixels.

    Returns:
        Places, rising; the first and the last are always among them.
    """
    kept = {0, len(frames) - 1}
    todo = [(0, len(frames) - 1)]
    while todo:
        first, last = todo.pop()
        share = (frames[first : last + 1] - frames[first])[:, None] / max(1, frames[last] - frames[first])
        even = boxes[first] + share * (boxes[last] - boxes[first])
        off = np.abs(boxes[first : last + 1] - even).max(axis=1)
        # The ends are exact, whatever rounding says.
        off[[0, -1]] = 0
        worst = first + int(off.argmax())
        if off[worst - first] > tolerance_px:
            kept.add(worst)
            todo += [(first, worst), (worst, last)]
    return sorted(kept)


def video_regions(tracks: Iterable[Track], info: VideoInfo) -> list[dict[str, Any]]:
    """The result of a prediction for a video."""
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
    """The tracks of an annotation or a prediction; what is no video rectangle is passed over.

    Of a rectangle that was turned, the box around it. Key frames beyond the video's end are left out.

    Raises:
        ValueError: a rectangle has no class, no area, a frame below 1, or was drawn on a picture of another
            size; it is named.
    """
    tracks = []
    for region in result:
        if region["type"] != "videorectangle":
            continue
        value = region["value"]
        if not value.get("labels"):
            raise ValueError(f"the object {region['id']} has no class")
        told = (region.get("original_width") or size.width, region.get("original_height") or size.height)
        if told != (size.width, size.height):
            raise ValueError(
                f"the object {region['id']} was drawn on a picture of {told[0]} x {told[1]} pixels"
            )
        # Of a frame that is told twice, the later word.
        by_frame = {_frame_of(key, region): key for key in value["sequence"]}
        if min(by_frame, default=1) < 1:
            raise ValueError(f"the object {region['id']} is in frame {min(by_frame)}; they count from 1")
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
    """Write the objects of these frames as hand-checked boxes (tables.read_truth); how many there are.

    Raises:
        InputError: there is such a file already; what somebody checked is not written over.
    """
    if path.exists():
        raise InputError(f"{path}: there already; move it away first if these boxes are to take its place")
    chosen = rows[rows["frame_index"].isin(frames)]
    table = chosen[["frame_index", *_SIDES]].assign(clip=video, label="object")
    with fresh_file(path) as new:
        table[["clip", "frame_index", *_SIDES, "label"]].to_csv(new, index=False)
    return len(table)
