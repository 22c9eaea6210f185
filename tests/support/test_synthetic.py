"""The truth of synthetic scenes is what their pixels show."""

from pathlib import Path

import cv2
import numpy as np
import pandas as pd
import pytest

from gotowce_dagster.core.boxes import BOX
from gotowce_dagster.core.truth import read_truth
from gotowce_dagster.video.decode import read_frames
from tests.support.synthetic import (
    CLUTTER,
    SHAPES,
    Bracket,
    Scene,
    Target,
    bracket_mask,
    random_scene,
    write_scene,
)

LOUD = (255, 0, 255)


def _box(mask: np.ndarray) -> list[int]:
    x, y, width, height = cv2.boundingRect(mask.astype(np.uint8))
    return [x, y, x + width, y + height]


@pytest.mark.parametrize("radius", [0.0, 0.9], ids=["square", "rounded"])
@pytest.mark.parametrize(("side", "arm", "thickness"), [(42, 0.25, 2), (87, 0.1, 1), (160, 0.3, 3)])
def test_a_bracket_has_the_arms_gap_and_thickness_asked_for(
    side: int, arm: float, thickness: int, radius: float
) -> None:
    mask = bracket_mask(side, Bracket(arm=arm, thickness=thickness, radius=radius))
    assert _box(mask) == [0, 0, side, side]
    assert (mask == mask[::-1]).all()
    assert (mask == mask.T).all()
    top = mask[0]
    assert (~top).sum() >= side - 2 * round(arm * side)
    assert not mask[:, side // 2].any(), "the gap is empty"
    row = round(arm * side) - 1
    assert mask[row, : side // 2].sum() == thickness


@pytest.mark.slow
@pytest.mark.parametrize("shape", list(SHAPES))
def test_boxes_are_those_of_the_pixels(shape: str) -> None:
    scene = Scene((Target(shape, 60, colour=(0, 255, 0), bracket=Bracket(LOUD)),), frames=9, zoom=2)
    truth = scene.truth("a.mp4")
    for index in range(scene.frames):
        rows = truth[truth["frame_index"] == index]
        picture = scene.picture(index)
        boxes = rows.set_index("label")[BOX].astype(int)
        assert boxes.loc["designator"].tolist() == _box((picture == LOUD).all(axis=2))
        (mask,) = scene.masks(index)
        assert boxes.loc["object"].tolist() == _box(mask)
        assert (picture[mask][:, 0] == 0).all(), "every pixel of the mask is the target's"
        inside = boxes.loc["object"] - boxes.loc["designator"]
        assert (inside[["x1", "y1"]] > 0).all()
        assert (inside[["x2", "y2"]] < 0).all()


def test_a_panel_hides_and_the_edge_cuts() -> None:
    flying = Target("freighter", 60, start=(60, 360), velocity=(-4, 0), spin=0, bracket=Bracket(LOUD))
    edge = Scene((flying,), frames=10, overshoot=80).truth("a.mp4")
    assert set(edge["label"]) == {"designator", "designator_partial", "object"}
    assert (edge["x1"] >= 0).all()
    scene = Scene((flying,), frames=10, overshoot=-20, panel=(0, 300, 62, 420))
    labels = scene.truth("a.mp4").groupby("frame_index")["label"].agg(set)
    assert labels[0] == {"designator_partial", "object"}
    hidden = Scene((flying,), frames=1, panel=(0, 0, 640, 720)).truth("a.mp4")
    assert hidden["label"].tolist() == ["none"]


def test_absence_stalls_and_cuts() -> None:
    scene = Scene(frames=40, absent=(range(5, 8),), stalls=(range(10, 20),), cuts=(30,))
    truth = scene.truth("a.mp4").set_index("frame_index")
    assert truth.index[truth["label"] == "none"].tolist() == [5, 6, 7]
    assert (scene.picture(10) == scene.picture(19)).all()
    assert truth.loc[10].to_dict("list") == truth.loc[19].to_dict("list")
    assert not (scene.picture(19) == scene.picture(20)).all()
    assert np.abs(scene.picture(29).astype(int) - scene.picture(30)).mean() > 5


def test_written_scenes_read_back_with_chroma_loss(tmp_path: Path) -> None:
    scene = Scene((Target(bracket=Bracket((255, 0, 0), thickness=1)),), frames=5, clutter=CLUTTER)
    truth = write_scene(tmp_path / "a.mp4", scene)
    truth.to_csv(tmp_path / "truth.csv", index=False)
    pd.testing.assert_frame_equal(
        read_truth(tmp_path / "truth.csv").reset_index(drop=True),
        truth.drop(columns="target"),
        check_dtype=False,
    )
    frame = list(read_frames(tmp_path / "a.mp4"))[4]
    x1, y1, x2, _ = truth.query("frame_index == 4 and label == 'designator'")[BOX].astype(int).iloc[0]
    line = frame.rgb()[y1, x1 : x1 + (x2 - x1) // 4].astype(int)
    assert 80 < line[:, 0].mean() < 240, "a line of one pixel loses its colour"
    assert (line[:, 0] > line[:, 1] + 40).all()


def test_random_scenes_repeat_with_their_seed() -> None:
    one, same, other = (random_scene(np.random.default_rng(seed), frames=3) for seed in (1, 1, 2))
    assert one == same
    assert one != other
    assert (one.picture(2) == same.picture(2)).all()
