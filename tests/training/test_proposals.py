import cv2
import numpy as np
import pandas as pd
import pytest
import supervision as sv

from gotowce_dagster.training.proposals import (
    is_background,
    judged,
    questions,
    searched_frames,
    surely_seen,
    two_looks,
)
from tests.training.proposing import PARAMS, seen, sees

BOX = [100.0, 40, 120, 60]
MIRRORED = [40.0, 40, 60, 60]  # in 160 pixels


@pytest.mark.parametrize(
    ("first", "second", "found", "sure"),
    [
        (sees([BOX], [0.9]), sees([MIRRORED], [0.9]), 1, [True]),
        (sees([BOX], [0.9]), sees([MIRRORED], [0.3]), 1, [False]),
        (sees([BOX], [0.3]), sees([MIRRORED], [0.9]), 1, [False]),
        (sees([BOX], [0.9]), sees([BOX], [0.9]), 1, [False]),
        (sees([BOX], [0.9]), sees([], []), 1, [False]),
        (sees([BOX], [0.01]), sees([MIRRORED], [0.9]), 0, []),
    ],
    ids=["both", "not sure mirrored", "sure only mirrored", "elsewhere", "not mirrored", "no doubt even"],
)
def test_two_looks(first: sv.Detections, second: sv.Detections, found: int, sure: list[bool]) -> None:
    image = np.zeros((96, 160, 3), np.uint8)
    image[:, :80] = 255
    seen, is_sure = two_looks(image, lambda some: first if some[0, 0, 0] else second, PARAMS)
    assert len(seen) == found
    assert is_sure.tolist() == sure


@pytest.mark.parametrize(("count", "looks"), [(0, 1), (3, 4), (40, 2)])
def test_a_model_that_is_sure_of_everything_looks_twice(count: int, looks: int) -> None:
    """Every box has its own look in the mirror image, until one at the whole picture costs less."""
    image = np.zeros((600, 800, 3), np.uint8)
    corners = [(20 + 100 * column, 20 + 120 * row) for row in range(5) for column in range(8)][:count]
    for left, top in corners:
        image[top : top + 24, left : left + 30] = 128
    seen: list[tuple[int, ...]] = []

    def predict(some: np.ndarray) -> sv.Detections:
        seen.append(some.shape)
        _, _, found, _ = cv2.connectedComponentsWithStats((some[..., 0] == 128).astype(np.uint8))
        found = found[1:, :4]
        return sees(np.hstack([found[:, :2], found[:, :2] + found[:, 2:]]).tolist(), [0.9] * len(found))

    found, sure = two_looks(image, predict, PARAMS)
    assert (len(found), sure.tolist()) == (count, [True] * count)
    assert len(seen) == looks
    assert set(seen[1:]) <= ({(256, 256, 3)} if count < 10 else {image.shape})


@pytest.mark.parametrize(
    ("box", "hud", "smallest_px", "seen"),
    [
        (BOX, None, 20.0, 1),
        (BOX, [90, 30, 130, 70], 20.0, 0),
        (BOX, [0, 0, 50, 50], 20.0, 1),
        (BOX, None, 101.0, 0),
    ],
    ids=["a target", "on the HUD", "beside the HUD", "smaller than any target"],
)
def test_what_is_surely_seen_is_adopted_at_once(
    box: list[float], hud: list[int] | None, smallest_px: float, seen: int
) -> None:
    image = np.zeros((96, 160, 3), np.uint8)
    image[:, :80] = 255
    panels = None
    if hud:
        panels = np.zeros((96, 160), bool)
        panels[hud[1] : hud[3], hud[0] : hud[2]] = True

    def predict(some: np.ndarray) -> sv.Detections:
        return sees([box] if some[0, 0, 0] else [MIRRORED], [0.9])

    found = surely_seen(image, predict, PARAMS, hud=panels, usual=None, smallest_px=smallest_px, rare=True)
    assert len(found) == seen


@pytest.mark.parametrize("rare", [True, False])
def test_what_has_look_alikes_is_background_where_targets_are_rare(rare: bool) -> None:
    spot = np.random.default_rng(1).integers(0, 255, (12, 12, 1), dtype=np.uint8)
    image = np.zeros((240, 320, 3), np.uint8)
    for x in range(20, 300, 40):
        for y in range(20, 220, 40):
            image[y : y + 12, x : x + 12] = spot
    boxes = np.array([[140.0, 100, 152, 112]])
    found = is_background(image, boxes, hud=None, usual=None, least_px=6, rare=rare)
    assert found.tolist() == [rare]


@pytest.mark.parametrize(
    ("rows", "hold", "use"),
    [
        ([(n, 9.0 * n, False, True, False) for n in range(2)], 3, ["adopted"] * 2),
        ([(0, 0, False, True, False)], 3, ["painted over"]),
        ([(0, 0, False, False, False)], 3, ["painted over"]),
        ([(0, 0, False, False, True)], 3, ["background"]),
        ([(n, 9.0 * n, False, n != 1, False) for n in range(3)], 2, ["adopted"] * 3),
        ([(n, 9.0 * n, False, n < 2, False) for n in range(3)], 2, ["adopted", "adopted", "painted over"]),
        ([(n, 9.0 * n, False, False, False) for n in range(3)], 3, ["painted over"] * 3),
        ([(n, 9.0 * n, False, n != 1, False) for n in range(3)], 4, ["adopted", "painted over"] * 2),
        ([(n, 9.0 * n, n == 0, n != 1, False) for n in range(3)], 2, ["adopted"] * 3),
        ([(n, 200.0 * n, False, n != 1, False) for n in range(3)], 2, ["painted over"] * 3),
    ],
    ids=[
        "sure in both looks, and seen again", "seen once only", "doubtful", "stands still",
        "between sure ones", "after them", "never sure", "a track too short",
        "a track that was labelled once", "three places, no track",
    ],
)  # fmt: skip
def test_tracks_that_hold_are_adopted(rows: list, hold: int, use: list[str]) -> None:
    frames = pd.DataFrame({"video": "a", "frame_index": range(3), "time_s": [0, 0.5, 1.0], "block": 0})
    found = judged(seen(*rows), frames, PARAMS.model_copy(update={"hold": hold}))
    assert found["use"].tolist() == use[: len(rows)]
    asked = questions(found, PARAMS.model_copy(update={"hold": hold}))
    is_doubtful_track = (found["held"] >= hold) & (found["use"] == "painted over")
    assert len(asked) == is_doubtful_track.sum()
    assert questions(found.assign(confidence=0.2), PARAMS).empty


@pytest.mark.parametrize(
    ("rows", "times", "use"),
    [
        ([(0, 0, False, True, False)], [0, 0.5, 1.0], ["background"]),
        ([(1, 0, False, False, False)], [0, 0.5, 1.0], ["background"]),
        ([(0, 0, False, True, False)], [0, 9.0, 18.0], ["painted over"]),
        ([(n, 9.0 * n, False, True, False) for n in range(2)], [0, 0.5, 1.0], ["painted over"] * 2),
        ([(n, 9.0 * n, False, True, False) for n in range(3)], [0, 0.5, 1.0], ["adopted"] * 3),
        (
            [(n, 9.0 * n, False, n != 1, False) for n in range(3)],
            [0, 0.5, 1.0],
            ["adopted", "painted over", "adopted"],
        ),
    ],
    ids=[
        "sure but gone", "doubtful and gone", "nobody looked around it", "twice", "holds",
        "holds, surely found twice",
    ],
)  # fmt: skip
def test_what_is_small_is_believed_only_if_it_holds(rows: list, times: list[float], use: list[str]) -> None:
    frames = pd.DataFrame({"video": "a", "frame_index": range(3), "time_s": times, "block": 0})
    small = seen(*rows).assign(small=True)
    assert judged(small, frames, PARAMS.model_copy(update={"hold": 3}))["use"].tolist() == use
    assert "background" not in set(judged(small.assign(small=False), frames, PARAMS)["use"])


@pytest.mark.parametrize(
    ("confidence", "seen_in", "times", "use"),
    [
        (0.2, 1, [0, 0.5, 1.0], "background"),
        (0.2, 2, [0, 0.5, 1.0], "background"),
        (0.2, 3, [0, 0.5, 1.0], "painted over"),
        (0.3, 1, [0, 0.5, 1.0], "painted over"),
        (0.2, 1, [0, 9.0, 18.0], "painted over"),
    ],
    ids=[
        "faint and gone",
        "faint for a while",
        "faint, but holds",
        "not so faint",
        "nobody looked around it",
    ],
)
def test_what_is_faint_and_does_not_hold_is_background(
    confidence: float, seen_in: int, times: list[float], use: str
) -> None:
    frames = pd.DataFrame({"video": "a", "frame_index": range(3), "time_s": times, "block": 0})
    rows = seen(*[(n, 9.0 * n, False, False, False) for n in range(seen_in)]).assign(confidence=confidence)
    params = PARAMS.model_copy(update={"hold": 3, "faint": 0.25})
    assert set(judged(rows, frames, params)["use"]) == {use}
    assert set(judged(rows.assign(still=True), frames, params)["use"]) == {"background"}
    assert set(judged(rows, frames, params.model_copy(update={"faint": 0.0}))["use"]) == {"painted over"}


def test_a_frame_of_another_shot_is_no_witness() -> None:
    frames = pd.DataFrame(
        {"video": "a", "frame_index": range(3), "time_s": [0, 0.5, 1.0], "block": [0, 1, 1]}
    )
    small = seen((0, 0, False, True, False), (1, 100.0, False, True, False)).assign(small=True)
    assert judged(small, frames, PARAMS)["use"].tolist() == ["painted over", "background"]


def test_a_longer_video_is_searched_in_runs() -> None:
    rows = pd.DataFrame(
        {
            "split": "train", "reviewed": False, "video": "a", "frame_index": np.arange(100) * 10,
            "kind": "as-is", "image": "x",
        }
    )  # fmt: skip
    found = searched_frames(rows, 12, 3)["frame_index"].to_numpy() // 10
    assert len(found) == 12
    assert (np.diff(found.reshape(-1, 3), axis=1) == 1).all()
    assert found[0] == 0
    assert found[-1] == 99
