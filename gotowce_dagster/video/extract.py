"""Extract frames: sample, score and write JPEGs beside decoding, in bounded memory."""

import os
from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

import cv2
import numpy as np
import pandas as pd

from gotowce_dagster.params import FramesParams
from gotowce_dagster.tables import FRAMES, empty
from gotowce_dagster.video import quality
from gotowce_dagster.video.decode import Frame
from gotowce_dagster.video.sample import Sampled, sample
from gotowce_dagster.video.shots import ShotCutter

T = TypeVar("T")
R = TypeVar("R")


def extract(frames: Iterable[Frame], folder: Path, params: FramesParams) -> pd.DataFrame:
    """Write the kept frames of a video as JPEGs (000123.jpg) to a folder.

    Returns:
        One row a sampled frame, as tables.FRAMES.
    """
    cutter = ShotCutter(params.cut_change, params.cut_ratio, params.cut_similarity)
    write = partial(_write, folder=folder, jpeg_quality=params.jpeg_quality)
    sampled = sample(frames, params, cutter)
    with _opencv_in_one_thread():
        rows = pd.DataFrame(map_beside(write, sampled, workers=os.cpu_count() or 1))
    if rows.empty:
        return empty(FRAMES)
    return rows.assign(shot=np.searchsorted(cutter.cuts, rows["frame_index"], side="right"))


def write_jpeg(frame: Frame, path: Path, jpeg_quality: int) -> None:
    """Write a frame, upright, as JPEG with chroma at half the size, as the video had it.

    Args:
        jpeg_quality: 1 to 100, as libjpeg counts it.

    Raises:
        OSError: the file cannot be written.
    """
    _, data = cv2.imencode(".jpg", frame.bgr(), [cv2.IMWRITE_JPEG_QUALITY, jpeg_quality])
    path.write_bytes(data.data)


def _write(sampled: Sampled, folder: Path, jpeg_quality: int) -> dict[str, Any]:
    file = "" if sampled.reason else f"{sampled.frame.index:06d}.jpg"
    if file:
        write_jpeg(sampled.frame, folder / file, jpeg_quality)
    return {
        "frame_index": sampled.frame.index,
        "time_s": sampled.frame.time_s,
        "sharpness": quality.sharpness(sampled.half),
        "phash": f"{quality.phash(sampled.half):016x}",
        "kept": not sampled.reason,
        "reason": sampled.reason,
        "file": file,
    }


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
