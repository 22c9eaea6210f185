"""Encoding images as a video."""

from collections.abc import Iterable
from fractions import Fraction
from itertools import chain, count
from pathlib import Path

import av
import numpy as np
from av.video.stream import VideoStream

from gotowce_dagster.video.packets import ffmpeg_name


def write_video(
    path: Path,
    images: Iterable[np.ndarray],
    *,
    fps: float = 20,
    times_s: Iterable[float] | None = None,
    codec: str = "libx264",
    pixel_format: str = "yuv420p",
    options: dict[str, str] | None = None,
    rotation: int = 0,
    container_format: str | None = None,
) -> None:
    """Encode images of one size; the file's suffix selects the container by default.

    Args:
        images: RGB uint8 (H, W, 3), at least one.
        times_s: presentation time of each image in seconds; by default ``fps`` images a second.
        options: options of the encoder.
        rotation: degrees counter-clockwise by which a player rotates the frames.
        container_format: FFmpeg's name of the container; mp4 files can start playing before they are loaded.

    Raises:
        ValueError: there are no images.
    """
    upcoming = iter(images)
    first = next(upcoming, None)
    if first is None:
        raise ValueError(f"{path}: there is no image to write")
    times = (index / fps for index in count()) if times_s is None else times_s
    time_base = Fraction(1, 60_000)
    quick_start = {"movflags": "faststart"} if container_format == "mp4" else {}
    with av.open(ffmpeg_name(path), "w", format=container_format, options=quick_start) as container:
        stream = container.add_stream(
            codec, rate=Fraction(fps).limit_denominator(1001), options=options or {}
        )
        assert isinstance(stream, VideoStream)
        stream.height, stream.width = first.shape[:2]
        stream.pix_fmt = pixel_format
        stream.codec_context.time_base = time_base
        if rotation:
            stream.set_display_rotation(rotation)
        for image, time_s in zip(chain([first], upcoming), times, strict=False):
            frame = av.VideoFrame.from_ndarray(image, format="rgb24")
            frame.pts, frame.time_base = round(time_s / time_base), time_base
            container.mux(stream.encode(frame))
        container.mux(stream.encode())
