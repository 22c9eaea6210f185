from pathlib import Path

import cv2
import numpy as np
import pandas as pd
import pytest

from gotowce_dagster.pictures.write import write_picture
from gotowce_dagster.training.appearance import Appearance, appearance_of

_STARS = [(20 + 34 * column, 20 + 30 * row) for column in range(9) for row in range(7)]
_RED = (220, 20, 30)
_PLACES = {
    "ship": [150, 64, 174, 80],
    "star": [182, 104, 198, 116],
    "glow": [240, 140, 270, 170],
    "arrow": [60, 150, 80, 170],
}
"""What a frame shows, xyxy."""


def _frame() -> np.ndarray:
    """A frame of 240 by 320 px with many stars, one of them large, a ship of lines, and a red arrow."""
    rng = np.random.default_rng(1)
    y, x = np.mgrid[:240, :320]
    sky = np.zeros((240, 320))
    for at_x, at_y in _STARS:
        # Wider than high, so that only their number gives them away.
        sky += rng.uniform(60, 200) * np.exp(-((x - at_x) ** 2 / 24 + (y - at_y) ** 2 / 9))
    sky[130:180, 230:280] = 0
    sky += 220 * np.exp(-((x - 255) ** 2 + (y - 155) ** 2) / 50)
    sky[144:176, 54:86] = 0
    image = np.repeat(sky.clip(0, 255).astype(np.uint8)[..., None], 3, axis=2)
    x1, y1, x2, y2 = _PLACES["ship"]
    image[y1:y2, x1:x2] = rng.integers(0, 255, (y2 - y1, x2 - x1, 1))
    cv2.line(image, (62, 152), (77, 160), _RED, 2)
    cv2.line(image, (62, 168), (77, 160), _RED, 2)
    return image


def _dataset(folder: Path, targets: list[str]) -> pd.DataFrame:
    """One labelled target in each frame, as recorded, with a red mark, and with the mark erased."""
    for kind in ("images", "labels"):
        (folder / kind / "train").mkdir(parents=True)
    (folder / "data.yaml").write_text("train: images/train\nnames: {0: ship}\n")
    rows = []
    for number, target in enumerate(targets):
        x1, y1, x2, y2 = _PLACES[target]
        for kind in ("as-is", "erased"):
            image = _frame()
            if kind == "as-is":
                cv2.rectangle(image, (x1 - 9, y1 - 9), (x2 + 9, y2 + 9), _RED, 2)
            name = f"train/a_{number:06d}_{kind}"
            write_picture(image, folder / f"images/{name}.png")
            label = f"0 {(x1 + x2) / 640} {(y1 + y2) / 480} {(x2 - x1) / 320} {(y2 - y1) / 240}\n"
            (folder / f"labels/{name}.txt").write_text(label)
            rows.append({"frame_index": number, "image": f"images/{name}.png", "kind": kind})
    return pd.DataFrame(rows).assign(video="a", objects=1, profile="game", split="train")


def _proved(appearance: Appearance) -> set[str]:
    """What counts as background in a frame."""
    found = appearance.are_background(_frame(), np.array(list(_PLACES.values()), float))
    return {name for name, is_background in zip(_PLACES, found, strict=True) if is_background}


@pytest.mark.parametrize(
    ("targets", "proved"),
    [
        (["ship"] * 10, {"star", "glow", "arrow"}),
        (["ship"] * 9 + ["star"], {"star", "glow", "arrow"}),
        (["ship"] * 8 + ["star"] * 2, {"glow", "arrow"}),
        (["ship"] * 8 + ["glow"] * 2, {"star", "arrow"}),
        (["ship"] * 8 + ["arrow"] * 2, {"star", "glow"}),
        (["star"] * 2 + ["glow"] * 2 + ["arrow"] * 2, set()),
    ],
    ids=[
        "ships",
        "one labelled by mistake",
        "in crowds",
        "round ones",
        "in the marks' colour",
        "all of them",
    ],
)
def test_a_rule_holds_unless_labelled_targets_break_it(
    tmp_path: Path, targets: list[str], proved: set[str]
) -> None:
    assert _proved(appearance_of(tmp_path, _dataset(tmp_path, targets))["game"]) == proved


def test_without_labelled_targets_all_rules_hold_that_need_no_mark(tmp_path: Path) -> None:
    rows = _dataset(tmp_path, ["ship"])
    appearance = appearance_of(tmp_path, rows.assign(kind="unknown", objects=0))["game"]
    assert _proved(appearance) == {"star", "glow"}


def test_without_a_rule_looks_prove_nothing() -> None:
    assert _proved(Appearance()) == set()
