from pathlib import Path

import cv2
import numpy as np
import pandas as pd
import pytest

from gotowce_dagster.training.hud import hud_panels, usual_of


def _dataset(folder: Path, videos: dict[str, list[tuple[int, int]]], icon_in: set[str]) -> pd.DataFrame:
    """Frames of 160 by 240 px with a labelled target at each place given (its corner), and a panel."""
    rows = []
    for kind in ("images", "labels"):
        (folder / kind / "train").mkdir(parents=True, exist_ok=True)
    (folder / "data.yaml").write_text("train: images/train\nnames: {0: ship}\n")
    for video, places in videos.items():
        for number, (x, y) in enumerate(places):
            image = np.full((160, 240, 3), 20, np.uint8)
            image[y : y + 16, x : x + 16] = 180
            if video in icon_in:
                image[110:150, 90:130:8] = image[110:150, 91:130:8] = 200
            name = f"images/train/{video}_{number:06d}"
            cv2.imwrite(str(folder / f"{name}.png"), image)
            label = f"0 {(x + 8) / 240} {(y + 8) / 160} {16 / 240} {16 / 160}\n"
            (folder / f"labels/train/{video}_{number:06d}.txt").write_text(label)
            rows.append(
                {"video": video, "profile": "game", "split": "train", "kind": "as-is", "image": f"{name}.png"}
            )
    return pd.DataFrame(rows)


_MOVING = [(20 * number, 10 * number) for number in range(9)]


@pytest.mark.parametrize(
    ("icon_in", "share"),
    [({"a", "b", "c"}, 1.0), ({"a", "c"}, 1.0), ({"a"}, 0.0)],
    ids=["in every video", "in two of three", "in one only"],
)
def test_a_panel_stands_in_half_of_the_videos_of_its_game(
    tmp_path: Path, icon_in: set[str], share: float
) -> None:
    rows = _dataset(tmp_path, {"a": _MOVING, "b": _MOVING[::-1], "c": _MOVING}, icon_in)
    hud = hud_panels(tmp_path, rows)["game"]
    assert hud[115:145, 95:120].mean() == share
    assert not hud[:100, :80].any()


@pytest.mark.parametrize(("count", "share"), [(2, 0.0), (3, 1.0)])
def test_of_many_videos_two_may_be_alike_by_chance(tmp_path: Path, count: int, share: float) -> None:
    rows = _dataset(tmp_path, dict.fromkeys("abcdef", _MOVING), set("abcdef"[:count]))
    assert hud_panels(tmp_path, rows)["game"][115:145, 95:120].mean() == share


def test_the_only_video_of_a_game_tells_its_panels(tmp_path: Path) -> None:
    hud = hud_panels(tmp_path, _dataset(tmp_path, {"a": _MOVING}, {"a"}))["game"]
    assert hud[115:145, 95:120].all()


def test_labelled_targets_that_stand_still_are_no_panel(tmp_path: Path) -> None:
    rows = _dataset(tmp_path, {"a": [(100, 60)] * 9}, {"a"})
    assert hud_panels(tmp_path, rows) == {}
    assert usual_of(tmp_path, rows) is None


def test_a_few_frames_tell_nothing(tmp_path: Path) -> None:
    rows = _dataset(tmp_path, {"a": _MOVING[:4]}, {"a"})
    assert hud_panels(tmp_path, rows) == {}
    assert usual_of(tmp_path, rows) is None
