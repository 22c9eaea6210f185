"""Frame indices, times, colours and orientation of real encoded files, intact and broken."""

import struct
from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import av
import cv2
import numpy as np
import pytest
from av.video.stream import VideoStream
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from gotowce_dagster.core.errors import InputError
from gotowce_dagster.video import decode
from gotowce_dagster.video.decode import probe, read_frames
from gotowce_dagster.video.encode import write_video
from gotowce_dagster.video.packets import Losses, read_timeline
from tests.video.films import SAMPLES, SHORT_GOP, numbers_seen, shades, write_sound


@pytest.mark.parametrize(
    ("file", "codec", "options", "ranked"),
    [
        pytest.param("a.mp4", "libx264", SHORT_GOP, True, id="reordered frames"),
        pytest.param("a.mkv", "libx264", SHORT_GOP, True, id="stamps rounded to milliseconds"),
        pytest.param("a.ts", "libx264", SHORT_GOP, True, id="stamps that do not start at 0"),
        pytest.param("a.h264", "libx264", SHORT_GOP, False, id="no stamps"),
        pytest.param("a.mp4", "libx265", {"x265-params": "log-level=none"}, True, id="HEVC"),
        pytest.param("a.mp4", "libsvtav1", {}, True, id="AV1"),
        pytest.param("a.webm", "libvpx-vp9", {}, True, id="VP9"),
        pytest.param("a.webm", "libvpx", {"b": "2M", "crf": "4"}, True, id="VP8"),
        pytest.param("a.mov", "mjpeg", {}, True, id="only key frames"),
    ],
)
def test_every_frame_has_its_index_and_time(
    tmp_path: Path, file: str, codec: str, options: dict[str, str], ranked: bool
) -> None:
    path = tmp_path / file
    pixels = "yuvj420p" if codec == "mjpeg" else "yuv420p"
    write_video(path, shades(45), fps=25, codec=codec, options=options, pixel_format=pixels)
    frames = list(read_frames(path))
    assert read_timeline(path).is_ranked == ranked
    assert [f.time_s for f in frames] == pytest.approx([i / 25 for i in range(45)], abs=1e-3)
    assert numbers_seen(path) == {i: i for i in range(45)}
    assert numbers_seen(path, [44, 3, 29, 30, 31, 400]) == {i: i for i in (3, 29, 30, 31, 44)}


@pytest.mark.parametrize("suffix", [".mp4", ".mkv"])
def test_variable_frame_rate_keeps_each_frames_time(tmp_path: Path, suffix: str) -> None:
    times = [0.0, 0.05, 0.1, 0.5, 0.52, 1.7, 1.75, 2.4]
    path = tmp_path / f"variable{suffix}"
    write_video(path, shades(len(times)), times_s=times, options=SHORT_GOP)
    assert [f.time_s for f in read_frames(path)] == pytest.approx(times, abs=1e-3)
    assert probe(path).variable_rate


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(wanted=st.sets(st.integers(0, 49), max_size=8))
def test_seeking_equals_sequential_reading(tmp_path_factory: pytest.TempPathFactory, wanted: set[int]):
    path = tmp_path_factory.getbasetemp() / "seek.mp4"
    if not path.exists():
        write_video(path, shades(50), options=SHORT_GOP)
    assert numbers_seen(path, wanted) == {i: i for i in sorted(wanted)}


def test_wanted_frame_beyond_the_end_is_recorded_as_lost(tmp_path: Path) -> None:
    write_video(tmp_path / "a.mp4", shades(10))
    losses = Losses()
    assert [f.index for f in read_frames(tmp_path / "a.mp4", [4, 12], losses)] == [4]
    assert [(span.first, span.last) for span in losses.spans] == [(12, 12)]


def test_concatenated_recordings_have_ascending_indices_and_times(tmp_path: Path) -> None:
    write_video(tmp_path / "a.ts", shades(30), options=SHORT_GOP)
    joined = tmp_path / "joined.ts"
    joined.write_bytes((tmp_path / "a.ts").read_bytes() * 2)
    frames = list(read_frames(joined))
    assert [f.index for f in frames] == list(range(60))
    assert (np.diff([f.time_s for f in frames]) > 0).all()


def test_packets_without_a_frame_take_no_index(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "a.mp4"
    write_video(path, shades(20), options=SHORT_GOP)
    timeline = read_timeline(path)
    between = (timeline.pts[7] + timeline.pts[8]) // 2
    more = replace(timeline, pts=np.insert(timeline.pts, 8, between), packets=21)
    monkeypatch.setattr(decode, "read_timeline", lambda _: more)
    losses = Losses()
    frames = list(read_frames(path, losses=losses))
    assert [f.index for f in frames] == list(range(20))
    assert [f.time_s for f in frames] == pytest.approx([i / 20 for i in range(20)])
    assert losses == Losses()


def _arrow() -> np.ndarray:
    """An image that differs in all eight orientations."""
    picture = np.full((48, 96, 3), 40, np.uint8)
    picture[4:20, 4:60] = 220
    picture[4:44, 4:16] = 220
    return picture


@pytest.mark.parametrize(
    ("degrees", "hflip", "vflip"),
    [
        (0, False, False),
        (90, False, False),
        (180, False, False),
        (-90, False, False),
        (0, True, False),
        (90, False, True),
    ],
)
def test_display_matrix_is_applied(tmp_path: Path, degrees: int, hflip: bool, vflip: bool) -> None:
    path = tmp_path / "turned.mp4"
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=20, options={"crf": "5"})
        assert isinstance(stream, VideoStream)
        stream.width, stream.height, stream.pix_fmt = 96, 48, "yuv420p"
        stream.set_display_rotation(degrees, hflip=hflip, vflip=vflip)
        container.mux(stream.encode(av.VideoFrame.from_ndarray(_arrow(), format="rgb24")))
        container.mux(stream.encode())
    expected = np.rot90(_arrow(), degrees // 90)  # both count counter-clockwise
    if hflip:
        expected = expected[:, ::-1]
    if vflip:
        expected = expected[::-1]
    frame = next(read_frames(path))
    assert frame.rgb().shape == expected.shape
    assert np.abs(frame.rgb().astype(int) - expected).mean() < 4
    assert np.abs(frame.luma().astype(int) - cv2.cvtColor(frame.rgb(), cv2.COLOR_RGB2GRAY)).mean() < 20
    assert (probe(path).width, probe(path).height) == expected.shape[1::-1]


PATCHES = np.array(
    [[210, 40, 40], [60, 220, 70], [205, 60, 190], [235, 200, 60], [120, 70, 100], [20, 20, 200]]
)


@pytest.mark.parametrize("matrix", [5, 1], ids=["BT.601", "BT.709"])
@pytest.mark.parametrize("full", [False, True], ids=["limited", "full range"])
def test_colours_round_trip(tmp_path: Path, matrix: int, full: bool) -> None:
    """The designator is found by its colour: a wrong matrix or range shifts it by 10 levels and more."""
    picture = np.repeat(np.repeat(PATCHES[None], 32, axis=0), 32, axis=1).astype(np.uint8)
    path = tmp_path / "colours.mp4"
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=20, options={"crf": "1"})
        assert isinstance(stream, VideoStream)
        stream.height, stream.width = picture.shape[:2]
        stream.pix_fmt = "yuv420p"
        stream.codec_context.colorspace, stream.codec_context.color_range = matrix, 2 if full else 1
        frame = av.VideoFrame.from_ndarray(picture, format="rgb24").reformat(
            format="yuv420p", dst_colorspace=matrix, dst_color_range=2 if full else 1
        )
        container.mux(stream.encode(frame))
        container.mux(stream.encode())
    decoded = next(read_frames(path))
    middles = decoded.rgb()[16, 16::32].astype(int)
    assert np.abs(middles - PATCHES).max() <= 4
    assert (decoded.bgr()[..., ::-1] == decoded.rgb()).all()


def test_unspecified_colours_are_read_like_opencv() -> None:
    path = SAMPLES / "oolite_red_sample.mp4"
    capture = cv2.VideoCapture(str(path))
    for _, frame in zip(range(3), read_frames(path), strict=False):
        assert (capture.read()[1] == frame.bgr()).all()


def test_luma_is_a_view_of_the_decoded_frame(tmp_path: Path) -> None:
    write_video(tmp_path / "a.mp4", shades(3))
    write_video(tmp_path / "deep.mp4", shades(3), pixel_format="yuv420p10le")
    plain, deep = (next(read_frames(tmp_path / name)) for name in ("a.mp4", "deep.mp4"))
    assert not plain.luma().flags.owndata
    assert plain.luma().shape == (48, 64)
    assert np.abs(plain.luma().astype(int) - deep.luma()).max() <= 2


@pytest.mark.parametrize("name", ["duel:1.mp4", "http:x.mp4", "file:a.mp4", "[b] %03d.mp4", "pipe:0", "-"])
def test_any_file_name_is_supported(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    monkeypatch.chdir(tmp_path)
    write_video(Path(name), shades(5), container_format="mp4")
    assert [file.name for file in tmp_path.iterdir()] == [name]
    decode.check(Path(name))
    assert probe(Path(name)).frames == 5
    assert numbers_seen(Path(name)) == {number: number for number in range(5)}


def _write_undecodable(path: Path) -> None:
    """An intact container whose packets are all noise."""
    write_video(path, shades(5))
    data = bytearray(path.read_bytes())
    start = data.index(b"mdat") + 4
    (size,) = struct.unpack(">I", data[start - 8 : start - 4])
    data[start : start + size - 8] = bytes(size - 8)
    path.write_bytes(data)


@pytest.mark.parametrize(
    ("name", "make", "message"),
    [
        ("missing.mp4", lambda path: None, "not found"),
        ("folder.mp4", Path.mkdir, "not a file"),
        ("empty.mp4", Path.touch, "empty file"),
        ("text.mp4", lambda path: path.write_text("not a video\n" * 50), "no video can be read"),
        ("headless.mp4", lambda path: path.write_bytes(bytes(9000)), "no video can be read"),
        ("sound.mp4", write_sound, "no video stream"),
        ("picture.png", lambda path: cv2.imwrite(str(path), _arrow()), "an image or text"),
        (
            "notes.txt",
            lambda path: path.write_text("a line\n" * 50),
            "an image or text|no video can be read",
        ),
        (
            "playlist.m3u8",
            lambda path: path.write_text("#EXTM3U\n#EXTINF:9,\nhttp://127.0.0.1:9/a.ts\n"),
            "no video",
        ),
        ("zeroed.mp4", _write_undecodable, "not one frame"),
    ],
)
def test_other_files_are_refused_in_one_sentence(tmp_path: Path, name: str, make, message: str) -> None:
    path = tmp_path / name
    make(path)
    for look in (probe, decode.check):
        with pytest.raises(InputError, match=message) as caught:
            look(path)
        assert name in str(caught.value)
        assert "\n" not in str(caught.value)


def test_probe_of_a_sample() -> None:
    info = probe(SAMPLES / "oolite_red_sample.mp4")
    assert (info.width, info.height, info.frames, info.codec) == (1280, 720, 584, "h264")
    assert (info.fps, info.duration_s, info.variable_rate) == (20.0, 29.2, False)


@pytest.mark.parametrize(
    ("shortest", "spans"),
    [
        pytest.param(1, [(0, 10), (10, 20), (20, 30), (30, 40), (40, 45)], id="each key frame"),
        pytest.param(10, [(0, 10), (10, 20), (20, 30), (30, 45)], id="short last span is merged"),
        pytest.param(12, [(0, 20), (20, 45)], id="several key frames per span"),
        pytest.param(30, [(0, 45)], id="too short to split"),
    ],
)
def test_spans_start_at_key_frames(tmp_path: Path, shortest: int, spans: list[tuple[int, int]]) -> None:
    write_video(tmp_path / "a.mp4", shades(45), options=SHORT_GOP | {"sc_threshold": "0"})
    timeline = read_timeline(tmp_path / "a.mp4")
    assert [(span.start, span.stop) for span in timeline.spans(shortest)] == spans


@pytest.mark.parametrize(
    ("codec", "options", "empty", "ranked"),
    [
        pytest.param("libx264", {"g": "10", "bf": "2"}, (), False, id="H.264 with B-frames"),
        pytest.param("mpeg4", {"bf": "2", "b": "8M"}, (), False, id="MPEG-4 with B-frames"),
        pytest.param("libx264", {"bf": "0"}, (), True, id="no B-frames"),
        pytest.param("libx264", {"bf": "0"}, (5, 6, 7, 20), True, id="slots without a change"),
    ],
)
def test_avi_has_no_presentation_order(
    tmp_path: Path, codec: str, options: dict[str, str], empty: tuple[int, ...], ranked: bool
) -> None:
    path, rate = tmp_path / "a.avi", 25
    places = [place for place in range(45 + len(empty)) if place not in empty]
    with av.open(str(path), "w") as container:
        stream = container.add_stream(codec, rate=rate, options=options)
        assert isinstance(stream, VideoStream)
        stream.height, stream.width, stream.pix_fmt = 48, 64, "yuv420p"
        stream.codec_context.time_base = Fraction(1, rate)
        for place, image in zip(places, shades(45), strict=True):
            frame = av.VideoFrame.from_ndarray(image, format="rgb24")
            frame.pts, frame.time_base = place, Fraction(1, rate)
            container.mux(stream.encode(frame))
        container.mux(stream.encode())
    losses = Losses()
    frames = list(read_frames(path, losses=losses))
    assert read_timeline(path).is_ranked == ranked
    if not empty:  # FFmpeg assigns the stamp of the following empty slots to the frame before them
        assert [f.time_s for f in frames] == pytest.approx([place / rate for place in places])
    assert numbers_seen(path) == {number: number for number in range(45)}
    assert losses == Losses()


def test_truncation_is_detected_before_decoding(tmp_path: Path) -> None:
    write_video(tmp_path / "a.mp4", shades(45), options=SHORT_GOP, container_format="mp4")
    whole = (tmp_path / "a.mp4").read_bytes()
    (tmp_path / "cut.mp4").write_bytes(whole[: len(whole) * 95 // 100])
    assert not read_timeline(tmp_path / "a.mp4").is_cut_off
    assert read_timeline(tmp_path / "cut.mp4").is_cut_off
