"""Decode a video frame by frame, in bounded memory, with an exact number and time for every frame.

Frames are numbered from 0 in the order a decoder gives them. Counting alone would shift every number
after a frame that cannot be decoded, and differently with the number of decoder threads. So a frame's
number is the rank of its time stamp among those of all packets, which are read first; only frames
without usable time stamps are counted.
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
"""Pixel formats whose first plane is luma begin so; those of more than 8 bits end in ``le`` or ``be``."""

_JPEGS_MATRIX = (2, 5, 6)
"""Matrix coefficients (H.273) equal to JPEG's, those of BT.601; 2 is unspecified: FFmpeg takes BT.601."""

_LENGTH_PREFIXED = ("h264", "hevc")
_HOLE = bytes(16)
"""So many zeros cannot stand in H.264 or H.265 with length prefixes (emulation prevention, H.264 7.4.1): the
disk or the recorder left a hole there, which a decoder would take for a picture."""

_NOTHING_DECODES = "not one frame of it can be decoded; record or copy the video again"

_SEEKS_BY_PTS = ("mov", "matroska")
"""Containers that look for a key frame by when it is shown; others go by when it is decoded."""

_ONE_FRAME_A_PACKET = ("h264", "hevc", "av1", "vp9", "mjpeg")
"""Codecs that show one frame for every packet, so that ranks stay exact after a seek."""


@dataclass(frozen=True)
class Orientation:
    """How decoded pixels are turned to stand upright."""

    is_transposed: bool = False
    flips: tuple[int, ...] = ()
    """Axes, after transposing."""

    @classmethod
    def of(cls, picture: av.VideoFrame) -> "Orientation":
        """Read the display matrix, whose rows begin (a, b, u), (c, d, v): x' = ax + cy, y' = bx + dy.

        Ask one picture a video: PyAV then keeps it in memory until the garbage collector comes round.
        """
        side_data = cast(SideDataContainer, picture.side_data)  # PyAV's stub says a dict
        if SideDataType.DISPLAYMATRIX not in side_data:
            return cls()
        a, b, _, c, d = np.frombuffer(memoryview(side_data[SideDataType.DISPLAYMATRIX]), np.int32)[:5]
        is_transposed = abs(b) > abs(a)
        across, down = (c, b) if is_transposed else (a, d)
        return cls(is_transposed, tuple(axis for axis, factor in ((0, down), (1, across)) if factor < 0))

    def apply(self, pixels: np.ndarray) -> np.ndarray:
        """Turn an array (H, W, ...); without a copy if nothing is to be done."""
        if not (self.is_transposed or self.flips):
            return pixels
        turned = pixels.swapaxes(0, 1) if self.is_transposed else pixels
        return np.ascontiguousarray(np.flip(turned, self.flips))


@dataclass(frozen=True, eq=False)
class Frame:
    """One decoded frame. Pixels are converted only when asked for."""

    index: int
    """From 0, in the order of decoding."""
    time_s: float
    """Seconds after the first frame."""
    damaged: bool
    """Built from broken data or upon a frame that was: the picture may be torn."""
    picture: av.VideoFrame
    """As the decoder gave it."""
    orientation: Orientation

    def rgb(self) -> np.ndarray:
        """uint8 (H, W, 3), upright, converted with the matrix and range that the video states."""
        return self._pixels("rgb24")

    def bgr(self) -> np.ndarray:
        """uint8 (H, W, 3), upright: the order of channels that OpenCV writes."""
        return self._pixels("bgr24")

    def luma(self) -> np.ndarray:
        """uint8 (H, W), upright: luma as coded, 16 to 235 in most videos. A view, not a copy, if it can."""
        name = self.picture.format.name
        is_plain = name.startswith(_PLANAR_LUMA) and not name.endswith(("le", "be"))
        planar = self.picture if is_plain else self.picture.reformat(format="yuv420p", threads=1)
        return self.orientation.apply(_pixels_of(planar.planes[0]))

    def jpeg_planes(self) -> tuple[np.ndarray, np.ndarray, np.ndarray] | None:
        """Y, Cb, Cr as a JPEG holds them, in full range: uint8 (H, W) and twice (H / 2, W / 2), rounded up.

        None if the video holds its colour in another way, or on its side: ``bgr`` serves then.
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
    """uint8 (h, w): a view of a plane of 8 bits."""
    rows = np.frombuffer(memoryview(plane), np.uint8).reshape(-1, plane.line_size)
    return rows[: plane.height, : plane.width]


def _stretch(plane: np.ndarray, middle: float, target: float, factor: float) -> np.ndarray:
    """(plane - middle) * factor + target, rounded and saturated, in one pass."""
    return cv2.addWeighted(plane, factor, plane, 0, target - factor * middle)


@dataclass(frozen=True)
class VideoInfo:
    """What a video file is."""

    width: int
    """Pixels, upright."""
    height: int
    fps: float
    """Frames a second, on average."""
    frames: int
    """How many frames the file holds or, if it was cut off, should hold."""
    duration_s: float
    codec: str
    pixel_format: str
    variable_rate: bool


def check(path: Path) -> None:
    """Check that a file is a video: at least one frame of it decodes. Reads no further than that frame.

    This is what makes a file a video everywhere here; names and suffixes say nothing.

    Raises:
        InputError: the file is missing, a folder, empty, no video, or nothing of it can be decoded.
        OSError: it cannot be read.
    """
    with opened(path) as (container, stream):
        if next(_decode(container, stream, Losses()), None) is None:
            raise InputError(f"{path}: {_NOTHING_DECODES}")


def probe(path: Path) -> VideoInfo:
    """Check that a file is a video of which at least one frame decodes, and say what it is.

    Raises:
        InputError: the file is missing, a folder, empty, no video, or nothing of it can be decoded.
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
    """Decode a video in order.

    Args:
        wanted: yield these frames only. Where numbers stay provably exact, the file is entered at the
            key frame before each instead of being read through.
        losses: is told what could not be decoded; of the wanted frames, if ``wanted`` is given.

    Yields:
        Frames with rising numbers and times. What cannot be decoded is left out; the rest keep their numbers.

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
    """Every frame; what is missing between them, and at the end, is told to ``losses``."""
    index, time_s = -1, 0.0
    origin: float | None = None
    orientation: Orientation | None = None
    hidden = 0  # packets that show nothing though all is well, for instance the reference frames of VP8
    is_torn = False
    with opened(path) as (container, stream):
        for picture, is_broken in _decode(container, stream, losses):
            rank = timeline.rank(picture.pts) if timeline.is_ranked else index + 1
            if rank is None or rank - hidden <= index:
                continue  # its time stamp is broken
            gap = rank - hidden - index - 1
            if losses.errors or (index < 0 and timeline.begins_inside):
                losses.lose(index + 1, rank - hidden - 1, timeline.time_s(rank - gap))
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
    losses.lose(index + 1, end - hidden - 1, timeline.time_s(index + hidden + 1))


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
        losses.complain(error, times)
    for index in sorted(rest):
        losses.lose(index, index, timeline.time_s(index))


def _read_by_seeking(path: Path, timeline: Timeline, wanted: Sequence[int]) -> Iterator[Frame]:
    """The wanted frames in order, up to the first that a seek does not give whole; perhaps none."""
    with entered(path, timeline) as seeker:
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
    """An open video that can be entered at any key frame without losing count."""

    container: InputContainer
    stream: VideoStream
    timeline: Timeline
    orientation: Orientation

    def read(self, wanted: Sequence[int]) -> Iterator[Frame]:
        """Decode on from the key frame before the first wanted frame.

        Args:
            wanted: rising numbers of frames, at least one.

        Yields:
            The wanted frames, up to the first that is not given whole: who gets fewer must read through.
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
def entered(path: Path, timeline: Timeline, threads: int = 0) -> Generator[Seeker | None]:
    """Open a video to enter it at its key frames; None where numbers would not stay provably exact.

    Args:
        threads: of the decoder; 0 lets it choose.

    Raises:
        InputError: as opened.
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
    """Every picture the decoder gives, and whether its own data was broken, going on after errors."""
    codec = stream.codec_context
    if not codec.is_open:
        codec.thread_type = ThreadType.AUTO
    has_no_holes = codec.name in _LENGTH_PREFIXED and (codec.extradata or b"").startswith(b"\x01")
    incomplete: set[int | None] = set()
    for packet in chain(demux(container, stream, losses), [None]):
        if packet and has_no_holes and _HOLE in bytes(packet):
            losses.complain("zeros where a packet's bytes should be")
            continue
        if packet and packet.is_corrupt:
            losses.complain("a packet is not complete")
            incomplete.add(packet.pts)
        try:
            pictures = stream.decode(packet)
        except av.FFmpegError as error:
            losses.complain(str(error.strerror))
            continue
        for picture in pictures:
            if picture.is_corrupt:
                losses.complain("a picture is broken")
            yield picture, picture.is_corrupt or picture.pts in incomplete
