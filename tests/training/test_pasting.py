import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gotowce_dagster.training.pasting import Cutout, Scene, of_other_games, paste, shrunk
from tests.training.scenes import PARAMS, scene_of


@given(seed=st.integers(0, 10_000), width=st.integers(4, 30), height=st.integers(4, 30))
def test_a_pasted_target_lies_in_its_box_and_touches_no_other(seed: int, width: int, height: int) -> None:
    scene = scene_of((5, 5, 25, 25))
    dark = Scene(np.zeros_like(scene.image), scene.boxes, scene.classes)
    cutout = Cutout(
        np.full((height, width, 3), 255, np.uint8), np.ones((height, width), np.float32), class_id=3
    )
    pasted = paste(dark, cutout, PARAMS, np.random.default_rng(seed))
    assert dark.image.max() == 0, "the scene itself stays as it was"
    if len(pasted.boxes) == 1:
        return
    x1, y1, x2, y2 = pasted.boxes[1]
    assert pasted.classes.tolist() == [0, 3]
    assert x1 >= 0
    assert y1 >= 0
    assert x2 <= 160
    assert y2 <= 96
    assert max(5 - x2, x1 - 25) >= 3 or max(5 - y2, y1 - 25) >= 3
    bright = np.argwhere(pasted.image.max(axis=2) > 128)
    assert (bright.min(axis=0) >= [y1 - 1, x1 - 1]).all()
    assert (bright.max(axis=0) <= [y2, x2]).all()


def test_no_free_place_gives_the_scene_itself() -> None:
    full = scene_of((0, 0, 160, 96))
    cutout = Cutout(np.full((8, 8, 3), 255, np.uint8), np.ones((8, 8), np.float32), 0)
    assert paste(full, cutout, PARAMS, np.random.default_rng(1)) is full


@pytest.mark.parametrize("seed", range(20))
def test_nothing_is_pasted_on_a_panel(seed: int) -> None:
    empty = Scene(np.zeros((96, 160, 3), np.uint8), np.zeros((0, 4)), np.zeros(0, int))
    cutout = Cutout(np.full((16, 16, 3), 255, np.uint8), np.ones((16, 16), np.float32), 0)
    hud = np.zeros((96, 160), bool)
    hud[:, 60:] = True
    pasted = paste(empty, cutout, PARAMS, np.random.default_rng(seed), hud)
    assert (pasted.boxes[:, 0] < 60).all()
    assert paste(empty, cutout, PARAMS, np.random.default_rng(seed), np.ones_like(hud)) is empty


def _square(side: int, class_id: int = 0, margin: int = 0) -> Cutout:
    alpha = np.zeros((side + 2 * margin, side + 2 * margin), np.float32)
    alpha[margin : margin + side, margin : margin + side] = 1
    return Cutout(np.full((*alpha.shape, 3), 200, np.uint8), alpha, class_id)


def test_cutouts_of_other_games_have_a_class_of_this_one() -> None:
    ship, mech = _square(8, 0), _square(8, 1)
    cutouts = {"this": [[ship]], "other": [[ship, mech], [mech]], "third": [[mech]]}
    assert of_other_games(cutouts, "this", ship) == [[ship]]
    assert of_other_games(cutouts, "third", mech) == [[mech], [mech]]


def test_dots_of_another_game_are_not_enlarged_to_targets_of_this_one() -> None:
    dot, ship, carrier = _square(6), _square(30), _square(60)
    cutouts = {"near": [[ship]], "far": [[dot, carrier]]}
    assert of_other_games(cutouts, "near", ship) == [[carrier]]
    assert of_other_games(cutouts, "far", dot) == [[ship]]
    assert of_other_games({"near": [[ship]], "far": [[dot]]}, "near", ship) == []


@pytest.mark.parametrize("margin", [0, 5])
def test_a_shrunk_cutout_has_the_long_side_asked_for(margin: int) -> None:
    cutout = _square(40, margin=margin)
    assert cutout.long_px == 40
    smaller = shrunk(cutout, 10)
    assert abs(smaller.long_px - 10) <= 1
    assert smaller.image.shape[:2] == smaller.alpha.shape
    assert smaller.class_id == cutout.class_id
