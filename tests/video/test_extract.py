"""Extraction keeps order and memory bounds, whatever the timing of its threads."""

import threading
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import av
import cv2
import numpy as np
import pandas as pd
import pytest
from av.video.reformatter import ColorRange

from gotowce_dagster.config.params import read_params
from gotowce_dagster.video import extract as extract_module
from gotowce_dagster.video.decode import Frame, Orientation, read_frames
from gotowce_dagster.video.encode import write_video
from gotowce_dagster.video.extract import extract, index_frames, map_in_threads, write_jpeg
from tests.support.synthetic import Scene, Target

ROOT = Path(__file__).parents[2]
SAMPLES = ROOT / "data" / "samples"


def test_map_in_threads_keeps_order_and_stays_few_items_ahead() -> None:
    taken: list[int] = []
    release = threading.Event()

    def items() -> Iterator[int]:
        for item in range(50):
            taken.append(item)
            yield item

    def slow_first(item: int) -> int:
        if item == 0:
            release.wait(10)
        return item * 2

    threading.Timer(0.2, release.set).start()
    results = map_in_threads(slow_first, items(), workers=2)
    assert next(results) == 0
    assert len(taken) <= 6
    assert list(results) == [2 * item for item in range(1, 50)]


def test_map_in_threads_raises_the_error_of_the_function() -> None:
    def fail_at_3(item: int) -> int:
        time.sleep(0.001)
        return 1 // (3 - item)

    with pytest.raises(ZeroDivisionError):
        list(map_in_threads(fail_at_3, range(10), workers=3))


def _plain_jpeg(frame: Frame) -> np.ndarray:
    """Write through BGR and OpenCV and read back: int (H, W, 3) RGB."""
    _, data = cv2.imencode(".jpg", frame.bgr(), [cv2.IMWRITE_JPEG_QUALITY, 95])
    picture = cv2.imdecode(data, cv2.IMREAD_COLOR_RGB)
    assert picture is not None
    return picture.astype(int)


def _our_jpeg(frame: Frame, path: Path) -> np.ndarray:
    write_jpeg(frame, path, 95)
    picture = cv2.imread(str(path), cv2.IMREAD_COLOR_RGB)
    assert picture is not None
    return picture.astype(int)


@pytest.mark.parametrize("clip", ["naev_hostile_sample.mp4", "oolite_red_sample.mp4"])
def test_jpeg_equals_the_one_written_through_bgr(tmp_path: Path, clip: str) -> None:
    """FFmpeg's fast conversion to BGR is up to 2 levels too dark."""
    frame = next(read_frames(SAMPLES / clip, [100]))
    ours, plain, truth = _our_jpeg(frame, tmp_path / "a.jpg"), _plain_jpeg(frame), frame.rgb().astype(int)
    assert np.abs(ours - plain).mean() < 1
    assert np.abs(ours - truth).mean() < 1
    red = (truth[..., 0] > 60) & (truth[..., 1:] < 20).all(axis=2)
    assert red.sum() > 40
    assert ours[red][:, 0].mean() >= plain[red][:, 0].mean() - 0.5, "thin red lines are no duller"


MARKS = {"red": (200, 30, 30), "magenta": (220, 40, 210), "green": (40, 200, 60), "white": (235, 235, 235)}


def _marked(size: tuple[int, int]) -> np.ndarray:
    """Thin marks of every colour on a smooth sky: uint8 (H, W, 3) RGB."""
    width, height = size
    image = np.zeros((height, width, 3), np.uint8)
    image[..., 2] = np.linspace(0, 90, width).astype(np.uint8)
    for step, colour in enumerate(MARKS.values()):
        x, y = 8 + 40 * step, 20
        cv2.rectangle(image, (x, y), (x + 26, y + 30), colour, 2)
    return image


@pytest.mark.parametrize(
    ("size", "stated", "direct"),
    [
        pytest.param((192, 96), {}, True, id="typical recording"),
        pytest.param((200, 90), {}, True, id="padded lines"),
        pytest.param((192, 96), {"format": "yuvj420p", "range": ColorRange.JPEG}, True, id="full range"),
        pytest.param((192, 96), {"matrix": 6}, True, id="BT.601 declared"),
        pytest.param((192, 96), {"matrix": 1}, False, id="BT.709 declared"),
        pytest.param((192, 96), {"format": "yuv444p"}, False, id="full chroma"),
        pytest.param((192, 96), {"format": "yuv420p10le"}, False, id="10 bit"),
        pytest.param((192, 96), {"format": "gray"}, False, id="grey"),
        pytest.param((193, 97), {}, True, id="odd size"),
        pytest.param((192, 96), {"orientation": Orientation(True, (1,))}, False, id="rotated"),
    ],
)
def test_every_pixel_format_equals_the_bgr_path(
    tmp_path: Path, size: tuple[int, int], stated: dict[str, Any], direct: bool
) -> None:
    image = _marked(size)
    coded = av.VideoFrame.from_ndarray(image, format="rgb24").reformat(format=stated.get("format", "yuv420p"))
    if "range" in stated:
        coded.color_range = stated["range"]
    if "matrix" in stated:
        coded.colorspace = stated["matrix"]
    frame = Frame(0, 0.0, False, coded, stated.get("orientation", Orientation()))
    assert (frame.jpeg_planes() is not None) == direct
    ours, plain = _our_jpeg(frame, tmp_path / "a.jpg"), _plain_jpeg(frame)
    assert ours.shape == plain.shape
    assert np.abs(ours - plain).mean() < 2
    for colour in MARKS.values() if direct else ():
        mark = (image == colour).all(axis=2)
        error, plain_error = (np.abs(found[mark] - colour).mean() for found in (ours, plain))
        assert error < plain_error + 1, "thin marks keep their colour as well"


PARAMS = read_params(ROOT / "params.yaml").extracted_frames


def _noise(count: int) -> list[np.ndarray]:
    rng = np.random.default_rng(0)
    return [
        np.kron(rng.integers(0, 255, (6, 8, 3)), np.ones((16, 16, 1))).astype(np.uint8) for _ in range(count)
    ]


def _both_ways(path: Path, monkeypatch: pytest.MonkeyPatch, **changes: float) -> list[pd.DataFrame]:
    """The index read in spans of a dozen frames, and read sequentially."""
    params = PARAMS.model_copy(update=changes)
    monkeypatch.setattr(extract_module, "_SPAN_FRAMES", 12)
    with monkeypatch.context() as patch:
        patch.setattr(extract_module, "_read_through", None)
        in_lanes = index_frames(path, params)
    monkeypatch.setattr(extract_module, "_SPAN_FRAMES", 10**6)
    return [in_lanes, index_frames(path, params)]


@pytest.mark.slow
@pytest.mark.parametrize("fps", [0, 2, 7, 24])
@pytest.mark.parametrize("clip", ["naev_hostile_sample.mp4", "oolite_red_sample.mp4"])
def test_parallel_spans_equal_sequential_reading(
    monkeypatch: pytest.MonkeyPatch, clip: str, fps: float
) -> None:
    in_lanes, through = _both_ways(SAMPLES / clip, monkeypatch, fps=fps)
    pd.testing.assert_frame_equal(in_lanes, through)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("file", "codec", "options"),
    [
        pytest.param("a.mp4", "libx264", {"g": "10", "bf": "3"}, id="reordered frames"),
        pytest.param("a.mkv", "libx264", {"g": "10", "bf": "3"}, id="stamps rounded to milliseconds"),
        pytest.param("a.mkv", "libx265", {"x265-params": "keyint=10:log-level=none"}, id="HEVC"),
        pytest.param("a.webm", "libvpx-vp9", {"g": "10", "deadline": "realtime", "cpu-used": "8"}, id="VP9"),
        pytest.param("a.mov", "mjpeg", {}, id="only key frames"),
    ],
)
@pytest.mark.parametrize("change", [0, 10, 16, 23, 30])
def test_cuts_and_stalls_are_detected_across_spans(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    file: str,
    codec: str,
    options: dict[str, str],
    change: int,
) -> None:
    """After some moving frames the image is still until the end."""
    moving = Scene((Target(start=(200, 150), velocity=(3, 2)),), frames=60, size=(640, 360), seed=3)
    scene = replace(moving, cuts=(change,) if change else (), stalls=(range(change, 60),))
    pixels = "yuvj420p" if codec == "mjpeg" else "yuv420p"
    images = [scene.picture(index) for index in range(60)]
    write_video(tmp_path / file, images, fps=25, codec=codec, options=options, pixel_format=pixels)
    in_lanes, through = _both_ways(tmp_path / file, monkeypatch, fps=0, duplicate_change=40)
    pd.testing.assert_frame_equal(in_lanes, through)
    assert (in_lanes["reason"].iloc[change + 12 :] == "stall").all()
    assert in_lanes["shot"].nunique() == (2 if change else 1)


@pytest.mark.parametrize(
    ("file", "codec", "options"),
    [
        pytest.param("a.webm", "libvpx", {"g": "10", "b": "2M", "crf": "4"}, id="VP8: hidden frames"),
        pytest.param("a.h264", "libx264", {"g": "10", "bf": "3"}, id="no stamps"),
        pytest.param("a.mp4", "libx264", {"g": "1000", "bf": "3"}, id="one key frame"),
    ],
)
def test_unseekable_videos_are_read_sequentially(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, file: str, codec: str, options: dict[str, str]
) -> None:
    write_video(tmp_path / file, _noise(45), fps=25, codec=codec, options=options)
    monkeypatch.setattr(extract_module, "_SPAN_FRAMES", 12)
    index = index_frames(tmp_path / file, PARAMS.model_copy(update={"fps": 0}))
    assert index["frame_index"].tolist() == list(range(45))


def test_progress_reaches_the_end(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_video(tmp_path / "a.mp4", _noise(45), fps=25, options={"g": "10"})
    for shortest in (12, 1000):
        monkeypatch.setattr(extract_module, "_SPAN_FRAMES", shortest)
        steps = list[tuple[int, int]]()
        index_frames(tmp_path / "a.mp4", PARAMS, lambda *step, steps=steps: steps.append(step))
        assert steps == sorted(steps)
        assert (steps[0], steps[-1]) == ((0, 45), (45, 45))


def test_rows_are_in_order_and_complete(tmp_path: Path) -> None:
    params = PARAMS.model_copy(update={"fps": 0})
    write_video(tmp_path / "a.mp4", _noise(30))
    rows = extract(tmp_path / "a.mp4", tmp_path, params)
    assert rows["frame_index"].tolist() == list(range(30))
    assert all((tmp_path / file).exists() for file in rows["file"])
