"""Frame extraction: sample, score and write JPEGs while decoding, in bounded memory.

A video is split at key frames into spans, and several spans are read in parallel, each by a single-threaded
decoder: passing frames between threads costs more than a multi-threaded decoder gains.
"""

import os
from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from queue import SimpleQueue
from typing import TypeVar

import cv2
import numpy as np
import pandas as pd
import simplejpeg

from gotowce_dagster.config.params import FramesParams
from gotowce_dagster.core.progress import Progress, silent
from gotowce_dagster.core.tables import FRAMES, empty
from gotowce_dagster.video import quality
from gotowce_dagster.video.decode import Frame, Seeker, open_seeker, read_frames
from gotowce_dagster.video.packets import Losses, Timeline, read_timeline
from gotowce_dagster.video.sample import Sampled, Sampler, reasons

T = TypeVar("T")
R = TypeVar("R")

_FILE = "{:06d}.jpg"
_ROW = np.dtype(
    [
        ("frame_index", np.int64),
        ("time_s", np.float64),
        ("sharpness", np.float64),
        ("phash", np.uint64),
        ("is_damaged", np.bool_),
        ("is_duplicate", np.bool_),
        ("still_since_s", np.float64),
    ]
)
_Row = tuple[int, float, float, int, bool, bool, float]

_SPAN_FRAMES = 100
"""Minimum number of frames in a span: seeking to the next one costs as much as decoding a few frames."""

_MAX_LANES = 8
"""Maximum number of spans read in parallel: each decoder holds a dozen frames, which may be large."""


class _NotWholeError(Exception):
    """A span cannot be read from its key frame."""


@dataclass(eq=False)
class _Span:
    rows: np.ndarray
    """Rows of _ROW, one per sampled frame."""
    sampler: Sampler

    def follow(self, before: "_Span") -> None:
        """Correct what depends on the previous span."""
        still = self.rows["still_since_s"]
        still[still == self.sampler.begins_s], repeats = self.sampler.follow(before.sampler)
        if repeats:
            kept = np.flatnonzero(~(self.rows["is_duplicate"] | self.rows["is_damaged"]))
            self.rows["is_duplicate"][kept[0]] = True


def extract(
    path: Path,
    folder: Path,
    params: FramesParams,
    losses: Losses | None = None,
    progress: Progress = silent,
) -> pd.DataFrame:
    """Write the kept frames of a video as JPEGs (000123.jpg) to a folder that holds no others.

    Args:
        losses: records what could not be decoded.
        progress: counts frames.

    Returns:
        Columns of tables.FRAMES, one row per sampled frame.

    Raises:
        InputError: the file is missing, a folder, empty or no video.
        OSError: a JPEG cannot be written.
    """
    write = partial(_write, folder=folder, jpeg_quality=params.jpeg_quality)
    index = _index(path, params, write, Losses() if losses is None else losses, progress)
    # Duplicates of the previous span, written before the spans were joined, and leftovers of an error.
    for file in {file.name for file in folder.glob("*.jpg")}.difference(index["file"]):
        (folder / file).unlink()
    return index


def index_frames(path: Path, params: FramesParams, progress: Progress = silent) -> pd.DataFrame:
    """Compute the table of ``extract`` without writing any images."""
    return _index(path, params, _row, Losses(), progress)


def _index(
    path: Path, params: FramesParams, work: Callable[[Sampled], _Row], losses: Losses, progress: Progress
) -> pd.DataFrame:
    timeline = read_timeline(path)
    with _opencv_in_one_thread():
        try:
            rows, cuts = _join(_read_in_lanes(path, timeline, params, work, progress))
        except _NotWholeError:
            frames = _reported(read_frames(path, losses=losses), timeline.count, progress)
            rows, cuts = _join([_read_through(frames, params, work)])
    if not len(rows):
        return empty(FRAMES)
    table = pd.DataFrame(rows)
    reason = reasons(table, params)
    return table.assign(
        kept=reason == "",
        reason=reason,
        shot=np.searchsorted(cuts, table["frame_index"], side="right"),
        phash=table["phash"].map("{:016x}".format),
        file=table["frame_index"].map(_FILE.format).where(reason == "", ""),
    )[FRAMES.names]


def _join(spans: Iterable[_Span]) -> tuple[np.ndarray, list[int]]:
    """Join spans: the rows of all of them, as _ROW, and the first frames of shots."""
    rows, cuts, before = [np.empty(0, _ROW)], list[int](), None
    for span in spans:
        cutter = span.sampler.cutter
        if before:
            span.follow(before)
            cuts += before.sampler.cutter.cuts_up_to(cutter)
        cuts += cutter.cuts
        rows.append(span.rows)
        before = span
    return np.concatenate(rows), sorted(set(cuts))


def _read_in_lanes(
    path: Path,
    timeline: Timeline,
    params: FramesParams,
    work: Callable[[Sampled], _Row],
    progress: Progress,
) -> Iterator[_Span]:
    """Yield the spans in order, reading several in parallel.

    Raises:
        _NotWholeError: a span cannot be read alone, for instance because it is damaged, or there is only one.
    """
    spans = timeline.spans(_SPAN_FRAMES)
    if len(spans) == 1 or timeline.is_cut_off:
        raise _NotWholeError
    lanes = min(os.cpu_count() or 1, _MAX_LANES)
    free = SimpleQueue[Seeker]()

    def read(span: range) -> _Span:
        seeker = free.get()
        try:
            before_s = timeline.time_s(span.start - 1) if span.start else None
            sampler, frames = Sampler(params, before_s), seeker.read(span)
            rows = np.fromiter(map(work, sampler.sample(frames)), _ROW)
        finally:
            free.put(seeker)
        if sampler.seen < len(span):
            raise _NotWholeError
        return _Span(rows, sampler)

    with ExitStack() as stack:
        for _ in range(lanes):
            seeker = stack.enter_context(open_seeker(path, timeline, threads=1))
            if seeker is None:
                raise _NotWholeError
            free.put(seeker)
        progress(0, timeline.count)
        for span, done in zip(
            spans, stack.enter_context(closing(map_in_threads(read, spans, lanes))), strict=True
        ):
            yield done
            progress(span.stop, timeline.count)


def _read_through(frames: Iterable[Frame], params: FramesParams, work: Callable[[Sampled], _Row]) -> _Span:
    """Process all frames as one span, decoded in order and written in threads."""
    sampler = Sampler(params)
    # An array, not a list of objects: a long video has many rows.
    rows = np.fromiter(map_in_threads(work, sampler.sample(frames), workers=os.cpu_count() or 1), _ROW)
    return _Span(rows, sampler)


def _reported(frames: Iterable[Frame], total: int, progress: Progress) -> Iterator[Frame]:
    progress(0, total)
    for frame in frames:
        yield frame
        progress(frame.index + 1, max(total, frame.index + 1))


def write_jpeg(frame: Frame, path: Path, jpeg_quality: int) -> None:
    """Write a frame, upright, as JPEG with chroma at half the size, as in the video.

    Args:
        jpeg_quality: 1 to 100, on the scale of libjpeg.

    Raises:
        OSError: the file cannot be written.
    """
    planes = frame.jpeg_planes()
    if planes is None:
        path.write_bytes(simplejpeg.encode_jpeg(frame.bgr(), jpeg_quality, "BGR", "420"))
    else:
        path.write_bytes(simplejpeg.encode_jpeg_yuv_planes(*planes, jpeg_quality))


def _write(sampled: Sampled, folder: Path, jpeg_quality: int) -> _Row:
    if sampled.is_kept:
        write_jpeg(sampled.frame, folder / _FILE.format(sampled.frame.index), jpeg_quality)
    return _row(sampled)


def _row(sampled: Sampled) -> _Row:
    frame, half = sampled.frame, sampled.half
    scores = quality.sharpness(half), quality.phash(half)
    return frame.index, frame.time_s, *scores, frame.damaged, sampled.is_duplicate, sampled.still_since_s


@contextmanager
def _opencv_in_one_thread() -> Generator[None]:
    """Limit OpenCV to one thread: its threads do not pay off for small images processed in parallel."""
    before = cv2.getNumThreads()
    cv2.setNumThreads(1)
    try:
        yield
    finally:
        cv2.setNumThreads(before)


def map_in_threads(function: Callable[[T], R], items: Iterable[T], workers: int) -> Generator[R]:
    """Map in threads, a few items ahead, in order: memory stays bounded however slow the function is."""
    pending: deque[Future[R]] = deque()
    with ThreadPoolExecutor(workers) as pool:
        try:
            for item in items:
                pending.append(pool.submit(function, item))
                if len(pending) > 2 * workers:
                    yield pending.popleft().result()
            while pending:
                yield pending.popleft().result()
        finally:
            pool.shutdown(wait=False, cancel_futures=True)
