"""Marks drawn on known pictures: erased, nothing of them is left and nothing else is touched."""

from pathlib import Path

import cv2
import numpy as np
import pytest

from gotowce_dagster.core.truth import read_truth
from gotowce_dagster.designators.erase import erase, mark_pixels
from gotowce_dagster.designators.profile import Designator, FrameLook, Look, Profile, RadialLook, read_profile
from gotowce_dagster.detectors.local.bracket import Bracket
from gotowce_dagster.video.decode import read_frames
from tests.worlds import ROOT

RED = (200, 20, 20)
MARK = Designator.model_validate(
    {
        "name": "target",
        "class_name": "ship",
        "colours": [{"ycrcb": [74, 218, 98], "tolerance": [50, 40, 25]}],
        "arm": [0.2, 0.3],
        "arm_px": 10.0,
        "gap": [0.4, 0.6],
        "thickness_px": 2.0,
        "size_px": [25.0, 0.0],
    }
)
BOX = np.array([100.0, 60.0, 148.0, 108.0])


def _sky(seed: int = 0) -> np.ndarray:
    noise = np.random.default_rng(seed).normal(40, 4, (160, 320, 3))
    return np.clip(noise, 0, 255).astype(np.uint8)


def _marked(image: np.ndarray, box: np.ndarray = BOX, arm: int = 12) -> np.ndarray:
    drawn = image.copy()
    x1, y1, x2, y2 = box.astype(int)
    for x, y, right, down in (
        (x1, y1, 1, 1),
        (x2 - 1, y1, -1, 1),
        (x1, y2 - 1, 1, -1),
        (x2 - 1, y2 - 1, -1, -1),
    ):
        cv2.rectangle(drawn, (x, y), (x + right * (arm - 1), y + down), RED, -1)
        cv2.rectangle(drawn, (x, y), (x + right, y + down * (arm - 1)), RED, -1)
    return drawn


def _compressed(image: np.ndarray) -> np.ndarray:
    data = cv2.imencode(".jpg", image, [cv2.IMWRITE_JPEG_QUALITY, 90])[1]
    return np.asarray(cv2.imdecode(data, cv2.IMREAD_COLOR))


def test_no_red_is_left_and_the_rest_is_as_it_was() -> None:
    image = _compressed(_marked(_sky()))
    erased = erase(image, [(BOX, MARK)])
    redness = erased.image[..., 0].astype(int) - erased.image[..., 1]
    assert redness.max() < 40
    assert (erased.image[~erased.painted] == image[~erased.painted]).all()
    assert 0 < erased.painted.sum() < 0.5 * 48 * 48
    assert not erased.painted[75:93, 115:133].any(), "the inside, where the target is"


def test_the_fill_has_the_grain_of_its_surroundings() -> None:
    erased = erase(_marked(_sky()), [(BOX, MARK)])
    inside, around = erased.image[erased.painted], erased.image[~erased.painted]
    assert abs(inside.mean() - around.mean()) < 2
    assert 0.5 < inside.std() / around.std() < 1.5


def test_targets_are_never_touched() -> None:
    spare = np.zeros((160, 320), bool)
    spare[50:120, 90:112] = True
    image = _marked(_sky())
    erased = erase(image, [(BOX, MARK)], spare)
    assert (erased.image[spare] == image[spare]).all()
    assert erased.painted.any()


@pytest.mark.parametrize(
    ("words", "gap", "erased"),
    [
        (("Cobra", "3.4 km"), 3, True),
        (("Cobra", "3.4 km"), 60, False),
        (("x",), 3, False),
    ],
    ids=["glued to the mark", "far from it", "too little for text"],
)
def test_text(words: tuple[str, ...], gap: int, erased: bool) -> None:
    image = _marked(_sky())
    before = image.copy()
    for row, word in enumerate(words):
        place = (int(BOX[2]) + gap, 74 + 18 * row)
        cv2.putText(image, word, place, cv2.FONT_HERSHEY_SIMPLEX, 0.5, RED, 1)
    letters = (image != before).any(axis=2)
    found = mark_pixels(image, BOX, MARK)
    assert found[letters].mean() == (pytest.approx(1.0, abs=0.05) if erased else pytest.approx(0, abs=0.05))


def test_a_corner_behind_a_panel_is_left_alone() -> None:
    image = _marked(_sky())
    image[90:, 130:] = 128
    erased = erase(image, [(BOX, MARK)])
    assert not erased.painted[90:, 130:].any()
    assert erased.painted[60:72, 100:112].any()


def test_what_is_behind_comes_from_a_frame_of_the_same_camera() -> None:
    sky = _sky()
    sky[64:70, 90:170] = (90, 140, 200)  # a line that inpainting could not know of
    still, moved = sky.copy(), np.roll(sky, 9, axis=0)
    for others, exact in (([still], True), ([moved], False), ([moved, still], True)):
        erased = erase(_marked(sky), [(BOX, MARK)], None, others)
        assert (erased.image == sky).all() == exact
    marked_too = erase(_marked(sky), [(BOX, MARK)], None, [_marked(sky)])
    assert (marked_too.image[..., 0].astype(int) - marked_too.image[..., 1] < 60).all()


def test_at_the_edge_and_outside_the_frame() -> None:
    for box in (
        np.array([-20.0, -20, 28, 28]),
        np.array([300.0, 130, 348, 178]),
        np.array([400.0, 10, 440, 50]),
    ):
        erased = erase(_marked(_sky()), [(box, MARK)])
        assert erased.image.shape == (160, 320, 3)


@pytest.mark.parametrize(
    ("clip", "profile"), [("naev_hostile_sample", "naev"), ("oolite_red_sample", "oolite")]
)
def test_the_detector_finds_no_mark_that_was_erased(clip: str, profile: str) -> None:
    known: Profile = read_profile(ROOT / "data" / "profiles" / f"{profile}.toml")
    designators = {designator.name: designator for designator in known.designators}
    detector = Bracket(known, min_confidence=0.3)
    samples = Path(ROOT) / "data" / "samples"
    truth = read_truth(samples / "truth.csv")
    rows = truth[(truth["clip"] == f"{clip}.mp4") & (truth["label"] == "designator")]
    found = erased = 0
    for frame in read_frames(samples / f"{clip}.mp4", set(rows["frame_index"])):
        image = frame.rgb()
        (before,) = detector.detect([image])
        marks = [
            (box, designators[str(name)])
            for box, name in zip(before.xyxy, before.data["prompt"], strict=True)
        ]
        (after,) = detector.detect([erase(image, marks).image])
        found, erased = found + len(before), erased + len(before) - len(after)
    assert found >= 4
    assert erased == found


_OF_LOOK = {
    "name": "target",
    "class_name": "ship",
    "colours": MARK.colours,
    "size_px": (25.0, 100.0),
    "aspect": (0.8, 1.25),
    "thickness_px": 2.0,
    "fill": 1.0,
}


@pytest.mark.parametrize("family", ["frame", "radial"])
def test_marks_of_other_families_are_erased_and_not_found_again(family: str) -> None:
    drawn, box = _sky(), BOX.astype(int)
    look: Look
    if family == "frame":
        look = FrameLook.model_validate(_OF_LOOK)
        cv2.rectangle(drawn, tuple(box[:2]), tuple(box[2:] - 1), RED, 2)
    else:
        look = RadialLook.model_validate(_OF_LOOK | {"shape": "ring"})
        cv2.circle(drawn, tuple((box[:2] + box[2:]) // 2), 23, RED, 2, cv2.LINE_AA)
    cv2.circle(drawn, tuple((box[:2] + box[2:]) // 2), 6, (200, 200, 190), -1)
    image = _compressed(drawn)
    detector = Bracket(Profile(name="game", designators=(look,)))
    (before,) = detector.detect([image])
    assert len(before) == 1
    erased = erase(image, [(before.xyxy[0], look)])
    (after,) = detector.detect([erased.image])
    assert len(after) == 0
    redness = erased.image[..., 0].astype(int) - erased.image[..., 1]
    assert redness.max() < 40
    assert not erased.painted[80:88, 120:128].any(), "the target in the middle"
    assert (erased.image[~erased.painted] == image[~erased.painted]).all()
