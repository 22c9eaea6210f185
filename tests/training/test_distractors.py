from pathlib import Path

import numpy as np
import pandas as pd

from gotowce_dagster.pictures.write import write_picture
from gotowce_dagster.training.distractors import distract, read_distractors
from gotowce_dagster.training.pasting import Cutout, Scene
from tests.training.scenes import PARAMS, scene_of

SHOT = np.array([30.0, 40, 44, 46])
HIDDEN = 30
"""Level of what is behind a shot."""


def _dataset(folder: Path) -> pd.DataFrame:
    """Two frames, one of them for validation, each with a shot and with noise that is called one."""
    image = np.full((96, 160, 3), HIDDEN, np.uint8)
    image[42:44, 32:42] = (255, 160, 60)
    for name in ("a", "b"):
        write_picture(image, folder / f"{name}.jpg", quality=95)
    return pd.DataFrame(
        {
            "split": ["train", "val"],
            "kind": "as-is",
            "profile": "game",
            "video": "v",
            "frame_index": [0, 10],
            "image": ["a.jpg", "b.jpg"],
        }
    )


def _cut(folder: Path) -> list[Cutout]:
    boxes = np.stack([SHOT, [100.0, 10, 110, 20]])
    found = read_distractors(folder, _dataset(folder), {("v", 0): boxes, ("v", 10): boxes})
    assert list(found) == ["game"]
    return found["game"]


def test_they_are_cut_from_training_frames_without_what_is_behind_them(tmp_path: Path) -> None:
    (shot,) = _cut(tmp_path)
    solid = shot.image[shot.alpha > 0.9].astype(float)
    assert len(solid) >= 10
    assert np.abs(solid.mean(axis=0) - [255, 160, 60]).max() < 40
    assert shot.alpha[0].max() == shot.alpha[-1].max() == 0
    assert shot.long_px <= 14


def test_a_game_without_any_has_none(tmp_path: Path) -> None:
    assert read_distractors(tmp_path, _dataset(tmp_path), {}) == {}


def test_it_is_background_and_covers_no_target(tmp_path: Path) -> None:
    (shot,) = _cut(tmp_path)
    target = (60.0, 40.0, 90.0, 64.0)
    pasted = 0
    for seed in range(20):
        before = scene_of(target)
        after = distract(before, shot, PARAMS, np.random.default_rng(seed))
        assert after.boxes.tolist() == [list(target)]
        assert after.classes.tolist() == [0]
        assert np.array_equal(after.image[41:63, 61:89], before.image[41:63, 61:89])
        pasted += not np.array_equal(after.image, before.image)
    assert pasted >= 15


def test_nothing_is_pasted_on_the_hud(tmp_path: Path) -> None:
    (shot,) = _cut(tmp_path)
    scene = Scene(np.full((96, 160, 3), HIDDEN, np.uint8), np.zeros((0, 4)), np.zeros(0, int))
    hud = np.ones((96, 160), bool)
    assert distract(scene, shot, PARAMS, np.random.default_rng(1), hud).image is scene.image
