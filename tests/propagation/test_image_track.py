"""Tracking with a stand-in model that segments a colour, to check its crops and its selected masks."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest

from gotowce_dagster.config.params import MasksParams, read_params
from gotowce_dagster.core import weights
from gotowce_dagster.core.crops import Crop
from gotowce_dagster.core.errors import InputError
from gotowce_dagster.propagation.gates import History, measure, state
from gotowce_dagster.propagation.image_track import ImageTrack
from gotowce_dagster.segmenters.prompts import Prompt
from tests.conftest import ROOT
from tests.support.bright_pixels import BrightPixels
from tests.support.trials import Ordeal, Trial

WEIGHTS = "sam2_hiera_tiny_image.pt"
HEIGHT, WIDTH = 180, 320
SHIPS = {"red": (210, 50, 40), "blue": (40, 70, 220)}
SPEEDS = {"red": (5, 1), "blue": (-4, 2)}
STARTS = {"red": (40, 50), "blue": (250, 30)}


@pytest.fixture(scope="module")
def params() -> MasksParams:
    return read_params(ROOT / "params.yaml").masks


@pytest.fixture
def track(params: MasksParams) -> ImageTrack:
    return ImageTrack(WEIGHTS, params, BrightPixels(above=120))


def box(name: str, index: int) -> np.ndarray:
    low = np.array(STARTS[name]) + np.array(SPEEDS[name]) * index
    return np.concatenate([low, low + np.array([24, 14])]).astype(float)


def picture(index: int, *, hidden: bool = False) -> np.ndarray:
    image = np.full((HEIGHT, WIDTH, 3), (15, 15, 30), np.uint8)
    for name, colour in SHIPS.items():
        x1, y1, x2, y2 = box(name, index).astype(int)
        image[max(y1, 0) : y2, max(x1, 0) : x2] = colour
    if hidden:
        image[:] = (15, 15, 30)
    return image


def boxes(track: ImageTrack, frames: Sequence[int], reverse: bool = False) -> list[list[float] | None]:
    found = [track.step(i, picture(i), ["red"], reverse)["red"].mask for i in frames]
    return [None if (window := Crop.of_mask(mask)) is None else window.box.tolist() for mask in found]


@pytest.mark.parametrize(
    ("start", "frames", "reverse"),
    [
        pytest.param(0, range(1, 12), False, id="forward"),
        pytest.param(12, range(11, -1, -1), True, id="reverse"),
        pytest.param(0, range(2, 14, 2), False, id="every second frame"),
    ],
)
def test_tracks_the_object(track: ImageTrack, start: int, frames: range, reverse: bool) -> None:
    track.prompt(start, picture(start), {"red": Prompt(box=box("red", start))})
    assert boxes(track, frames, reverse) == [box("red", i).tolist() for i in frames]


@pytest.mark.parametrize(
    "prompt",
    [
        pytest.param(Prompt(box=box("red", 0)), id="box"),
        pytest.param(Prompt(np.array([(52.0, 57.0)]), np.ones(1, int)), id="point"),
        pytest.param(
            Prompt(np.array([(52.0, 57.0), (5.0, 5.0), (100.0, 90.0)]), np.array([1, 0, 0])),
            id="point and negatives",
        ),
        pytest.param(Prompt(np.array([(52.0, 57.0)]), np.ones(1, int), box("red", 0)), id="point and box"),
    ],
)
def test_every_kind_of_prompt_segments_the_ship(track: ImageTrack, prompt: Prompt) -> None:
    found = track.prompt(0, picture(0), {"red": prompt})["red"]
    window = Crop.of_mask(found.mask)
    assert window is not None
    assert window.box.tolist() == box("red", 0).tolist()
    assert found.predicted_iou == pytest.approx(0.9)
    assert found.stability == 1.0
    assert np.isnan(found.object_score)


def test_mask_prompt_is_used_as_it_is(track: ImageTrack) -> None:
    mask = np.zeros((HEIGHT, WIDTH), bool)
    mask[52:62, 42:60] = True
    assert (track.prompt(0, picture(0), {"red": Prompt(mask=mask)})["red"].mask == mask).all()
    assert (track.step(0, picture(0), ["red"])["red"].mask == mask).all()


def test_all_objects_of_a_frame_are_predicted_in_one_batch(params: MasksParams) -> None:
    model = BrightPixels(above=120)
    track = ImageTrack(WEIGHTS, params, model)
    track.prompt(0, picture(0), {name: Prompt(box=box(name, 0)) for name in SHIPS})
    found = track.step(1, picture(1), list(SHIPS))
    assert model.calls == [4, 2]
    for name in SHIPS:
        window = Crop.of_mask(found[name].mask)
        assert window is not None
        assert window.box.tolist() == box(name, 1).tolist()


def test_occluded_object_has_no_mask_and_is_found_again(track: ImageTrack) -> None:
    track.prompt(0, picture(0), {"red": Prompt(box=box("red", 0))})
    boxes(track, range(1, 6))
    hidden = [track.step(i, picture(i, hidden=True), ["red"])["red"] for i in range(6, 10)]
    assert not any(one.mask.any() for one in hidden)
    assert boxes(track, range(10, 13)) == [box("red", i).tolist() for i in range(10, 13)]


def test_jump_of_zoom_is_not_tracked(track: ImageTrack) -> None:
    track.prompt(0, picture(0), {"red": Prompt(box=box("red", 0))})
    boxes(track, range(1, 5))
    large = np.full((HEIGHT, WIDTH, 3), (15, 15, 30), np.uint8)
    large[20:120, 20:200] = SHIPS["red"]
    assert not track.step(5, large, ["red"])["red"].mask.any()


def test_objects_are_not_tracked_before_their_prompt(track: ImageTrack) -> None:
    track.prompt(5, picture(5), {"red": Prompt(box=box("red", 5))})
    assert boxes(track, [4]) == [None]
    assert boxes(track, [4], reverse=True) == [box("red", 4).tolist()]
    assert not track.step(6, picture(6), ["unknown"])["unknown"].mask.any()


def test_forget_and_begin_drop_the_history(track: ImageTrack) -> None:
    for drop in (lambda: track.forget("red"), track.begin):
        track.prompt(0, picture(0), {"red": Prompt(box=box("red", 0))})
        drop()
        assert boxes(track, [1]) == [None]


def test_interrupted_run_resumes_identically(track: ImageTrack, params: MasksParams, tmp_path: Path) -> None:
    track.prompt(0, picture(0), {name: Prompt(box=box(name, 0)) for name in SHIPS})
    for index in range(1, 5):
        track.step(index, picture(index), list(SHIPS))
    track.save(tmp_path / "memory")
    other = ImageTrack(WEIGHTS, params, BrightPixels(above=120))
    other.load(tmp_path / "memory")
    for index in range(5, 9):
        one, again = (each.step(index, picture(index), list(SHIPS)) for each in (track, other))
        for name in SHIPS:
            assert (one[name].mask == again[name].mask).all()
    track.save(tmp_path / "one")
    other.save(tmp_path / "again")
    assert (tmp_path / "one").read_bytes() == (tmp_path / "again").read_bytes()


def test_error_names_unknown_weights(params: MasksParams) -> None:
    with pytest.raises(InputError, match=r"yolo26n\.pt.*sam2_hiera_tiny_image\.pt"):
        ImageTrack("yolo26n.pt", params)


@pytest.mark.weights
@pytest.mark.skipif(weights.find(WEIGHTS) is None, reason=f"{WEIGHTS} is not in GOTOWCE_WEIGHTS_DIR")
@pytest.mark.parametrize(
    ("ordeal", "least_right"),
    [
        pytest.param("occlusion", 4, id="occluded by a rock"),
        pytest.param("zoom jump", 7, id="jump of zoom"),
        pytest.param("crossing", 10, id="behind a look-alike"),
    ],
)
def test_real_weights_are_not_sure_where_they_are_wrong(
    params: MasksParams, ordeal: Ordeal, least_right: int
) -> None:
    params = params.model_copy(
        update={"propagation": params.propagation.model_copy(update={"track_px": 256})}
    )
    trial = Trial(ordeal, "stars", seed=1)
    track = ImageTrack(WEIGHTS, params)
    history = History(usual_frames=params.propagation.usual_frames)
    window = Crop.of_mask(trial.mask(0))
    assert window is not None
    prompted = track.prompt(0, trial.picture(0), {"ship": Prompt(box=window.box)})["ship"]
    history.add(prompted, trial.picture(0), 0)
    right, wrong, sure_and_wrong = 0, 0, 0
    for index in range(2, trial.frames, 2):
        image, truth = trial.picture(index), trial.mask(index)
        found = track.step(index, image, ["ship"])["ship"]
        sure = state(measure(history, found, image, index, None), params.propagation.gates) == "sure"
        if sure:
            history.add(found, image, index)
        agrees = (found.mask & truth).sum() >= 0.5 * (found.mask | truth).sum()
        right, wrong, sure_and_wrong = (
            right + (sure and agrees),
            wrong + (not agrees),
            sure_and_wrong + (sure and not agrees),
        )
    assert wrong
    assert sure_and_wrong <= 0.1 * wrong
    assert right >= least_right
