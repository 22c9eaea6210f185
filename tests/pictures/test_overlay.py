import numpy as np
import pytest
import supervision as sv
from hypothesis import given, settings
from hypothesis import strategies as st

from gotowce_dagster.pictures.overlay import caption_places, closeup, draw


def _detections(*boxes: tuple[float, float, float, float], masks: np.ndarray | None = None) -> sv.Detections:
    names = np.array(["hostile"] * len(boxes))
    return sv.Detections(np.array(boxes, float).reshape(-1, 4), mask=masks, data={"class_name": names})


@pytest.mark.parametrize("contiguous", [True, False], ids=["a plain array", "a view with channels turned"])
def test_frame_is_not_modified(contiguous: bool) -> None:
    base = np.zeros((100, 100, 3), np.uint8)
    frame = base if contiguous else base[:, :, ::-1]
    drawn = draw(frame, _detections((20, 20, 60, 60)), ["hostile"])
    assert not frame.any()
    assert drawn.any()
    assert drawn.shape == frame.shape


@pytest.mark.parametrize("shape", [(20, 20, 3), (720, 1280, 3), (2160, 3840, 3)])
def test_box_is_drawn_at_its_place_at_any_size(shape: tuple[int, int, int]) -> None:
    height, width = shape[:2]
    box = (0.4 * width, 0.4 * height, 0.6 * width, 0.6 * height)
    drawn = draw(np.zeros(shape, np.uint8), _detections(box), [""])
    ys, xs = np.nonzero(drawn.any(axis=2))
    slack = max(2, height // 200)
    assert abs(np.array([xs.min(), ys.min(), xs.max(), ys.max()]) - box).max() <= slack


def test_mask_is_tinted_and_the_rest_is_not() -> None:
    mask = np.zeros((1, 50, 50), bool)
    mask[0, 10:20, 10:20] = True
    drawn = draw(np.zeros((50, 50, 3), np.uint8), _detections((5, 5, 40, 40), masks=mask), [""])
    assert drawn[15, 15].any()
    assert not drawn[30, 30].any()


def test_class_keeps_its_colour() -> None:
    frame = np.zeros((50, 50, 3), np.uint8)
    alone = draw(frame, _detections((5, 5, 20, 20)), [""])
    second = draw(frame, _detections((30, 30, 45, 45), (5, 5, 20, 20)), ["", ""])
    assert (alone[5, 10] == second[5, 10]).all()


def test_nothing_detected() -> None:
    frame = np.full((40, 60, 3), 7, np.uint8)
    assert (draw(frame, sv.Detections.empty(), []) == frame).all()


def test_labels_must_match() -> None:
    with pytest.raises(ValueError, match="1 detections but 0 labels"):
        draw(np.zeros((9, 9, 3), np.uint8), _detections((1, 1, 5, 5)), [])


def _overlaps(some: np.ndarray, others: np.ndarray) -> np.ndarray:
    """Pixels (n, m) that boxes have in common."""
    shared = np.minimum(some[:, None, 2:], others[:, 2:]) - np.maximum(some[:, None, :2], others[:, :2])
    return shared.clip(min=0).prod(axis=2)


_BOXES = st.lists(
    st.tuples(st.floats(0, 600), st.floats(0, 440), st.floats(4, 200), st.floats(4, 200)),
    min_size=1,
    max_size=12,
)


@given(boxes=_BOXES, label=st.tuples(st.floats(5, 200), st.floats(8, 30)))
@settings(max_examples=60, deadline=None)
def test_captions_stay_inside_and_apart(
    boxes: list[tuple[float, float, float, float]], label: tuple[float, float]
) -> None:
    xyxy = np.array([(x, y, x + width, y + height) for x, y, width, height in boxes])
    places = caption_places(xyxy, np.arange(len(xyxy)), np.array([label] * len(xyxy)), (640, 480))
    shared = _overlaps(places, places)
    np.fill_diagonal(shared, 0)
    # Twelve captions of any such size fit into this picture, and under half a pixel is not seen.
    assert shared.max() <= 0.5
    assert (places[:, :2] >= 0).all()
    assert (places[:, 2:] <= [640, 480]).all()


def test_captions_avoid_boxes_where_possible() -> None:
    rows = np.arange(5)
    xyxy = np.stack([60 + 70 * rows, 60 + 0 * rows, 120 + 70 * rows, 120 + 0 * rows], axis=1).astype(float)
    places = caption_places(xyxy, rows, np.array([(150.0, 20.0)] * 5), (640, 480))
    assert _overlaps(places, xyxy).max() == 0


def test_distant_caption_is_connected_to_its_box() -> None:
    tower = [(200, 0, 400, 299), (0, 0, 199, 299), (401, 0, 600, 299)]
    boxes = _detections(
        *((float(a), float(b), float(c), float(d)) for a, b, c, d in (*tower, (280, 100, 300, 120)))
    )
    bare = draw(np.zeros((480, 600, 3), np.uint8), boxes, [""] * 4)
    drawn = draw(np.zeros((480, 600, 3), np.uint8), boxes, ["", "", "", "hostile"])
    changed = (drawn != bare).any(axis=2)
    assert changed[310:, 250:350].any()  # the caption stands below the boxes that leave no room
    assert changed[130:290, 250:350].any(axis=1).all()  # and a line leads there


def test_closeup_puts_the_box_in_the_middle_enlarged() -> None:
    frame = np.zeros((100, 200, 3), np.uint8)
    frame[40:50, 90:110] = 200
    box = np.array([90.0, 40, 110, 50])
    cut = closeup(frame, sv.Detections.empty(), [], box=box, side=120, margin=1.0)
    ys, xs = np.nonzero(cut[:, :, 0] > 100)
    # A 20 x 10 px object with its side around it makes 60 px, shown as 120: enlarged twice.
    assert [xs.min(), ys.min(), xs.max() + 1, ys.max() + 1] == [40, 50, 80, 70]
    drawn = closeup(frame, _detections((90, 40, 110, 50)), [""], box=box, side=120, margin=1.0)
    ys, xs = np.nonzero((drawn != cut).any(axis=2))
    assert np.abs(np.array([xs.min(), ys.min(), xs.max(), ys.max()]) - [40, 50, 80, 70]).max() <= 1


@pytest.mark.parametrize("corner", [(-10, -10), (190, 90), (500, 500)])
def test_closeup_beyond_the_edge(corner: tuple[int, int]) -> None:
    box = np.array([*corner, corner[0] + 20, corner[1] + 20], float)
    frame = np.full((100, 200, 3), 99, np.uint8)
    assert closeup(frame, sv.Detections.empty(), [], box=box, side=64).shape == (64, 64, 3)


def test_closeup_masks_follow() -> None:
    mask = np.zeros((1, 100, 200), bool)
    mask[0, 40:50, 90:110] = True
    box = np.array([90.0, 40, 110, 50])
    found = _detections((90, 40, 110, 50), masks=mask)
    cut = closeup(np.zeros((100, 200, 3), np.uint8), found, [""], box=box, side=120)
    assert cut[60, 60].any()
    assert not cut[20, 20].any()
