"""What flies by, in drawn scenes: shots do; ships, HUD and the stars before a turning camera do not."""

from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest

from gotowce_dagster.core.boxes import xyxy
from gotowce_dagster.video import fly_bys as module
from gotowce_dagster.video.encode import write_video
from gotowce_dagster.video.fly_bys import find_fly_bys, fly_bys

FPS = 20
SIZE = (640, 360)
Draw = Callable[[np.ndarray, float], None]
"""Draws into a picture what is at a time in frames."""


def _moving(start: tuple[float, float], step: tuple[float, float], look: np.ndarray) -> Draw:
    def draw(image: np.ndarray, time: float) -> None:
        x, y = (np.array(start) + time * np.array(step)).round().astype(int)
        height, width = look.shape[:2]
        place = image[max(y, 0) : y + height, max(x, 0) : x + width]
        place[:] = np.maximum(place, look[max(-y, 0) :, max(-x, 0) :][: place.shape[0], : place.shape[1]])

    return draw


def _shot() -> np.ndarray:
    look = np.zeros((8, 16, 3), np.uint8)
    cv2.line(look, (2, 2), (13, 5), (255, 160, 60), 2)
    return look


def _ship() -> np.ndarray:
    look = np.zeros((28, 40, 3), np.uint8)
    cv2.fillPoly(look, [np.array([[2, 26], [20, 2], [38, 26], [20, 18]])], (150, 150, 160))
    return look


def _sky(seed: int, step: tuple[float, float]) -> list[Draw]:
    """Stars of different sizes and colours that move together."""
    rng = np.random.default_rng(seed)
    draws = []
    for _ in range(40):
        look = np.zeros((rng.integers(7, 10), rng.integers(7, 10), 3), np.uint8)
        cv2.line(
            look, tuple(rng.integers(1, 5, 2).tolist()), tuple(rng.integers(4, 8, 2).tolist()), (255,) * 3, 2
        )
        draws.append(_moving(tuple(rng.uniform([40, 20], [600, 330])), step, look))
    return draws


def _triple(*draws: Draw, seed: int = 1) -> list[np.ndarray]:
    rng = np.random.default_rng(seed)
    frames = []
    for time in (-1.0, 0.0, 1.0):
        image = rng.normal(20, 2, (SIZE[1], SIZE[0], 3)).clip(0, 255).astype(np.uint8)
        for draw in draws:
            draw(image, time)
        frames.append(image)
    return frames


def _found(*draws: Draw, fps: float = FPS) -> np.ndarray:
    before, image, after = _triple(*draws)
    return fly_bys(before, image, after, (1 / fps, 1 / fps))


@pytest.mark.parametrize(
    ("step", "fps", "found"),
    [
        ((30, 10), 20, 1),
        ((-14, 4), 20, 1),
        ((30, 10), 60, 1),
        ((5, 2), 20, 0),
        ((14, 4), 10, 0),
        ((0, 0), 20, 0),
        ((120, 0), 20, 0),
    ],
    ids=[
        "fast",
        "nearly its length a frame",
        "as fast, in a recording of more frames",
        "slow",
        "the same step takes longer",
        "stands still",
        "farther than is looked",
    ],
)
def test_what_flies_by(step: tuple[float, float], fps: float, found: int) -> None:
    boxes = _found(_moving((300, 150), step, _shot()), fps=fps)
    assert len(boxes) == found
    if found:
        assert np.abs(boxes[0] - [302, 152, 314, 156]).max() <= 3


def test_a_ship_does_not_fly_by_with_the_shots_around_it() -> None:
    shots = [_moving((60 + 190 * n, 40 + 140 * n), (28, 9 * n - 12), _shot()) for n in range(3)]
    boxes = _found(_moving((420, 60), (8, 3), _ship()), *shots)
    assert boxes[:, 0].tolist() == pytest.approx([62, 252, 442], abs=3), (
        "the tip of the ship moves its own length in less than a frame"
    )


def test_nothing_flies_by_when_the_camera_turns() -> None:
    """Everything then moves as fast as a shot, a ship among it."""
    everything = [*_sky(3, (22, 6)), _moving((300, 150), (22, 6), _ship())]
    assert len(_found(*everything)) == 0
    assert len(_found(*everything, _moving((200, 200), (-25, 12), _shot()))) == 1


def test_a_change_of_direction_is_no_flight() -> None:
    before, image, _ = _triple(_moving((300, 150), (30, 10), _shot()))
    _, _, after = _triple(_moving((300, 150), (30, -40), _shot()))
    assert len(fly_bys(before, image, after, (1 / FPS, 1 / FPS))) == 0


def test_a_frame_recorded_twice_tells_nothing() -> None:
    before, image, _ = _triple(_moving((300, 150), (30, 10), _shot()))
    assert len(fly_bys(before, image, image.copy(), (1 / FPS, 1 / FPS))) == 0
    assert len(fly_bys(before, image, before, (0.0, 1 / FPS))) == 0


def _write(path: Path, scale: int = 1, frames: int = 40, times: int = 1) -> None:
    draw = _moving((30, 100), (25, 2), _shot())
    images = []
    for time in range(frames):
        image = np.full((SIZE[1], SIZE[0], 3), 20, np.uint8)
        draw(image, time % 20)
        image = cv2.resize(image, None, fx=scale, fy=scale, interpolation=cv2.INTER_NEAREST)
        images += [image] * times
    write_video(path, images, fps=FPS * times)


def test_of_a_video(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The first and the last frame have one neighbour; frame 19 to 20 the shot is fired again."""
    path = tmp_path / "a.mp4"
    _write(path)
    seen: list[tuple[int, int]] = []
    table = find_fly_bys(path, [0, 10, 19, 25, 39], lambda done, total: seen.append((done, total)))
    assert table["frame_index"].tolist() == [10, 25]
    assert seen[-1][0] == seen[-1][1] - 3, "there is no frame after the last"
    for index, box in zip(table["frame_index"], xyxy(table), strict=True):
        assert np.abs(box[[0, 2]] - 30 - 25 * (index % 20) - [2, 14]).max() <= 3
    monkeypatch.setattr(module, "_EXAMINED", 3)
    assert find_fly_bys(path, [5, 8, 10, 12, 15])["frame_index"].tolist() == [5, 10, 15]


def test_of_a_recording_that_has_each_frame_twice(tmp_path: Path) -> None:
    _write(tmp_path / "a.mp4", frames=20, times=2)
    table = find_fly_bys(tmp_path / "a.mp4", [20, 21])
    assert table["frame_index"].tolist() == [20, 21]
    assert np.abs(xyxy(table)[:, [0, 2]] - [282, 294]).max() <= 3


def test_boxes_are_in_pixels_of_a_frame_that_was_reduced(tmp_path: Path) -> None:
    _write(tmp_path / "a.mp4", scale=4, frames=20)
    table = find_fly_bys(tmp_path / "a.mp4", [10])
    assert len(table) == 1
    assert np.abs(table[["x1", "x2"]].to_numpy()[0] - 4 * np.array([282, 294])).max() <= 12


def test_a_video_without_frames_to_examine(tmp_path: Path) -> None:
    _write(tmp_path / "a.mp4", frames=20)
    assert find_fly_bys(tmp_path / "a.mp4", []).empty
