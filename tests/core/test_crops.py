import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gotowce_dagster.core.crops import Crop, around

HEIGHT, WIDTH = 90, 160


@st.composite
def crops(draw: st.DrawFn) -> Crop:
    x1 = draw(st.integers(0, WIDTH - 1))
    y1 = draw(st.integers(0, HEIGHT - 1))
    return Crop(x1, y1, draw(st.integers(x1 + 1, WIDTH)), draw(st.integers(y1 + 1, HEIGHT)))


@st.composite
def boxes(draw: st.DrawFn) -> np.ndarray:
    """Boxes that touch the frame, some of them reaching far out of it."""
    width, height = draw(st.floats(1, 200)), draw(st.floats(1, 200))
    x = draw(st.floats(-width + 0.5, WIDTH - 0.5))
    y = draw(st.floats(-height + 0.5, HEIGHT - 0.5))
    return np.array([x, y, x + width, y + height])


@given(crops(), st.lists(st.tuples(*[st.floats(-500, 500)] * 4), min_size=1))
def test_points_and_boxes_round_trip(crop: Crop, rows: list[tuple[float, ...]]) -> None:
    quads = np.array(rows)
    for xy in (quads, quads[:, :2], quads[0], quads.reshape(-1, 2)):
        assert np.allclose(crop.to_frame(crop.to_crop(xy)), xy)
        assert crop.to_crop(xy).shape == xy.shape


@given(crops(), st.integers(0, 2**32 - 1))
def test_masks_round_trip(crop: Crop, seed: int) -> None:
    frame = np.random.default_rng(seed).random((HEIGHT, WIDTH)) > 0.5
    inner = crop.cut(frame)
    pasted = crop.paste(inner, HEIGHT, WIDTH)
    assert np.array_equal(crop.cut(pasted), inner)
    assert pasted.sum() == inner.sum()
    assert not (pasted & ~frame).any()


@given(crops())
def test_the_window_of_a_pasted_mask_is_the_crop(crop: Crop) -> None:
    full = np.ones((crop.y2 - crop.y1, crop.x2 - crop.x1), bool)
    assert Crop.of_mask(crop.paste(full, HEIGHT, WIDTH)) == crop


@given(boxes(), st.floats(1, 5))
def test_around_stays_in_the_frame_and_is_square_if_possible(box: np.ndarray, scale: float) -> None:
    crop = around(box, scale, HEIGHT, WIDTH)
    side = max(1, round(scale * (box[2:] - box[:2]).max()))
    assert 0 <= crop.x1 < crop.x2 <= WIDTH
    assert 0 <= crop.y1 < crop.y2 <= HEIGHT
    assert crop.x2 - crop.x1 == min(side, WIDTH)
    assert crop.y2 - crop.y1 == min(side, HEIGHT)


@given(boxes(), st.floats(1, 5))
def test_around_keeps_the_visible_part_of_the_box(box: np.ndarray, scale: float) -> None:
    crop = around(box, scale, HEIGHT, WIDTH)
    shown = np.r_[np.maximum(box[:2], 0), np.minimum(box[2:], [WIDTH, HEIGHT])]
    # Half a pixel: the window's edges are whole pixels, the box's are not.
    assert (crop.box[:2] <= shown[:2] + 1).all()
    assert (crop.box[2:] >= shown[2:] - 1).all()


@pytest.mark.parametrize(
    "box", [(-30, 5, 0, 40), (170, 5, 190, 40), (5, 91, 20, 99)], ids=["left", "right", "below"]
)
def test_box_outside_the_frame_is_refused(box: tuple[float, ...]) -> None:
    with pytest.raises(ValueError, match="outside a frame of 160x90"):
        around(np.array(box, float), 2.0, HEIGHT, WIDTH)


def test_empty_mask_has_no_window() -> None:
    assert Crop.of_mask(np.zeros((5, 5), bool)) is None
