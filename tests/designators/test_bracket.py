from collections.abc import Callable

import cv2
import numpy as np
import pytest
import supervision as sv
from hypothesis import given, settings
from hypothesis import strategies as st

from gotowce_dagster.core.colour import Colour
from gotowce_dagster.designators import evidence
from gotowce_dagster.designators.evidence import shifted_mask
from gotowce_dagster.designators.profile import Profile
from gotowce_dagster.detectors.local.bracket import Bracket
from tests.detectors.marks import PROFILE, RED, TARGET, compressed, confidences, corners, put_mark, sky
from tests.support.synthetic import Bracket as Look


def detect(image: np.ndarray, profile: Profile = PROFILE) -> sv.Detections:
    found = Bracket(profile).detect([image])[0]
    sure = found[confidences(found) >= 0.5]
    assert isinstance(sure, sv.Detections)
    return sure


def iou(found: sv.Detections, box: np.ndarray) -> float:
    return float(sv.box_iou_batch(box[None], found.xyxy)[0].max(initial=0))


@pytest.mark.parametrize("side", [30, 42, 43, 67, 120, 250, 355])
@pytest.mark.parametrize("thickness", [1, 2])
def test_mark_of_any_size_is_found(side: int, thickness: int) -> None:
    image = sky()
    box = put_mark(image, 200, 3, side, Look(colour=RED, thickness=thickness))
    found = detect(compressed(image))
    assert len(found) == 1
    assert iou(found, box) >= 0.9
    assert confidences(found)[0] > 0.9
    assert corners(found) == [4]
    assert list(found.data["class_name"]) == ["ship"]
    assert list(found.data["prompt"]) == ["target"]


def test_thin_green_corners_on_red_soil_are_found_where_halved_chroma_mixes_both() -> None:
    # As learned from such corners on grey ground: green, with half of the ground in it.
    colour = Colour(ycrcb=(134, 62, 82), tolerance=(45, 39, 29))
    thin = TARGET.model_copy(update={"colours": (colour,), "thickness_px": 1.0, "vividness": 51.0})
    soil = cv2.cvtColor(np.full((240, 320, 3), (110, 168, 105), np.uint8), cv2.COLOR_YCrCb2RGB)
    box = put_mark(soil, 200, 60, 60, Look(colour=(0, 255, 0), thickness=1))
    found = detect(compressed(soil), Profile(name="p", designators=(thin,)))
    assert len(found) == 1
    assert iou(found, box) >= 0.9


def test_what_is_grey_beside_red_has_no_green() -> None:
    colour = Colour(ycrcb=(134, 62, 82), tolerance=(45, 39, 29))
    ycrcb = np.full((81, 100, 3), (120, 128, 128), np.uint8)
    ycrcb[:, 50:] = (120, 240, 90)
    assert not shifted_mask(ycrcb, (colour,)).any()
    ycrcb[40, 20:30] = ycrcb[41, 20:30] = (120, 70, 90)
    assert shifted_mask(ycrcb, (colour,))[40:42, 21:29].all()


@pytest.mark.parametrize(("height", "width"), [(80, 100), (81, 99)])
def test_few_tinted_pixels_and_many_are_looked_up_alike(
    height: int, width: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    colour = Colour(ycrcb=(134, 62, 82), tolerance=(45, 39, 29))
    noise = np.random.default_rng(3).integers(40, 220, (height, width, 3), np.uint8)
    monkeypatch.setattr(evidence, "_FEW", height * width)
    few = shifted_mask(noise, (colour,))
    monkeypatch.setattr(evidence, "_FEW", 0)
    assert np.array_equal(few, shifted_mask(noise, (colour,)))
    assert 0 < few.mean() < 0.5


def test_rounded_corners_of_a_fixed_size_are_found_on_larger_marks() -> None:
    rounded = TARGET.model_copy(update={"rounding": 0.3, "arm": (0.2, 0.25)})
    for side in (43, 88, 180):
        image = sky()
        box = put_mark(image, 150, 60, side, Look(colour=RED, arm=10 / side, radius=0.7))
        found = detect(compressed(image), Profile(name="p", designators=(rounded,)))
        assert iou(found, box) >= 0.9, side


@pytest.mark.slow
@settings(max_examples=25, deadline=None)
@given(x=st.integers(5, 520), y=st.integers(5, 250), side=st.integers(30, 100), seed=st.integers(0, 5))
def test_place_size_and_mirroring_change_nothing(x: int, y: int, side: int, seed: int) -> None:
    image = sky(seed=seed)
    box = put_mark(image, x, y, side)
    for turned, expected in (
        (image, box),
        (image[:, ::-1], np.array([640 - box[2], box[1], 640 - box[0], box[3]])),
        (image[::-1], np.array([box[0], 360 - box[3], box[2], 360 - box[1]])),
    ):
        found = detect(compressed(np.ascontiguousarray(turned)))
        assert len(found) == 1
        assert iou(found, expected) >= 0.88
        assert corners(found) == [4]


def test_same_profile_works_at_another_resolution() -> None:
    image = sky()
    box = put_mark(image, 200, 90, 64)
    larger = cv2.resize(image, None, fx=1.5, fy=1.5, interpolation=cv2.INTER_LINEAR)
    assert iou(detect(compressed(larger)), 1.5 * box) >= 0.88


@pytest.mark.parametrize(
    ("x", "y"),
    [(-30, 150), (580, 150), (200, -40), (200, 300)],
    ids=["left", "right", "top", "bottom"],
)
def test_mark_cut_by_the_edge_is_found_with_two_corners(x: int, y: int) -> None:
    image = sky()
    box = np.clip(put_mark(image, x, y, 80), 0, [640, 360, 640, 360])
    found = detect(compressed(image))
    assert corners(found) == [2]
    assert iou(found, box) >= 0.85
    assert confidences(found)[0] < 0.8


@pytest.mark.parametrize(
    ("panel", "visible"), [((150, 130, 240, 300), 2), ((210, 150, 400, 300), 3)], ids=["two", "one"]
)
def test_corners_behind_a_panel_are_made_up_for(panel: tuple[int, int, int, int], visible: int) -> None:
    image = sky()
    box = put_mark(image, 160, 90, 70)
    x1, y1, x2, y2 = panel
    image[y1:y2, x1:x2] = (20, 20, 20)
    cv2.rectangle(image, (x1, y1), (x2, y2), (170, 170, 170), 4)
    found = detect(compressed(image))
    assert corners(found) == [visible]
    assert iou(found, box) >= 0.9


def test_more_visible_corners_give_more_confidence() -> None:
    sure = []
    for hidden in ((), ((230, 160),), ((230, 160), (160, 160))):
        image = sky()
        put_mark(image, 160, 90, 70)
        for x, y in hidden:
            cv2.rectangle(image, (x - 25, y - 25), (x + 25, y + 25), (150, 150, 150), -1)
        sure.append(float(confidences(detect(compressed(image)))[0]))
    assert sure == sorted(sure, reverse=True)
    assert len(set(sure)) == 3


def _ellipse(image: np.ndarray) -> None:
    cv2.ellipse(image, (320, 250), (200, 50), 0, 0, 360, RED, 2)
    for y in range(215, 290, 12):
        cv2.line(image, (290, y), (350, y), RED, 1)
    cv2.line(image, (320, 200), (320, 300), RED, 1)


def _bars(image: np.ndarray) -> None:
    for row in range(4):
        cv2.rectangle(image, (40, 40 + 24 * row), (160, 54 + 24 * row), RED, 1)
        cv2.rectangle(image, (42, 42 + 24 * row), (80 + 20 * row, 52 + 24 * row), RED, -1)


def _text(image: np.ndarray) -> None:
    for row, text in enumerate(["GalCop Viper", "3.474 km (System Vessel)", "[LEFT] FILE HELL"]):
        cv2.putText(image, text, (60, 80 + 22 * row), cv2.FONT_HERSHEY_SIMPLEX, 0.6, RED, 2)


def _reticle(image: np.ndarray) -> None:
    for dx, dy in ((1, 0), (-1, 0), (0, 1), (0, -1)):
        cv2.line(image, (320 + 20 * dx, 180 + 20 * dy), (320 + 45 * dx, 180 + 45 * dy), RED, 2)


def _frame(image: np.ndarray) -> None:
    cv2.rectangle(image, (100, 100), (180, 180), RED, 2)


def _small_squares(image: np.ndarray) -> None:
    for x, y in ((100, 100), (160, 100), (100, 160), (160, 160), (300, 90)):
        cv2.rectangle(image, (x, y), (x + 9, y + 9), RED, 2)
        cv2.circle(image, (x + 200, y + 50), 7, RED, 2)


def _laser(image: np.ndarray) -> None:
    cv2.line(image, (0, 350), (400, 20), RED, 3)
    cv2.line(image, (600, 0), (380, 350), RED, 2)


def _clouds(image: np.ndarray) -> None:
    rng = np.random.default_rng(3)
    share = cv2.resize(rng.uniform(-1, 1, (9, 16)), (640, 360), interpolation=cv2.INTER_CUBIC)
    red = np.clip(share, 0, 1)[..., None] * np.array(RED)
    image[:] = np.clip(image + red, 0, 255).astype(np.uint8)


DISTRACTORS = [_ellipse, _bars, _text, _reticle, _frame, _small_squares, _laser, _clouds]


@pytest.mark.parametrize("draw", DISTRACTORS)
def test_same_colour_elsewhere_is_no_mark(draw: Callable[[np.ndarray], None]) -> None:
    image = sky()
    draw(image)
    assert len(detect(compressed(image))) == 0


@pytest.mark.parametrize("draw", DISTRACTORS)
def test_mark_is_found_beside_same_colour(draw: Callable[[np.ndarray], None]) -> None:
    image = sky()
    draw(image)
    place = (480, 280) if draw is not _clouds else (260, 40)  # a dark spot between clouds
    box = put_mark(image, *place, 44)
    found = detect(compressed(image))
    assert len(found) == 1
    assert iou(found, box) >= 0.88


def test_text_may_touch_the_right_edge_and_a_shot_may_cross() -> None:
    image = sky()
    box = put_mark(image, 160, 90, 42, Look(colour=RED, thickness=1))
    for row, text in enumerate(["Mamba", "3.6 km"]):
        cv2.putText(image, text, (204, 104 + 16 * row), cv2.FONT_HERSHEY_SIMPLEX, 0.5, RED, 2)
    cv2.line(image, (100, 220), (181, 111), (230, 60, 230), 2)
    found = detect(compressed(image))
    assert len(found) == 1
    assert iou(found, box) >= 0.88


def test_two_kinds_of_mark_keep_their_names() -> None:
    green = TARGET.model_copy(
        update={
            "name": "friend",
            "class_name": "station",
            "colours": (Colour(ycrcb=(140, 70, 75), tolerance=(70, 45, 45)),),
        }
    )
    image = sky()
    boxes = put_mark(image, 60, 60, 50), put_mark(image, 300, 150, 80, Look(colour=(40, 220, 40)))
    found = detect(compressed(image), Profile(name="p", designators=(TARGET, green)))
    order = np.argsort(found.xyxy[:, 0])
    assert np.asarray(found.data["prompt"])[order].tolist() == ["target", "friend"]
    assert np.asarray(found.data["class_name"])[order].tolist() == ["ship", "station"]
    assert all(iou(found, box) >= 0.9 for box in boxes)


def test_profile_without_designators_finds_nothing() -> None:
    image = sky()
    put_mark(image, 160, 90, 50)
    assert len(detect(image, Profile(name="none"))) == 0


def test_inset_moves_every_edge_inwards() -> None:
    image = sky()
    put_mark(image, 160, 90, 50)
    image = compressed(image)
    outer = detect(image).xyxy[0]
    inner = detect(image, Profile(name="p", designators=(TARGET.model_copy(update={"inset_px": 1.0}),))).xyxy[
        0
    ]
    assert inner - outer == pytest.approx([1, 1, -1, -1])


def test_cost_is_counted() -> None:
    detector = Bracket(PROFILE)
    detector.detect([sky(), sky()])
    assert detector.cost.frames == 2
    assert detector.cost.seconds > 0
