"""Damaged videos are read as far as they go, and their losses recorded."""

from pathlib import Path

import av
import numpy as np
import pytest

from gotowce_dagster.video.decode import probe, read_frames
from gotowce_dagster.video.encode import write_video
from gotowce_dagster.video.packets import Losses, read_timeline
from tests.video.films import SAMPLES, shades

KEY_EVERY = 60  # frames, in the sample


@pytest.fixture(scope="module")
def clip() -> tuple[bytes, dict[int, slice]]:
    """The bytes of a real clip, and the position of each frame's packet in them."""
    path = SAMPLES / "naev_hostile_sample.mp4"
    timeline = read_timeline(path)
    with av.open(str(path)) as container:
        packets = [packet for packet in container.demux(video=0) if packet.size]
    places = {timeline.rank(p.pts) or 0: slice(p.pos or 0, (p.pos or 0) + p.size) for p in packets}
    return path.read_bytes(), places


@pytest.mark.slow
@pytest.mark.parametrize("noise", [False, True], ids=["zeros", "noise"])
def test_corrupt_packets_are_recorded_and_the_rest_is_exact(
    tmp_path: Path, clip: tuple[bytes, dict[int, slice]], noise: bool
) -> None:
    broken, places = bytearray(clip[0]), clip[1]
    rng = np.random.default_rng(1)
    for number in range(190, 200):
        size = places[number].stop - places[number].start
        broken[places[number]] = rng.bytes(size) if noise else bytes(size)
    path = tmp_path / "broken.mp4"
    path.write_bytes(broken)
    losses = Losses()
    sound = {f.index: f.luma().copy() for f in read_frames(path, losses=losses) if not f.damaged}
    assert set(range(188)) <= set(sound)
    assert not set(range(190, 200)) & set(sound)
    assert set(range(240, 540)) <= set(sound)
    original = {f.index: f.luma() for f in read_frames(SAMPLES / "naev_hostile_sample.mp4", [187, 240, 539])}
    assert all((sound[index] == original[index]).all() for index in original)
    assert losses.errors
    assert 10 <= losses.frames + losses.damaged <= KEY_EVERY
    assert all(190 / 20 <= span.time_s < 240 / 20 for span in losses.spans)


@pytest.mark.slow
def test_wanted_frames_of_a_broken_clip_equal_sequential_reading(
    tmp_path: Path, clip: tuple[bytes, dict[int, slice]]
) -> None:
    broken, places = bytearray(clip[0]), clip[1]
    broken[places[192]] = bytes(places[192].stop - places[192].start)
    path = tmp_path / "broken.mp4"
    path.write_bytes(broken)
    wanted, losses = {5, 130, 192, 230, 300}, Losses()
    through = {f.index: f.damaged for f in read_frames(path) if f.index in wanted}
    assert {f.index: f.damaged for f in read_frames(path, wanted, losses)} == through
    assert through == {5: False, 130: False, 230: True, 300: False}
    assert [(span.first, span.last) for span in losses.spans] == [(192, 192)]


@pytest.mark.parametrize("share", [0.4, 0.75])
def test_truncated_clip_keeps_its_beginning(
    tmp_path: Path, clip: tuple[bytes, dict[int, slice]], share: float
) -> None:
    end = int(len(clip[0]) * share)
    whole = sum(place.stop <= end for place in clip[1].values())
    path = tmp_path / "cut.mp4"
    path.write_bytes(clip[0][:end])
    losses = Losses()
    indices = [f.index for f in read_frames(path, losses=losses)]
    assert indices == list(range(len(indices)))
    assert whole - 8 <= len(indices) <= whole
    assert [(span.first, span.last) for span in losses.spans] == [(len(indices), 539)]
    assert probe(path).frames == 540


@pytest.mark.parametrize(
    ("codec", "options", "first_packet"),
    [
        pytest.param("libx264", {"g": "10", "bf": "3"}, 3, id="H.264, closed groups"),
        pytest.param("libx264", {"g": "10", "bf": "3", "x264-params": "open-gop=1"}, 9, id="open groups"),
        pytest.param("libx264", {"g": "20", "bf": "0"}, 5, id="no B-frames"),
        pytest.param("libx265", {"x265-params": "log-level=none:keyint=10"}, 3, id="HEVC"),
    ],
)
def test_broadcast_that_starts_between_key_frames_records_lost_frames(
    tmp_path: Path, codec: str, options: dict[str, str], first_packet: int
) -> None:
    write_video(tmp_path / "a.ts", shades(45), fps=25, codec=codec, options=options)
    with av.open(str(tmp_path / "a.ts")) as container:
        packets = [packet for packet in container.demux(video=0) if packet.size]
    whole, tables = (tmp_path / "a.ts").read_bytes(), 3 * 188
    path = tmp_path / "cut.ts"
    path.write_bytes(whole[:tables] + whole[(packets[first_packet].pos or 0) // 188 * 188 :])
    losses = Losses()
    frames = list(read_frames(path, losses=losses))
    (lost,) = losses.spans
    assert (lost.first, lost.last + 1, lost.time_s) == (0, frames[0].index, 0.0)
    assert losses.frames + len(frames) == probe(path).frames
    assert [f.index for f in frames] == list(range(lost.last + 1, probe(path).frames))
    assert losses.frames >= 1
    wanted = Losses()
    last = frames[-1].index
    assert [f.index for f in read_frames(path, [0, last], wanted)] == [last]
    assert [(span.first, span.last) for span in wanted.spans] == [(0, 0)]
