"""Decode a video frame by frame, in bounded memory, with an exact number and time for every frame.

Frames are numbered from 0 in decode order. Counting alone would shift every number after a frame that cannot
be decoded, and differently with the number of decoder threads. So a frame's number is the rank of its time
stamp among those of all packets, which are read first; frames are counted only where there are no usable time
stamps.
"""

from collections import deque
from collections.abc import Collection, Generator, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import chain, groupby
from operator import itemgetter
from pathlib import Path
from typing import cast

import av
import av.error
import cv2
import numpy as np
from av.codec.context import ThreadType
from av.container import InputContainer
from av.sidedata.sidedata import SideDataContainer
from av.sidedata.sidedata import Type as SideDataType
from av.video.plane import VideoPlane
from av.video.reformatter import ColorRange
from av.video.stream import VideoStream

from gotowce_dagster.core.errors import InputError
from gotowce_dagster.video.packets import Losses, Timeline, demux, opened, read_timeline

_PLANAR_LUMA = ("yuv4", "yuvj4", "nv", "gray")
"""Prefixes of pixel formats whose first plane is luma; those of more than 8 bits end in ``le`` or ``be``."""

_JPEGS_MATRIX = (2, 5, 6)
"""Matrix coefficients (H.273) equal to JPEG's, which are BT.601; 2 is unspecified: FFmpeg assumes BT.601."""

_LENGTH_PREFIXED = ("h264", "hevc")
_HOLE = bytes(16)
"""A run of zeros that cannot occur in H.264 or H.265 with length prefixes (emulation prevention, H.264
7.4.1): the disk or the recorder left a gap, which a decoder would treat as an image."""

_NOTHING_DECODES = "not one frame of it can be decoded; record or copy the video again"

_SEEKS_BY_PTS = ("mov", "matroska")
"""Containers that seek key frames by presentation time; others seek by decode time."""

_ONE_FRAME_A_PACKET = ("h264", "hevc", "av1", "vp9", "mjpeg")
"""Codecs with exactly one frame per packet, so that ranks stay exact after a seek."""


@dataclass(frozen=True)
class Orientation:
    """The rotation and flips that turn decoded pixels upright."""

    is_transposed: bool = False
    flips: tuple[int, ...] = ()
    """Axes to flip, after transposing."""

    @classmethod
    def of(cls, picture: av.VideoFrame) -> "Orientation":
        """Read the display matrix, whose rows begin (a, b, u), (c, d, v): x' = ax + cy, y' = bx + dy.

        Read it from one frame per video only: PyAV keeps that frame in memory until the garbage collector
        runs.
        """
        side_data = cast(SideDataContainer, picture.side_data)  # PyAV's stub says a dict
        if SideDataType.DISPLAYMATRIX not in side_data:
            return cls()
        a, b, _, c, d = np.frombuffer(memoryview(side_data[SideDataType.DISPLAYMATRIX]), np.int32)[:5]
        is_transposed = abs(b) > abs(a)
        across, down = (c, b) if is_transposed else (a, d)
        return cls(is_transposed, tuple(axis for axis, factor in ((0, down), (1, across)) if factor < 0))

    def apply(self, pixels: np.ndarray) -> np.ndarray:
        """Turn an array (H, W, ...) upright; without a copy if it already is."""
        if not (self.is_transposed or self.flips):
            return pixels
        turned = pixels.swapaxes(0, 1) if self.is_transposed else pixels
        return np.ascontiguousarray(np.flip(turned, self.flips))


@dataclass(frozen=True, eq=False)
class Frame:
    """One decoded frame. Pixels are converted on demand."""

    index: int
    """Number from 0, in decode order."""
    time_s: float
    """Seconds after the first frame."""
    damaged: bool
    """Decoded from broken data or from a frame that was: the image may be torn."""
    picture: av.VideoFrame
    """The frame of the decoder."""
    orientation: Orientation

    def rgb(self) -> np.ndarray:
        """RGB uint8 (H, W, 3), upright, converted with the matrix and range that the video declares."""
        return self._pixels("rgb24")

    def bgr(self) -> np.ndarray:
        """BGR uint8 (H, W, 3), upright, as OpenCV expects it."""
        return self._pixels("bgr24")

    def luma(self) -> np.ndarray:
        """Luma uint8 (H, W), upright, as coded: 16 to 235 in most videos. A view where possible."""
        name = self.picture.format.name
        is_plain = name.startswith(_PLANAR_LUMA) and not name.endswith(("le", "be"))
        planar = self.picture if is_plain else self.picture.reformat(format="yuv420p", threads=1)
        return self.orientation.apply(_pixels_of(planar.planes[0]))

    def jpeg_planes(self) -> tuple[np.ndarray, np.ndarray, np.ndarray] | None:
        """Y, Cb and Cr planes for a JPEG, in full range: uint8 (H, W) and twice (H / 2, W / 2), rounded up.

        None if the video has another colour format or is rotated: use ``bgr`` then.
        """
        name, picture = self.picture.format.name, self.picture
        is_same = name in {"yuv420p", "yuvj420p"} and picture.colorspace in _JPEGS_MATRIX
        if not is_same or self.orientation != Orientation():
            return None
        luma, *chroma = (_pixels_of(plane) for plane in picture.planes)
        if name == "yuv420p" and picture.color_range != ColorRange.JPEG:
            luma, chroma = (
                _stretch(luma, 16, 0, 255 / 219),
                [_stretch(c, 128, 128, 255 / 224) for c in chroma],
            )
        return luma, chroma[0], chroma[1]

    def _pixels(self, pixel_format: str) -> np.ndarray:
        return self.orientation.apply(self.picture.to_ndarray(format=pixel_format, threads=1))


def _pixels_of(plane: VideoPlane) -> np.ndarray:
    """A view of an 8-bit plane as uint8 (h, w)."""
    rows = np.frombuffer(memoryview(plane), np.uint8).reshape(-1, plane.line_size)
    return rows[: plane.height, : plane.width]


def _stretch(plane: np.ndarray, middle: float, target: float, factor: float) -> np.ndarray:
    """Compute (plane - middle) * factor + target, rounded and saturated, in one pass."""
    return cv2.addWeighted(plane, factor, plane, 0, target - factor * middle)


@dataclass(frozen=True)
class VideoInfo:
    """Properties of a video file."""

    width: int
    """Pixels, upright."""
    height: int
    fps: float
    """Frames a second, on average."""
    frames: int
    """Number of frames in the file or, if it was truncated, that it should have."""
    duration_s: float
    codec: str
    pixel_format: str
    variable_rate: bool


def check(path: Path) -> None:
    """Check that a file is a video: at least one frame can be decoded. Reads no further than that frame.

    Throughout the package this defines a video; file names and suffixes do not matter.

    Raises:
        InputError: the file is missing, a folder, empty or no video, or no frame can be decoded.
        OSError: the file cannot be read.
    """
    with opened(path) as (container, stream):
        if next(_decode(container, stream, Losses()), None) is None:
            raise InputError(f"{path}: {_NOTHING_DECODES}")


def probe(path: Path) -> VideoInfo:
    """Check that a file is a video with at least one decodable frame, and return its properties.

    Raises:
        InputError: the file is missing, a folder, empty or no video, or no frame can be decoded.
    """
    timeline = read_timeline(path)
    first = next(_read_through(path, timeline, Losses()), None)
    if first is None:
        raise InputError(f"{path}: {_NOTHING_DECODES}")
    with opened(path) as (_, stream):
        height, width = first.luma().shape
        return VideoInfo(
            width=width,
            height=height,
            fps=timeline.fps,
            frames=timeline.count,
            duration_s=timeline.count / timeline.fps,
            codec=stream.codec_context.name,
            pixel_format=first.picture.format.name,
            variable_rate=timeline.variable_rate,
        )


def read_frames(
    path: Path, wanted: Collection[int] | None = None, losses: Losses | None = None
) -> Iterator[Frame]:
    """Decode the frames of a video in order.

    Args:
        wanted: yield only these frames. Where frame numbers stay provably exact, decoding starts at the key
            frame before each instead of reading the whole file.
        losses: records what could not be decoded; only for the wanted frames, if ``wanted`` is given.

    Yields:
        Frames with ascending numbers and times. Frames that cannot be decoded are skipped; the others keep
        their numbers.

    Raises:
        InputError: the file is missing, a folder, empty or no video.
    """
    losses = Losses() if losses is None else losses
    timeline = read_timeline(path)
    if wanted is None:
        yield from _read_through(path, timeline, losses)
    else:
        yield from _read_wanted(path, timeline, sorted(set(wanted)), losses)


def _read_through(path: Path, timeline: Timeline, losses: Losses) -> Iterator[Frame]:
    """Decode every frame; record missing ones, between frames and at the end, in ``losses``."""
    index, time_s = -1, 0.0
    origin: float | None = None
    orientation: Orientation | None = None
    hidden = 0  # packets without an image of their own, for instance the reference frames of VP8
    is_torn = False
    with opened(path) as (container, stream):
        for picture, is_broken in _decode(container, stream, losses):
            rank = timeline.rank(picture.pts) if timeline.is_ranked else index + 1
            if rank is None or rank - hidden <= index:
                continue  # its time stamp is broken
            gap = rank - hidden - index - 1
            if losses.errors or (index < 0 and timeline.starts_before_key_frame):
                losses.add_lost(index + 1, rank - hidden - 1, timeline.time_s(rank - gap))
                is_torn = is_torn or gap > 0
            else:
                hidden += gap
            is_torn = is_broken or (is_torn and not picture.key_frame)
            losses.damaged += is_torn
            if timeline.is_ranked or not timeline.is_stamped:
                time_s = timeline.time_s(rank)
            elif origin is None:
                origin = picture.time or 0.0
            else:  # a stamp may be missing or jump back
                stamp = time_s if picture.time is None else picture.time - origin
                time_s = stamp if stamp > time_s else time_s + 1 / timeline.fps
            index = rank - hidden
            orientation = orientation or Orientation.of(picture)
            yield Frame(index, time_s, is_torn, picture, orientation)
    end = max(timeline.packets if losses.errors else index + hidden + 1, timeline.declared)
    losses.add_lost(index + 1, end - hidden - 1, timeline.time_s(index + hidden + 1))


def _read_wanted(path: Path, timeline: Timeline, wanted: Sequence[int], losses: Losses) -> Iterator[Frame]:
    read = 0
    for frame in _read_by_seeking(path, timeline, wanted):
        read += 1
        yield frame
    if read == len(wanted):
        return
    rest, passed_by = set(wanted[read:]), Losses()
    for frame in _read_through(path, timeline, passed_by):
        if frame.index in rest:
            rest.remove(frame.index)
            losses.damaged += frame.damaged
            yield frame
        if frame.index >= wanted[-1]:
            break
    for error, times in passed_by.errors.items():
        losses.add_error(error, times)
    for index in sorted(rest):
        losses.add_lost(index, index, timeline.time_s(index))


def _read_by_seeking(path: Path, timeline: Timeline, wanted: Sequence[int]) -> Iterator[Frame]:
    """Decode the wanted frames in order, up to the first that a seek does not give intact; possibly none."""
    with open_seeker(path, timeline) as seeker:
        within = [index for index in wanted if index < len(timeline.pts)] if seeker else []
        keys = timeline.keys[:, 0].searchsorted(timeline.pts[within], side="right") - 1
        for _, pairs in groupby(zip(keys, within, strict=True), key=itemgetter(0)):
            group = [index for _, index in pairs]
            read = 0
            for frame in seeker.read(group) if seeker else ():
                read += 1
                yield frame
            if read < len(group):
                return


@dataclass(frozen=True, eq=False)
class Seeker:
    """An open video that can seek to any key frame with exact frame numbers."""

    container: InputContainer
    stream: VideoStream
    timeline: Timeline
    orientation: Orientation

    def read(self, wanted: Sequence[int]) -> Iterator[Frame]:
        """Decode from the key frame before the first wanted frame.

        Args:
            wanted: ascending frame numbers, at least one.

        Yields:
            The wanted frames, up to the first that is not intact; with fewer, the caller must read the whole
            file.
        """
        timeline, expected, trouble = self.timeline, deque(wanted), Losses()
        key = int(timeline.keys[:, 0].searchsorted(timeline.pts[expected[0]], side="right")) - 1
        if key < 0:
            return
        by_pts = self.container.format.name.startswith(_SEEKS_BY_PTS)
        self.container.seek(int(timeline.keys[key, 0 if by_pts else 1]), stream=self.stream)
        for picture, _ in _decode(self.container, self.stream, trouble):
            rank = timeline.rank(picture.pts)
            if rank is None or rank < expected[0]:
                continue
            if rank > expected[0] or trouble.errors:
                return
            yield Frame(expected.popleft(), timeline.time_s(rank), False, picture, self.orientation)
            if not expected:
                return


@contextmanager
def open_seeker(path: Path, timeline: Timeline, threads: int = 0) -> Generator[Seeker | None]:
    """Open a video for seeking to its key frames; None if frame numbers would not stay provably exact.

    Args:
        threads: number of decoder threads; 0 lets the decoder choose.

    Raises:
        InputError: see packets.opened.
    """
    with opened(path) as (container, stream):
        stream.codec_context.thread_count = threads
        if stream.codec_context.name not in _ONE_FRAME_A_PACKET or not timeline.is_ranked:
            yield None
            return
        first, _ = next(_decode(container, stream, Losses()), (None, True))
        if first is None or first.interlaced_frame or timeline.rank(first.pts) != 0:
            yield None
            return
        yield Seeker(container, stream, timeline, Orientation.of(first))


def _decode(
    container: InputContainer, stream: VideoStream, losses: Losses
) -> Iterator[tuple[av.VideoFrame, bool]]:
    """Yield every decoded frame and whether its own data was broken; continue after errors."""
    codec = stream.codec_context
    if not codec.is_open:
        codec.thread_type = ThreadType.AUTO
    has_no_holes = codec.name in _LENGTH_PREFIXED and (codec.extradata or b"").startswith(b"\x01")
    incomplete: set[int | None] = set()
    for packet in chain(demux(container, stream, losses), [None]):
        if packet and has_no_holes and _HOLE in bytes(packet):
            losses.add_error("zeros where a packet's bytes should be")
            continue
        if packet and packet.is_corrupt:
            losses.add_error("a packet is not complete")
            incomplete.add(packet.pts)
        try:
            pictures = stream.decode(packet)
        except av.FFmpegError as error:
            losses.add_error(str(error.strerror))
            continue
        for picture in pictures:
            if picture.is_corrupt:
                losses.add_error("a picture is broken")
            yield picture, picture.is_corrupt or picture.pts in incomplete
