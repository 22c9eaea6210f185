"""The states of a trial's object over time, by its exact masks."""

import numpy as np
import pytest

from tests.support.trials import GROUNDS, ORDEALS, Trial


def areas(trial: Trial) -> np.ndarray:
    return np.array([trial.mask(index).sum() for index in range(trial.frames)])


@pytest.mark.parametrize("seed", [0, 1, 2, 3])
def test_a_rock_hides_the_whole_object_for_some_frames(seed: int) -> None:
    trial, alone = Trial("occlusion", "stars", seed), Trial("none", "stars", seed)
    assert (areas(trial)[:5] == areas(alone)[:5]).all()
    assert 1 <= (areas(trial) < 6).sum() <= 12


@pytest.mark.parametrize(
    ("seed", "in_front"),
    [
        pytest.param(0, True, id="look-alike in front"),
        pytest.param(1, True, id="look-alike in front, of another tint"),
        pytest.param(2, False, id="object in front"),
        pytest.param(3, False, id="object in front, look-alike of another tint"),
    ],
)
def test_a_look_alike_crosses(seed: int, in_front: bool) -> None:
    share = areas(Trial("crossing", "stars", seed)) / areas(Trial("none", "stars", seed))
    assert share[[0, -1]] == pytest.approx(1)
    assert (share.min() < 0.6) == in_front


@pytest.mark.parametrize(
    ("seed", "times"), [pytest.param(1, 2.2, id="in"), pytest.param(2, 1 / 2.2, id="out")]
)
def test_zoom_is_smooth_and_its_jump_is_not(seed: int, times: float) -> None:
    middle = slice(8, 24)
    smooth, jump = (np.sqrt(areas(Trial(kind, "stars", seed)))[middle] for kind in ("zoom", "zoom jump"))
    steps = smooth[1:] / smooth[:-1]
    assert np.abs(np.log(steps)).max() < 0.15
    assert jump[-1] / jump[0] == pytest.approx(times, rel=0.1)
    assert np.abs(np.log(jump[1:] / jump[:-1])).max() == pytest.approx(abs(np.log(times)), rel=0.1)


@pytest.mark.parametrize("ground", GROUNDS)
@pytest.mark.parametrize("ordeal", ORDEALS)
def test_equal_trials_give_equal_pictures(ordeal, ground) -> None:
    one, again = Trial(ordeal, ground, 5), Trial(ordeal, ground, 5)
    again.picture(9)
    picture = one.picture(20)
    assert (picture == again.picture(20)).all()
    assert (one.mask(20) == again.mask(20)).all()
    assert picture.shape == (360, 640, 3)
    assert (picture != one.picture(21)).any()


def test_the_mask_lies_on_the_object() -> None:
    trial = Trial("none", "terrain", 3)
    inside = trial.picture(4)[trial.mask(4)].astype(float)
    assert np.linalg.norm(inside.mean(axis=0) - trial.picture(4).reshape(-1, 3).mean(axis=0)) > 20
