"""Cuts are detected; flashes, stalls and fast turns are no cuts."""

from collections.abc import Sequence

import numpy as np
import pytest

from gotowce_dagster.video.shots import ShotCutter


def _scene(seed: int, frames: int, speed: int = 1) -> list[np.ndarray]:
    """A structured image that slides past."""
    rng = np.random.default_rng(seed)
    wide = np.kron(rng.integers(0, 200, (6, 40)), np.ones((8, 8))).astype(np.uint8)
    return [wide[:, speed * i : speed * i + 80] for i in range(frames)]


def _flash(frames: Sequence[np.ndarray], at: int, length: int) -> list[np.ndarray]:
    return [f + np.uint8(50) if at <= i < at + length else f for i, f in enumerate(frames)]


BEFORE, AFTER = _scene(1, 12), _scene(2, 12)


@pytest.mark.parametrize(
    ("frames", "cuts"),
    [
        pytest.param([*BEFORE, *AFTER], [12], id="one cut"),
        pytest.param([*BEFORE, *AFTER, *BEFORE], [12, 24], id="two cuts"),
        pytest.param(BEFORE, [], id="slow move"),
        pytest.param(_scene(3, 30, speed=6), [], id="fast turn"),
        pytest.param(_flash(BEFORE, 5, 1), [], id="flash of one frame"),
        pytest.param(_flash(BEFORE, 5, 6), [], id="brighter for longer: same structure"),
        pytest.param([*BEFORE[:6], *[AFTER[0]], *BEFORE[6:]], [], id="one foreign frame"),
        pytest.param([BEFORE[0]] * 8 + BEFORE[2:8], [], id="jump after a stall"),
        pytest.param([*BEFORE[:5], *[f[::2, ::2] for f in BEFORE[5:]]], [5], id="another image size"),
        pytest.param(BEFORE[:1], [], id="one frame"),
        pytest.param([], [], id="none"),
    ],
)
def test_cuts(frames: list[np.ndarray], cuts: list[int]) -> None:
    cutter = ShotCutter(min_change=8, ratio=3, max_similarity=0.5)
    for index, frame in enumerate(frames):
        cutter.add(index, np.ascontiguousarray(frame))
    assert cutter.cuts == cuts


@pytest.mark.parametrize("split", range(3, 22))
def test_cuts_are_detected_wherever_a_video_is_split(split: int) -> None:
    smaller = [frame[::2, ::2] for frame in AFTER]
    frames = [*BEFORE, *AFTER[:6], *smaller[6:]]
    before, after = (ShotCutter(min_change=8, ratio=3, max_similarity=0.5) for _ in range(2))
    for index, frame in enumerate(frames):
        (before if index < split else after).add(index, np.ascontiguousarray(frame))
    assert sorted({*before.cuts, *before.cuts_up_to(after), *after.cuts}) == [12, 18]
