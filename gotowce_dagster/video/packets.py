"""What a video file holds, read from its packets alone: nothing is decoded."""

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
"""Containers that FFmpeg opens as video though they hold a picture or a text; others end in _pipe."""

_STILL = Disposition.attached_pic | Disposition.still_image


@dataclass(frozen=True)
class LostSpan:
    """Neighbouring frames that could not be decoded."""

    first: int
    last: int
    time_s: float
    """When the first of them would be shown."""


@dataclass
class Losses:
    """What reading a video could not give. Filled while frames are read."""

    spans: list[LostSpan] = field(default_factory=list)
    damaged: int = 0
    """Frames that were given, but built from broken data."""
    errors: dict[str, int] = field(default_factory=dict)
    """What the decoder complained of, and how often."""

    @property
    def frames(self) -> int:
        """How many frames are missing."""
        return sum(span.last - span.first + 1 for span in self.spans)

    def complain(self, error: str, times: int = 1) -> None:
        """Record an error of the decoder."""
        self.errors[error] = self.errors.get(error, 0) + times

    def lose(self, first: int, last: int, time_s: float) -> None:
        """Record the frames ``first`` to ``last``, if there are any, the first shown at ``time_s``."""
        if first <= last:
            self.spans.append(LostSpan(first, last, time_s))


@dataclass(frozen=True)
class Timeline:
    """The time stamps of a video's packets: the number and time of every frame, before decoding."""

    packets: int
    """How many could be read."""
    declared: int
    """How many there should be by the file's own index; 0 where it has none."""
    pts: np.ndarray
    """int64, rising: when frames are shown, in units of time_base; empty where they rank nothing."""
    keys: np.ndarray
    """int64 (k, 2): pts and dts of the key frames, rising."""
    time_base: Fraction
    is_stamped: bool
    """Whether time stamps tell when frames are shown."""
    nominal_fps: float

    @property
    def count(self) -> int:
        """How many frames the file holds or, if it was cut off, should hold."""
        return max(self.packets, self.declared)

    @property
    def is_ranked(self) -> bool:
        return len(self.pts) > 0

    @property
    def is_cut_off(self) -> bool:
        """Whether frames are missing at the end, or before the first key frame."""
        return self.declared > self.packets or self.begins_inside

    @property
    def begins_inside(self) -> bool:
        """Whether frames come before the first key frame, as where a broadcast was cut: they show nothing."""
        return self.is_ranked and (not len(self.keys) or bool(self.keys[0, 0] > self.pts[0]))

    @cached_property
    def fps(self) -> float:
        """Frames a second, on average."""
        if len(self.pts) < 2:
            return self.nominal_fps
        return float((len(self.pts) - 1) / (int(self.pts[-1] - self.pts[0]) * self.time_base))

    @property
    def variable_rate(self) -> bool:
        """Whether steps differ by more than the rounding of time stamps explains."""
        steps = np.diff(self.pts)
        return len(steps) > 1 and bool(np.ptp(steps) > max(2, 0.1 * np.median(steps)))

    def spans(self, shortest: int) -> list[range]:
        """Cut the video at key frames into spans of at least so many frames; one span if that cannot be."""
        begins = [0]
        for begin in self.pts.searchsorted(self.keys[:, 0]).tolist():
            if min(begin - begins[-1], len(self.pts) - begin) >= shortest:
                begins.append(begin)
        return [range(begin, end) for begin, end in pairwise([*begins, self.count])]

    def rank(self, pts: int | None) -> int | None:
        """Which packet is shown at ``pts``, counted from 0 in order of showing; None if there is none."""
        if pts is None:
            return None
        place = int(self.pts.searchsorted(pts))
        return place if place < len(self.pts) and self.pts[place] == pts else None

    def time_s(self, rank: int) -> float:
        """Seconds after the first frame; where there is no time stamp, by the average rate."""
        if not self.is_ranked:
            return rank / self.fps
        known = min(rank, len(self.pts) - 1)
        ticks, unit = int(self.pts[known] - self.pts[0]), self.time_base
        return ticks * unit.numerator / unit.denominator + (rank - known) / self.fps


def ffmpeg_name(path: Path) -> str:
    """A file as FFmpeg must be given it: else ``duel:1.mp4`` would belong to a protocol ``duel``."""
    return f"file:{path}"


@contextmanager
def opened(path: Path) -> Generator[tuple[InputContainer, VideoStream]]:
    """Open a video file and choose its video stream.

    Raises:
        InputError: the file is missing, a folder, empty, or holds no video.
        OSError: it cannot be read.
    """
    if path.is_symlink() and not path.exists():
        raise InputError(f"{path}: a link to {path.readlink()}, which is not there; expected a video file")
    if not path.exists():
        raise InputError(f"{path}: not there; expected a video file")
    if not path.is_file():
        what = "a folder, not a file" if path.is_dir() else "not a file"
        raise InputError(f"{path}: {what}; expected a video file")
    if path.stat().st_size == 0:
        raise InputError(f"{path}: an empty file; record or copy the video again")
    with path.open("rb"):
        pass  # says why it cannot be read, where FFmpeg says something else
    try:
        # Only files: a playlist that poses as a video must not reach out to the network.
        container = av.open(ffmpeg_name(path), options={"protocol_whitelist": "file"})
    except av.FFmpegError as error:
        raise InputError(
            f"{path}: no video can be read from it ({error.strerror}); either it is not a video file or "
            "the recording was cut off before it was finished"
        ) from error
    with container:
        stream = container.streams.best("video")
        if container.format.name.startswith(_NO_VIDEO) or container.format.name.endswith("_pipe"):
            raise InputError(f"{path}: a picture or text, not a video")
        if not isinstance(stream, VideoStream) or stream.disposition & _STILL:
            raise InputError(f"{path}: holds no video stream, only sound or other data")
        if stream.codec_context is None:
            raise InputError(f"{path}: no decoder here for its video; convert it to H.264 first")
        yield container, stream


def demux(container: InputContainer, stream: VideoStream, losses: Losses) -> Iterator[Packet]:
    """The stream's packets; ends early, and says so, where the file cannot be read on."""
    try:
        yield from (packet for packet in container.demux(stream) if packet.size)
    except av.FFmpegError as error:
        losses.complain(str(error.strerror))


def packets_digest(path: Path) -> str:
    """A digest of a video's packets: the same in every container that a recording was copied to as it is.

    Raises:
        InputError, OSError: as opened.
    """
    digest = hashlib.md5(usedforsecurity=False)
    with opened(path) as (container, stream):
        digest.update(stream.codec_context.name.encode())
        for packet in demux(container, stream, Losses()):
            digest.update(packet)
    return digest.hexdigest()


def read_timeline(path: Path) -> Timeline:
    """Read all packets of a video, keeping 16 bytes of each.

    Raises:
        InputError: as opened.
    """
    shown, keys, packets, unshown, last_dts = array("q"), array("q"), 0, 0, 0
    with opened(path) as (container, stream):
        is_avi = container.format.name == "avi"
        for packet in demux(container, stream, Losses()):
            if packet.is_discard:  # decoded but never shown: an edit list cuts it away
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
        # Stamps that repeat or jump back, as in recordings joined end to end, rank nothing.
        rises = all((np.diff(stamps) > 0).all() for stamps in (pts, key_times[:, 0]))
        # AVI says in which order frames are decoded, and FFmpeg calls that the order of showing.
        is_stamped = not (is_avi and stream.codec_context.has_b_frames)
        is_ranked = rises and is_stamped and len(pts) == packets
        if is_avi:  # it declares places, one a tick, and where nothing changes a place is empty
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
