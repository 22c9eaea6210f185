"""Extract frames: sample, score and write JPEGs beside decoding, in bounded memory."""

import os
from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import TypeVar

import cv2
import numpy as np
import pandas as pd
import simplejpeg

from gotowce_dagster.params import FramesParams
from gotowce_dagster.tables import FRAMES, empty
from gotowce_dagster.video import quality
from gotowce_dagster.video.decode import Frame
from gotowce_dagster.video.sample import REASONS, Sampled, sample
from gotowce_dagster.video.shots import ShotCutter

T = TypeVar("T")
R = TypeVar("R")

_FILE = "{:06d}.jpg"
_ROW = np.dtype(
    [
        ("frame_index", np.int64),
        ("time_s", np.float64),
        ("sharpness", np.float64),
        ("phash", np.uint64),
        ("kept", np.bool_),
        ("reason", f"U{max(map(len, REASONS))}"),
    ]
)


def extract(frames: Iterable[Frame], folder: Path, params: FramesParams) -> pd.DataFrame:
    """Write the kept frames of a video as JPEGs (000123.jpg) to a folder.

    Returns:
        One row a sampled frame, as tables.FRAMES.
    """
    return _index(frames, params, partial(_write, folder=folder, jpeg_quality=params.jpeg_quality))


def index_frames(frames: Iterable[Frame], params: FramesParams) -> pd.DataFrame:
    """What ``extract`` would say of a video, without writing anything."""
    return _index(frames, params, _row)


def _index(
    frames: Iterable[Frame], params: FramesParams, row: Callable[[Sampled], tuple[object, ...]]
) -> pd.DataFrame:
    cutter = ShotCutter(params.cut_change, params.cut_ratio, params.cut_similarity)
    sampled = sample(frames, params, cutter)
    with _opencv_in_one_thread():
        # An array, not a list of objects: of a long video there are many rows.
        rows = pd.DataFrame(np.fromiter(map_beside(row, sampled, workers=os.cpu_count() or 1), _ROW))
    if rows.empty:
        return empty(FRAMES)
    return rows.assign(
        shot=np.searchsorted(cutter.cuts, rows["frame_index"], side="right"),
        phash=rows["phash"].map("{:016x}".format),
        file=rows["frame_index"].map(_FILE.format).where(rows["kept"], ""),
    )


def write_jpeg(frame: Frame, path: Path, jpeg_quality: int) -> None:
    """Write a frame, upright, as JPEG with chroma at half the size, as the video had it.

    Args:
        jpeg_quality: 1 to 100, as libjpeg counts it.

    Raises:
        OSError: the file cannot be written.
    """
    planes = frame.jpeg_planes()
    if planes is None:
        path.write_bytes(simplejpeg.encode_jpeg(frame.bgr(), jpeg_quality, "BGR", "420"))
    else:
        path.write_bytes(simplejpeg.encode_jpeg_yuv_planes(*planes, jpeg_quality))


def _write(sampled: Sampled, folder: Path, jpeg_quality: int) -> tuple[object, ...]:
    if not sampled.reason:
        write_jpeg(sampled.frame, folder / _FILE.format(sampled.frame.index), jpeg_quality)
    return _row(sampled)


def _row(sampled: Sampled) -> tuple[object, ...]:
    frame, half = sampled.frame, sampled.half
    sharpness, phash = quality.sharpness(half), quality.phash(half)
    return frame.index, frame.time_s, sharpness, phash, not sampled.reason, sampled.reason


@contextmanager
def _opencv_in_one_thread() -> Generator[None]:
    """OpenCV's threads for one small picture cost more than they gain, beside threads for many pictures."""
    before = cv2.getNumThreads()
    cv2.setNumThreads(1)
    try:
        yield
    finally:
        cv2.setNumThreads(before)


def map_beside(function: Callable[[T], R], items: Iterable[T], workers: int) -> Iterator[R]:
    """The built-in map in threads, few items ahead: memory stays bounded however slow they are."""
    pending: deque[Future[R]] = deque()
    with ThreadPoolExecutor(workers) as pool:
        for item in items:
            pending.append(pool.submit(function, item))
            if len(pending) > 2 * workers:
                yield pending.popleft().result()
        while pending:
            yield pending.popleft().result()
