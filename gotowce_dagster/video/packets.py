"""The contents of a video file, read from its packets without decoding."""

import hashlib
from array import array
from collections.abc import Generator, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from fractions import Fraction
from functools import cached_property
from itertools import pairwise
from pathlib import Path

import av
import av.error
import numpy as np
from av.container import InputContainer
from av.packet import Packet
from av.stream import Disposition
from av.video.stream import VideoStream

from gotowce_dagster.core.errors import InputError

_NO_VIDEO = ("image2", "tty")
"""Formats that FFmpeg opens as video although they hold an image or text; others end in _pipe."""

_STILL = Disposition.attached_pic | Disposition.still_image


@dataclass(frozen=True)
class LostSpan:
    """Consecutive frames that could not be decoded."""

    first: int
    last: int
    time_s: float
    """Presentation time of the first of them, in seconds."""


@dataclass
class Losses:
    """Frames lost or damaged while reading a video. Filled while frames are read."""

    spans: list[LostSpan] = field(default_factory=list)
    damaged: int = 0
    """Number of frames decoded from broken data."""
    errors: dict[str, int] = field(default_factory=dict)
    """Error messages of the decoder and their counts."""

    @property
    def frames(self) -> int:
        """Number of missing frames."""
        return sum(span.last - span.first + 1 for span in self.spans)

    def add_error(self, error: str, times: int = 1) -> None:
        """Record a decoder error."""
        self.errors[error] = self.errors.get(error, 0) + times

    def add_lost(self, first: int, last: int, time_s: float) -> None:
        """Record the lost frames ``first`` to ``last``, if any; ``time_s`` is the time of the first."""
        if first <= last:
            self.spans.append(LostSpan(first, last, time_s))


@dataclass(frozen=True)
class Timeline:
    """The time stamps of a video's packets: the number and time of every frame, before decoding."""

    packets: int
    """Number of packets that could be read."""
    declared: int
    """Number of packets by the file's own index; 0 if it has none."""
    pts: np.ndarray
    """Presentation times, int64, ascending, in units of time_base; empty if they do not rank frames."""
    keys: np.ndarray
    """pts and dts of the key frames, int64 (k, 2), ascending."""
    time_base: Fraction
    is_stamped: bool
    """Whether time stamps are presentation times."""
    nominal_fps: float

    @property
    def count(self) -> int:
        """Number of frames in the file or, if it was truncated, that it should have."""
        return max(self.packets, self.declared)

    @property
    def is_ranked(self) -> bool:
        """Whether time stamps rank the frames."""
        return len(self.pts) > 0

    @property
    def is_cut_off(self) -> bool:
        """Whether frames are missing at the end, or before the first key frame."""
        return self.declared > self.packets or self.starts_before_key_frame

    @property
    def starts_before_key_frame(self) -> bool:
        """Whether frames come before the first key frame, as in a cut broadcast: they cannot be decoded."""
        return self.is_ranked and (not len(self.keys) or bool(self.keys[0, 0] > self.pts[0]))

    @cached_property
    def fps(self) -> float:
        """Frames a second, on average."""
        if len(self.pts) < 2:
            return self.nominal_fps
        return float((len(self.pts) - 1) / (int(self.pts[-1] - self.pts[0]) * self.time_base))

    @property
    def variable_rate(self) -> bool:
        """Whether steps between frames differ by more than the rounding of time stamps."""
        steps = np.diff(self.pts)
        return len(steps) > 1 and bool(np.ptp(steps) > max(2, 0.1 * np.median(steps)))

    def spans(self, shortest: int) -> list[range]:
        """Split at key frames into spans of at least ``shortest`` frames; one span if impossible."""
        begins = [0]
        for begin in self.pts.searchsorted(self.keys[:, 0]).tolist():
            if min(begin - begins[-1], len(self.pts) - begin) >= shortest:
                begins.append(begin)
        return [range(begin, end) for begin, end in pairwise([*begins, self.count])]

    def rank(self, pts: int | None) -> int | None:
        """Index of the packet with this ``pts`` in presentation order, from 0; None if there is none."""
        if pts is None:
            return None
        place = int(self.pts.searchsorted(pts))
        return place if place < len(self.pts) and self.pts[place] == pts else None

    def time_s(self, rank: int) -> float:
        """Seconds after the first frame; by the average rate if there is no time stamp."""
        if not self.is_ranked:
            return rank / self.fps
        known = min(rank, len(self.pts) - 1)
        ticks, unit = int(self.pts[known] - self.pts[0]), self.time_base
        return ticks * unit.numerator / unit.denominator + (rank - known) / self.fps


def ffmpeg_name(path: Path) -> str:
    """File name for FFmpeg, which would read ``duel:1.mp4`` as a URL with the protocol ``duel``."""
    return f"file:{path}"


@contextmanager
def opened(path: Path) -> Generator[tuple[InputContainer, VideoStream]]:
    """Open a video file and select its video stream.

    Raises:
        InputError: the file is missing, a folder or empty, or contains no video.
        OSError: the file cannot be read.
    """
    if path.is_symlink() and not path.exists():
        raise InputError(f"{path}: a link to {path.readlink()}, which does not exist; expected a video file")
    if not path.exists():
        raise InputError(f"{path}: not found; expected a video file")
    if not path.is_file():
        what = "a folder, not a file" if path.is_dir() else "not a file"
        raise InputError(f"{path}: {what}; expected a video file")
    if path.stat().st_size == 0:
        raise InputError(f"{path}: an empty file; record or copy the video again")
    with path.open("rb"):
        pass  # raises the reason why it cannot be read, which FFmpeg does not report
    try:
        # Only files: a playlist disguised as a video must not access the network.
        container = av.open(ffmpeg_name(path), options={"protocol_whitelist": "file"})
    except av.FFmpegError as error:
        raise InputError(
            f"{path}: no video can be read from it ({error.strerror}); either it is not a video file or "
            "the recording was cut off before it was finished"
        ) from error
    with container:
        stream = container.streams.best("video")
        if container.format.name.startswith(_NO_VIDEO) or container.format.name.endswith("_pipe"):
            raise InputError(f"{path}: an image or text, not a video")
        if not isinstance(stream, VideoStream) or stream.disposition & _STILL:
            raise InputError(f"{path}: contains no video stream, only audio or other data")
        if stream.codec_context is None:
            raise InputError(f"{path}: no decoder for its video is installed; convert it to H.264 first")
        yield container, stream


def demux(container: InputContainer, stream: VideoStream, losses: Losses) -> Iterator[Packet]:
    """Yield the packets of a stream; if reading fails, record the error and stop."""
    try:
        yield from (packet for packet in container.demux(stream) if packet.size)
    except av.FFmpegError as error:
        losses.add_error(str(error.strerror))


def packets_digest(path: Path) -> str:
    """Compute a digest of a video's packets, which is the same in every container it was remuxed to.

    Raises:
        InputError, OSError: see opened.
    """
    digest = hashlib.md5(usedforsecurity=False)
    with opened(path) as (container, stream):
        digest.update(stream.codec_context.name.encode())
        for packet in demux(container, stream, Losses()):
            digest.update(packet)
    return digest.hexdigest()


def read_timeline(path: Path) -> Timeline:
    """Read the time stamps of all packets of a video, keeping 16 bytes per packet.

    Raises:
        InputError: see opened.
    """
    shown, keys, packets, unshown, last_dts = array("q"), array("q"), 0, 0, 0
    with opened(path) as (container, stream):
        is_avi = container.format.name == "avi"
        for packet in demux(container, stream, Losses()):
            if packet.is_discard:  # decoded but never shown: removed by an edit list
                unshown += 1
                continue
            packets += 1
            last_dts = packet.dts or last_dts
            if packet.pts is None:
                continue
            shown.append(packet.pts)
            if packet.is_keyframe:
                keys.extend((packet.pts, packet.pts if packet.dts is None else packet.dts))
        pts, key_times = np.sort(np.array(shown, np.int64)), np.array(keys, np.int64).reshape(-1, 2)
        # Stamps that repeat or jump back, as in concatenated recordings, do not rank the frames.
        rises = all((np.diff(stamps) > 0).all() for stamps in (pts, key_times[:, 0]))
        # AVI stores the decode order, and FFmpeg reports it as the presentation order.
        is_stamped = not (is_avi and stream.codec_context.has_b_frames)
        is_ranked = rises and is_stamped and len(pts) == packets
        if is_avi:  # it declares one slot per tick, and a slot without a change is empty
            unshown += last_dts + 1 - packets
        return Timeline(
            packets=packets,
            declared=stream.frames - unshown,
            pts=pts if is_ranked else pts[:0],
            keys=key_times if is_ranked else key_times[:0],
            time_base=stream.time_base or Fraction(1, 1000),
            is_stamped=is_stamped,
            nominal_fps=float(stream.average_rate or stream.guessed_rate or 25),
        )
