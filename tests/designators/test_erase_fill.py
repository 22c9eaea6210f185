"""Holes in known pictures: what covers them looks like their surroundings, and no thing is copied."""

import cv2
import numpy as np
import pytest

from gotowce_dagster.designators.fill import paint_over

SHAPE = 200, 260
MARK = 220, 20, 20
HOLE = np.zeros(SHAPE, bool)
HOLE[90:104, 120:124] = HOLE[90:94, 120:134] = True


def _noisy(deviation: float, level: float = 60.0) -> np.ndarray:
    noise = np.random.default_rng(3).normal(level, deviation, (*SHAPE, 3))
    return np.clip(noise, 0, 255).round().astype(np.uint8)


def _marked(image: np.ndarray) -> np.ndarray:
    """The image with red in the hole."""
    drawn = image.copy()
    drawn[HOLE] = MARK
    return drawn


def _error(image: np.ndarray, truth: np.ndarray) -> float:
    return float(np.abs(image[HOLE].astype(float) - truth[HOLE]).mean())


def test_a_pattern_goes_on_where_inpainting_would_blur_it() -> None:
    stripes = np.where(np.arange(SHAPE[1]) % 12 < 6, 60, 110).astype(np.uint8)
    pattern = np.broadcast_to(stripes[None, :, None], (*SHAPE, 3)).copy()
    filled = paint_over(_marked(pattern), HOLE)
    inpainted = cv2.inpaint(_marked(pattern), HOLE.astype(np.uint8), 3, cv2.INPAINT_TELEA)
    assert _error(filled, pattern) < 1
    assert _error(inpainted, pattern) > 8


def test_a_slope_of_brightness_goes_on() -> None:
    slope = np.repeat(np.linspace(20, 150, SHAPE[1])[None, :, None], 3, axis=2)
    image = np.broadcast_to(slope, (*SHAPE, 3)).round().astype(np.uint8)
    assert _error(paint_over(_marked(image), HOLE), image) < 2


def test_grain_has_the_strength_of_the_surroundings() -> None:
    image = _noisy(6)
    filled = paint_over(_marked(image), HOLE)
    assert filled[HOLE].std() == pytest.approx(6, rel=0.25)
    assert (filled[~HOLE] == image[~HOLE]).all(), "in a noisy picture only the hole changes"


@pytest.mark.parametrize("thing", [(255, 255, 255), (90, 200, 90)], ids=["stars", "text"])
def test_things_nearby_are_not_copied(thing: tuple[int, int, int]) -> None:
    image = _noisy(1)
    rng = np.random.default_rng(5)
    rows, columns = rng.integers(0, SHAPE[0], 150), rng.integers(0, SHAPE[1], 150)
    away = cv2.dilate(HOLE.astype(np.uint8), np.ones((9, 9), np.uint8))[rows, columns] == 0
    image[rows[away], columns[away]] = thing
    filled = paint_over(_marked(image), HOLE)
    assert filled[HOLE].max() < 70
    assert (filled[rows[away], columns[away]] == thing).all(), "those around the hole stay"


def test_traces_around_the_hole_are_covered_where_it_is_quiet_but_not_on_what_is_kept() -> None:
    quiet = np.full((*SHAPE, 3), 4, np.uint8)
    near = cv2.dilate(HOLE.astype(np.uint8), np.ones((13, 13), np.uint8)) > 0
    traces = _marked(quiet)
    traces[near & ~HOLE] += np.random.default_rng(1).integers(
        0, 4, (np.count_nonzero(near & ~HOLE), 3), np.uint8
    )
    kept = np.zeros(SHAPE, bool)
    kept[96:120, 126:150] = True
    filled = paint_over(traces, HOLE, keep=kept)
    assert (filled[near & ~kept] == 4).mean() > 0.95
    assert (filled[kept] == traces[kept]).all()
    assert (traces[near & kept] != 4).mean() > 0.5


def test_without_a_piece_that_fits_it_is_inpainted() -> None:
    image = _noisy(2)
    filled = paint_over(_marked(image), HOLE, avoid=np.ones(SHAPE, bool))
    assert filled[HOLE].mean() == pytest.approx(60, abs=4)
    assert np.ptp(filled[HOLE].mean(axis=0)) < 6, "no red is left"


LARGE = pytest.param((720, 1280), marks=pytest.mark.slow)


@pytest.mark.parametrize("size", [(1, 1), (5, 3), (17, 31), (181, 321), LARGE], ids=str)
@pytest.mark.parametrize("kind", ["black", "grey", "noise"])
@pytest.mark.parametrize("place", ["corner", "edge", "half", "rim", "everything", "nothing"])
def test_any_area_of_any_picture_is_painted_over_and_no_kept_pixel(
    size: tuple[int, int], kind: str, place: str
) -> None:
    height, width = size
    levels = {"black": (0, 1), "grey": (90, 110), "noise": (0, 200)}[kind]
    image = np.random.default_rng(0).integers(*levels, (height, width, 1 if kind == "grey" else 3), np.uint8)
    image = np.broadcast_to(image, (height, width, 3)).copy()
    area = np.zeros(size, bool)
    if place == "corner":
        area[: max(1, height // 5), : max(1, width // 5)] = True
    elif place == "edge":
        area[:, -2:] = True
    elif place == "half":
        area[:, : width // 2] = True
    elif place == "rim":
        area[[0, -1]] = area[:, [0, -1]] = True
    elif place == "everything":
        area[:] = True
    image[area] = MARK
    keep = ~area
    keep[: height // 2] = False
    before = image.copy()
    painted = paint_over(image, area, keep=keep)
    assert (image == before).all()
    assert (painted.shape, painted.dtype) == (image.shape, np.uint8)
    assert (painted[keep] == image[keep]).all()
    if place == "nothing":
        assert (painted == image).all()
    elif place != "everything" and not area.all():
        assert not (painted[area] == MARK).all(axis=1).any()


def test_the_same_picture_gives_the_same_result() -> None:
    image = _marked(_noisy(3))
    before = image.copy()
    assert (paint_over(image, HOLE) == paint_over(image, HOLE)).all()
    assert (image == before).all()
