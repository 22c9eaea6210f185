"""Small videos whose frames can be recognised."""

from collections.abc import Iterable
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
from av.audio.stream import AudioStream

from gotowce_dagster.video.decode import read_frames

SAMPLES = Path(__file__).parents[2] / "data" / "samples"


SHORT_GOP = {"g": "10", "bf": "3"}


def shades(count: int) -> list[np.ndarray]:
    """Frames whose grey level encodes their index."""
    return [np.full((48, 64, 3), 20 + 4 * number, np.uint8) for number in range(count)]


def numbers_seen(path: Path, wanted: Iterable[int] | None = None) -> dict[int, int]:
    """Map each frame index to the index encoded in its grey level."""
    indices = None if wanted is None else list(wanted)
    return {f.index: round((float(f.rgb().mean()) - 20) / 4) for f in read_frames(path, indices)}


def write_sound(path: Path) -> None:
    with av.open(str(path), "w") as container:
        stream = container.add_stream("aac", rate=44_100, layout="mono")
        assert isinstance(stream, AudioStream)
        frame = av.AudioFrame.from_ndarray(np.zeros((1, 1024), np.float32), format="fltp", layout="mono")
        frame.sample_rate, frame.time_base = 44_100, Fraction(1, 44_100)
        container.mux(stream.encode(frame))
        container.mux(stream.encode())
