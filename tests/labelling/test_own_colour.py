from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from gotowce_dagster.core import rle
from gotowce_dagster.core.colour import Colour
from gotowce_dagster.designators.evidence import own_colour, to_ycrcb
from gotowce_dagster.designators.profile import Profile
from gotowce_dagster.labelling.own_colour import own_colour_shares
from gotowce_dagster.segmenters.frame_by_frame import Images
from tests.detectors.marks import PROFILE
from tests.shipped import labels_params

CASES = Path(__file__).parent / "own_colour"
# As calibrated from three boxes on thin lines.
BOS_WARS = Colour(ycrcb=(134, 78, 93), tolerance=(46, 24, 19))
RED = Colour(ycrcb=(72, 184, 114), tolerance=(51, 32, 13))
GREY = Colour(ycrcb=(180, 128, 128), tolerance=(60, 8, 8))


def shown(image: np.ndarray) -> Images:
    """The image as frame 3 of a video that has no other."""
    return lambda wanted: iter([(3, image)] if 3 in wanted else [])


def _profile(*colours: Colour, name: str = "target", class_name: str = "ship") -> Profile:
    designator = PROFILE.designators[0].model_copy(
        update={"name": name, "class_name": class_name, "colours": colours}
    )
    return Profile(name="p", designators=(designator,))


def _share(image: np.ndarray, mask: np.ndarray, profile: Profile, prompt: str = "target") -> float:
    row = {"frame_index": 3, "detection_id": 0, "class_name": "ship", "rle": rle.encode(mask)}
    masks = pd.DataFrame([row | dict(zip(("height", "width"), mask.shape, strict=True))], index=[7])
    detections = pd.DataFrame([{"frame_index": 3, "detection_id": 0, "prompt": prompt}])
    return float(own_colour_shares(masks, detections, profile, shown(image))[7])


@pytest.mark.parametrize(
    ("name", "low", "high"),
    [("dot_1", 0.9, 1.0), ("dot_2", 0.9, 1.0), ("engineer_with_dot", 0.05, 0.2), ("engineer", 0.0, 0.05)],
)
def test_hud_dot_is_distinguished_from_the_man_behind_it(name: str, low: float, high: float) -> None:
    with Image.open(CASES / f"{name}.png") as opened:
        picture = np.asarray(opened.convert("RGBA"))
    share = _share(np.ascontiguousarray(picture[:, :, :3]), picture[:, :, 3] > 0, _profile(BOS_WARS))
    assert low <= share <= high
    rule = labels_params().rules["own_colour"]
    assert (rule.mode, rule.fails) == ("on", "reject")
    assert (1 - share < rule.threshold) == name.startswith("dot")


def _painted(*halves: tuple[int, int, int]) -> np.ndarray:
    image = np.full((40, 40, 3), 90, np.uint8)
    for place, colour in enumerate(halves):
        image[10:30, 10 + 10 * place : 20 + 10 * place] = colour
    return image


MASK = np.zeros((40, 40), bool)
MASK[10:30, 10:30] = True


@pytest.mark.parametrize(
    ("left", "right", "share"),
    [
        ((255, 0, 0), (255, 0, 0), 1.0),
        ((120, 20, 20), (255, 0, 0), 1.0),
        ((255, 0, 0), (130, 130, 140), 0.5),
        ((255, 150, 0), (230, 200, 60), 0.0),
        ((150, 40, 200), (40, 60, 200), 0.0),
        ((30, 0, 0), (140, 120, 118), 0.0),
    ],
    ids=[
        "pure",
        "dull and pure",
        "half",
        "orange and yellow",
        "violet and blue",
        "nearly black, nearly grey",
    ],
)
def test_hue_counts_from_the_strength_of_the_lines(left: tuple, right: tuple, share: float) -> None:
    assert _share(_painted(left, right), MASK, _profile(RED)) == pytest.approx(share)


def test_share_is_nan_where_it_is_unknown() -> None:
    image = _painted((255, 0, 0), (255, 0, 0))
    assert np.isnan(_share(image, MASK, Profile(name="none")))
    assert np.isnan(_share(_painted((200, 200, 200), (200, 200, 200)), MASK, _profile(GREY)))
    assert own_colour(to_ycrcb(image), [GREY]) is None
    row = {"frame_index": 9, "detection_id": 0, "class_name": "ship", "rle": rle.encode(MASK)}
    masks = pd.DataFrame([row | {"height": 40, "width": 40}, row | {"rle": None, "height": 40, "width": 40}])
    detections = pd.DataFrame({"frame_index": [], "detection_id": [], "prompt": []})
    assert own_colour_shares(masks, detections, _profile(RED), shown(image)).isna().all()


@pytest.mark.parametrize(("prompt", "share"), [("hostile", 1.0), ("neutral", 0.0), ("a text", 1.0)])
def test_colour_is_that_of_the_detections_designator(prompt: str, share: float) -> None:
    hostile = _profile(RED, name="hostile").designators
    neutral = _profile(BOS_WARS, name="neutral", class_name="other").designators
    profile = Profile(name="p", designators=(*hostile, *neutral))
    assert _share(_painted((255, 0, 0), (255, 0, 0)), MASK, profile, prompt) == share
