from pathlib import Path

import cv2
import numpy as np
import pandas as pd
import pytest

from gotowce_dagster.training.look_alikes import have_look_alikes, in_crowds

_STARS = [(20 + 34 * column, 20 + 30 * row) for column in range(9) for row in range(7)]
_SHIP = (150, 64, 174, 80)


def _sky(stars: list[tuple[int, int]], ship: bool = True) -> np.ndarray:
    """A frame of 240 by 320 px with soft spots of different brightness, and a ship of lines."""
    rng = np.random.default_rng(1)
    y, x = np.mgrid[:240, :320]
    sky = np.zeros((240, 320))
    for at_x, at_y in stars:
        sky += rng.uniform(60, 200) * np.exp(-((x - at_x) ** 2 + (y - at_y) ** 2) / 18)
    if ship:
        x1, y1, x2, y2 = _SHIP
        sky[y1:y2, x1:x2] = rng.integers(0, 255, (y2 - y1, x2 - x1))
    return np.repeat(sky.clip(0, 255).astype(np.uint8)[..., None], 3, axis=2)


def _around(x: int, y: int) -> list[float]:
    return [x - 6.0, y - 6, x + 6, y + 6]


@pytest.mark.parametrize(
    ("stars", "box", "found"),
    [
        (_STARS, _around(*_STARS[20]), True),
        (_STARS, _around(*_STARS[0]), True),
        (_STARS[:1], _around(*_STARS[0]), False),
        (_STARS, list(_SHIP), False),
        ([], [10.0, 10, 30, 30], False),
        (_STARS, [400.0, 400, 420, 420], False),
        (_STARS, [-50.0, -50, 500, 500], False),
    ],
    ids=["a star", "in a corner", "the only star", "a ship", "empty sky", "outside", "the whole frame"],
)
def test_what_is_seen_all_around_has_look_alikes(
    stars: list[tuple[int, int]], box: list[float], found: bool
) -> None:
    assert have_look_alikes(_sky(stars), np.array([box])).tolist() == [found]


def test_no_box_has_none() -> None:
    assert have_look_alikes(_sky(_STARS), np.zeros((0, 4))).shape == (0,)


def _dataset(folder: Path, boxes: list[list[float]]) -> pd.DataFrame:
    """One labelled target in each frame."""
    for kind in ("images", "labels"):
        (folder / kind / "train").mkdir(parents=True)
    (folder / "data.yaml").write_text("train: images/train\nnames: {0: ship}\n")
    rows = []
    for number, (x1, y1, x2, y2) in enumerate(boxes):
        name = f"train/a_{number:06d}"
        cv2.imwrite(str(folder / f"images/{name}.png"), _sky(_STARS))
        label = f"0 {(x1 + x2) / 640} {(y1 + y2) / 480} {(x2 - x1) / 320} {(y2 - y1) / 240}\n"
        (folder / f"labels/{name}.txt").write_text(label)
        rows.append({"video": "a", "frame_index": number, "image": f"images/{name}.png", "kind": "erased"})
    return pd.DataFrame(rows).assign(profile="game", split="train")


@pytest.mark.parametrize(
    ("stars", "ships", "crowds"), [(0, 10, set()), (1, 9, set()), (3, 7, {"game"}), (0, 0, set())]
)
def test_labelled_targets_tell_whether_they_come_in_crowds(
    tmp_path: Path, stars: int, ships: int, crowds: set[str]
) -> None:
    boxes = [_around(*_STARS[20])] * stars + [list(map(float, _SHIP))] * ships
    rows = _dataset(tmp_path, boxes)
    if rows.empty:
        rows = pd.DataFrame(columns=["video", "frame_index", "image", "kind", "profile", "split"])
    assert in_crowds(tmp_path, rows) == crowds


@pytest.mark.parametrize("kept_out", [{"split": "val"}, {"kind": "unknown"}], ids=["validation", "unknown"])
def test_only_labelled_frames_of_training_tell_of_crowds(tmp_path: Path, kept_out: dict[str, str]) -> None:
    stars = [_around(*_STARS[20])] * 3
    rows = _dataset(tmp_path, [*stars, *([list(map(float, _SHIP))] * 7)])
    assert in_crowds(tmp_path, rows) == {"game"}
    assert in_crowds(tmp_path, pd.concat([rows[:3].assign(**kept_out), rows[3:]])) == set()
