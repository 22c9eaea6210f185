"""Which frames are sampled and kept, on encoded videos."""

from collections.abc import Iterable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from gotowce_dagster.config.params import FramesParams, read_params
from gotowce_dagster.video import quality
from gotowce_dagster.video.decode import Frame, read_frames
from gotowce_dagster.video.encode import write_video
from gotowce_dagster.video.sample import DAMAGED, NEAR_DUPLICATE, STALL, Sampled, Sampler, reasons
from tests.support.synthetic import Bracket, Scene, Target, bracket_mask, write_scene

PARAMS = read_params(Path(__file__).parents[2] / "params.yaml").extracted_frames


def _params(**changes: float) -> FramesParams:
    return FramesParams.model_validate(PARAMS.model_dump() | changes)


def _sampled(frames: Iterable[Frame], **changes: float) -> list[Sampled]:
    return list(Sampler(_params(**changes)).sample(frames))


def _reasons(sampled: list[Sampled], **changes: float) -> list[str]:
    rows = [(s.frame.time_s, s.frame.damaged, s.is_duplicate, s.still_since_s) for s in sampled]
    columns = ["time_s", "is_damaged", "is_duplicate", "still_since_s"]
    return reasons(pd.DataFrame(rows, columns=columns), _params(**changes)).tolist()


def _noise(count: int) -> list[np.ndarray]:
    rng = np.random.default_rng(0)
    return [
        np.kron(rng.integers(0, 255, (6, 8, 3)), np.ones((8, 8, 1))).astype(np.uint8) for _ in range(count)
    ]


@pytest.mark.parametrize(
    ("fps", "times", "sampled"),
    [
        pytest.param(0, [0, 0.05, 0.1, 0.4], [0, 1, 2, 3], id="every frame"),
        pytest.param(2, [i / 20 for i in range(40)], [0, 10, 20, 30], id="even"),
        pytest.param(2, [i / 30 for i in range(46)], [0, 15, 30, 45], id="a rate that rounds"),
        pytest.param(5, [0, 0.1, 0.19, 0.2, 0.9, 0.95, 1.0, 1.1, 1.19], [0, 3, 4, 6], id="variable rate"),
        pytest.param(10, [0, 0.5, 1.0], [0, 1, 2], id="higher than the frame rate"),
        pytest.param(0.5, [i / 2 for i in range(9)], [0, 4, 8], id="one in two seconds"),
    ],
)
def test_sampling_is_by_time(tmp_path: Path, fps: float, times: list[float], sampled: list[int]) -> None:
    write_video(tmp_path / "a.mp4", _noise(len(times)), times_s=times)
    assert [s.frame.index for s in _sampled(read_frames(tmp_path / "a.mp4"), fps=fps)] == sampled


MARKED = (Target(length=20, start=(200, 150), velocity=(2, 1)),)


@pytest.mark.parametrize(
    ("scene", "reasons"),
    [
        pytest.param(Scene(MARKED, size=(640, 360), frames=60), [""] * 6, id="everything moves"),
        pytest.param(
            Scene(MARKED, size=(640, 360), frames=60, stalls=(range(12, 45),)),
            ["", "", "", STALL, STALL, ""],
            id="a recorder stalls",
        ),
        pytest.param(
            Scene(MARKED, size=(640, 360), frames=60, stalls=(range(60),)),
            ["", *[STALL] * 5],
            id="still image",
        ),
    ],
)
def test_duplicates_and_stalls_are_dropped(tmp_path: Path, scene: Scene, reasons: list[str]) -> None:
    write_scene(tmp_path / "a.mp4", scene)
    sampled = _sampled(read_frames(tmp_path / "a.mp4"), fps=2)
    assert _reasons(sampled) == reasons


def test_moving_dim_designator_under_a_still_hud_is_no_duplicate(tmp_path: Path) -> None:
    """Its perceptual hash stays the same: the frames differ in a few pixels only."""
    mark = bracket_mask(42, Bracket(thickness=1))
    hud = np.kron(np.random.default_rng(0).integers(0, 40, (9, 16, 1)), np.ones((20, 20, 3))).astype(np.uint8)
    images = np.repeat(hud[None], 5, axis=0)
    for step, image in enumerate(images):
        image[60:102, 60 + 9 * step : 102 + 9 * step][mark] = (200, 30, 30)
    write_video(tmp_path / "a.mp4", images)
    sampled = _sampled(read_frames(tmp_path / "a.mp4"), fps=0)
    assert len({quality.phash(s.half) for s in sampled}) < len(sampled)
    assert _reasons(sampled) == [""] * 5


def test_image_that_reappears_at_once_is_a_near_duplicate(tmp_path: Path) -> None:
    """Between two equal sampled frames something else was shown: no stall."""
    one, other = _noise(2)
    write_video(tmp_path / "a.mp4", [one, *[other] * 8, one, one, *[other] * 9, one], options={"crf": "10"})
    assert _reasons(_sampled(read_frames(tmp_path / "a.mp4"), fps=2)) == ["", NEAR_DUPLICATE, NEAR_DUPLICATE]


def test_damaged_frames_are_dropped(tmp_path: Path) -> None:
    write_video(tmp_path / "a.mp4", _noise(3))
    frames = list(read_frames(tmp_path / "a.mp4"))
    object.__setattr__(frames[1], "damaged", True)
    sampled = _sampled(frames, fps=0)
    assert _reasons(sampled) == ["", DAMAGED, ""]
    assert [s.is_kept for s in sampled] == [True, False, True]
