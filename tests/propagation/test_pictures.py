import numpy as np
import pandas as pd
import pytest

from gotowce_dagster.core import rle
from gotowce_dagster.core.boxes import BOX
from gotowce_dagster.propagation.pictures import confidence, prompt_grid, seconds, timeline, with_masks
from gotowce_dagster.propagation.points import COLUMNS

WIDTH, HEIGHT = 200, 120
IMAGE = np.full((HEIGHT, WIDTH, 3), 40, np.uint8)
NO_POINTS = pd.DataFrame({name: [] for name in COLUMNS}).astype({"frame_index": int, "object_id": str})


def row(frame: int, name: str, box: tuple[int, int, int, int] | None, **changes: object) -> dict[str, object]:
    known = {"frame_index": frame, "object_id": name, "class_name": "ship", "height": HEIGHT, "width": WIDTH}
    measures = dict.fromkeys(("predicted_iou", "stability", "area_change", "motion", "appearance"), 0.9)
    found = known | measures | {"detected": np.nan, "prompt": "propagated", "state": "sure", "rle": None}
    if box is not None:
        mask = np.zeros((HEIGHT, WIDTH), bool)
        mask[box[1] : box[3], box[0] : box[2]] = True
        found |= {"rle": rle.encode(mask), **dict(zip(BOX, box, strict=True))}
    return found | changes


def changed(picture: np.ndarray, before: np.ndarray) -> np.ndarray:
    return (picture.astype(int) - before).any(axis=2)


def test_masks_are_drawn_and_lost_objects_are_listed() -> None:
    rows = pd.DataFrame([row(3, "0/0", (60, 40, 100, 70)), row(3, "0/1", None, state="lost")])
    picture = with_masks(IMAGE, rows)
    assert changed(picture, IMAGE)[45:65, 65:95].all()
    assert changed(picture, IMAGE)[-30:, :80].any()
    assert not changed(picture, IMAGE)[90:95, 150:].any()
    assert not changed(with_masks(IMAGE, rows[:0]), IMAGE).any()


def test_an_object_keeps_its_colour() -> None:
    one = with_masks(IMAGE, pd.DataFrame([row(0, "0/0", (60, 40, 100, 70))]))
    two = with_masks(IMAGE, pd.DataFrame([row(1, "0/4", (5, 80, 30, 100)), row(1, "0/0", (60, 40, 100, 70))]))
    assert one[55, 80].tolist() == two[55, 80].tolist()


def test_positive_points_are_filled_and_negative_ones_hollow() -> None:
    points = pd.DataFrame(
        [(3, "a", 80.0, 55.0, 1), (3, "a", 130.0, 55.0, 0), (3, "b", 90.0, 60.0, 1)], columns=COLUMNS
    )
    rows = pd.DataFrame([row(3, "points/a", (60, 40, 100, 70), prompt="points")])
    sheet = prompt_grid([(3, IMAGE)], rows, points, columns=1)
    white = (sheet[:300] == 255).all(axis=2)
    rings = [np.argwhere(white[:, part]) for part in (slice(0, 165), slice(165, 330))]
    filled, hollow = (len(pixels) for pixels in rings)
    assert filled > 1.4 * hollow > 0


def test_propagated_rows_are_no_prompts() -> None:
    rows = pd.DataFrame([row(3, "0/0", (60, 40, 100, 70), prompt="propagated back")])
    nothing = prompt_grid([], rows[:0], NO_POINTS)
    assert (prompt_grid([(3, IMAGE)], rows, NO_POINTS) == nothing).all()


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({}, 0.9),
        ({"motion": 0.2}, 0.2),
        ({"detected": 0.1}, 0.1),
        ({"rle": None}, 0.0),
        (dict.fromkeys(("predicted_iou", "stability", "area_change", "motion", "appearance"), np.nan), 1.0),
    ],
    ids=["all good", "one bad", "against its detection", "lost", "no measures"],
)
def test_confidence_is_the_weakest_measure(changes: dict, expected: float) -> None:
    assert confidence(pd.DataFrame([row(0, "0/0", (1, 1, 5, 5)) | changes]))[0] == pytest.approx(expected)


@pytest.mark.parametrize(
    ("known", "frames", "expected"),
    [
        pytest.param({10: 1.0, 20: 2.0}, [10, 15, 20], [1.0, 1.5, 2.0], id="known and between"),
        pytest.param(
            {10: 1.0, 20: 2.0, 30: 4.0}, [5, 35], [0.5, 5.0], id="before and after, by the nearest two"
        ),
        pytest.param({10: 1.0}, [5, 30], [1.0, 1.0], id="a single time gives no rate"),
    ],
)
def test_frames_between_and_beyond_known_times(
    known: dict[int, float], frames: list[int], expected: list[float]
) -> None:
    assert seconds(np.array(frames, float), pd.Series(known)) == pytest.approx(expected)


def test_timeline_has_a_line_for_each_object() -> None:
    rows = [row(n, name, (1, 1, 9, 9)) for name in ("0/0", "0/1", "0/2") for n in range(5)]
    rows += [
        row(5, "0/0", None, state="lost"),
        row(6, "0/0", (1, 1, 9, 9), prompt="point@3", state="doubtful"),
    ]
    one = timeline(pd.DataFrame(rows[:5]), pd.Series(np.arange(10) / 10))
    three = timeline(pd.DataFrame(rows), pd.Series(np.arange(10) / 10))
    assert three.shape[0] > one.shape[0]
    assert timeline(pd.DataFrame(rows[:0], columns=list(rows[0])), pd.Series(dtype=float)).ndim == 3
