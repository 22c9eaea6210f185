"""Extraction keeps order and bounds, whatever the timing of its threads."""

import threading
import time
from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np
import pytest

from gotowce_dagster.params import read_params
from gotowce_dagster.video.decode import read_frames
from gotowce_dagster.video.extract import extract, map_beside, write_jpeg
from gotowce_dagster.video.synthetic import write_video

ROOT = Path(__file__).parents[2]
SAMPLE = ROOT / "data" / "samples" / "naev_hostile_sample.mp4"


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


def test_a_jpeg_is_what_the_plain_path_writes(tmp_path: Path) -> None:
    frame = next(read_frames(SAMPLE, [100]))
    write_jpeg(frame, tmp_path / "ours.jpg", 95)
    cv2.imwrite(str(tmp_path / "plain.jpg"), frame.bgr(), [cv2.IMWRITE_JPEG_QUALITY, 95])
    ours, plain = (cv2.imread(str(tmp_path / name)) for name in ("ours.jpg", "plain.jpg"))
    assert ours is not None
    assert plain is not None
    assert np.abs(ours.astype(int) - plain).mean() < 0.5
    assert np.abs(ours.astype(int) - frame.bgr()).mean() < 1


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
