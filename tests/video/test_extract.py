"""Extraction keeps order and bounds, whatever the timing of its threads."""

import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import av
import cv2
import numpy as np
import pytest
from av.video.reformatter import ColorRange

from gotowce_dagster.params import read_params
from gotowce_dagster.video.decode import Frame, Orientation, read_frames
from gotowce_dagster.video.encode import write_video
from gotowce_dagster.video.extract import extract, map_beside, write_jpeg

ROOT = Path(__file__).parents[2]
SAMPLES = ROOT / "data" / "samples"


def test_map_beside_keeps_order_and_stays_few_items_ahead() -> None:
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
    results = map_beside(slow_first, items(), workers=2)
    assert next(results) == 0
    assert len(taken) <= 6
    assert list(results) == [2 * item for item in range(1, 50)]


def test_map_beside_raises_what_the_work_raises() -> None:
    def fail_at_3(item: int) -> int:
        time.sleep(0.001)
        return 1 // (3 - item)

    with pytest.raises(ZeroDivisionError):
        list(map_beside(fail_at_3, range(10), workers=3))


def _plain_jpeg(frame: Frame) -> np.ndarray:
    """By way of BGR and OpenCV, read again: int (H, W, 3) RGB."""
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
def test_a_jpeg_is_as_the_plain_path_writes_it(tmp_path: Path, clip: str) -> None:
    """FFmpeg's quick conversion to BGR, on the plain path, is up to 2 levels too dark."""
    frame = next(read_frames(SAMPLES / clip, [100]))
    ours, plain, truth = _our_jpeg(frame, tmp_path / "a.jpg"), _plain_jpeg(frame), frame.rgb().astype(int)
    assert np.abs(ours - plain).mean() < 1
    assert np.abs(ours - truth).mean() < 1
    red = (truth[..., 0] > 60) & (truth[..., 1:] < 20).all(axis=2)
    assert red.sum() > 40
    assert ours[red][:, 0].mean() >= plain[red][:, 0].mean() - 0.5, "thin red lines are no duller"


MARKS = {"red": (200, 30, 30), "magenta": (220, 40, 210), "green": (40, 200, 60), "white": (235, 235, 235)}


def _marked(size: tuple[int, int]) -> np.ndarray:
    """Thin marks of every colour before a soft sky: uint8 (H, W, 3) RGB."""
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
        pytest.param((192, 96), {}, True, id="as recorders write it"),
        pytest.param((200, 90), {}, True, id="lines padded"),
        pytest.param((192, 96), {"format": "yuvj420p", "range": ColorRange.JPEG}, True, id="full range"),
        pytest.param((192, 96), {"matrix": 6}, True, id="BT.601 stated"),
        pytest.param((192, 96), {"matrix": 1}, False, id="BT.709 stated"),
        pytest.param((192, 96), {"format": "yuv444p"}, False, id="colour in full"),
        pytest.param((192, 96), {"format": "yuv420p10le"}, False, id="10 bit"),
        pytest.param((192, 96), {"format": "gray"}, False, id="grey"),
        pytest.param((193, 97), {}, True, id="odd size"),
        pytest.param((192, 96), {"orientation": Orientation(True, (1,))}, False, id="on its side"),
    ],
)
def test_every_kind_of_picture_looks_as_on_the_plain_path(
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


def test_rows_are_in_order_and_complete(tmp_path: Path) -> None:
    params = read_params(ROOT / "params.yaml").extracted_frames.model_copy(update={"fps": 0})
    rng = np.random.default_rng(0)
    images = [
        np.kron(rng.integers(0, 255, (6, 8, 3)), np.ones((16, 16, 1))).astype(np.uint8) for _ in range(30)
    ]
    write_video(tmp_path / "a.mp4", images)
    rows = extract(read_frames(tmp_path / "a.mp4"), tmp_path, params)
    assert rows["frame_index"].tolist() == list(range(30))
    assert all((tmp_path / file).exists() for file in rows["file"])


def test_no_frames_give_an_empty_index(tmp_path: Path) -> None:
    params = read_params(ROOT / "params.yaml").extracted_frames
    assert extract([], tmp_path, params).empty
