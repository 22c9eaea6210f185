"""Masks from clicks: crops, cached embeddings, and predictions of real models."""

import cv2
import numpy as np
import pytest

from gotowce_dagster.config.params import MasksParams, ReviewAssistParams
from gotowce_dagster.core.crops import Crop, around
from gotowce_dagster.segmenters.base import Candidate, Interactive
from gotowce_dagster.segmenters.clicks import Clicker
from gotowce_dagster.segmenters.prompts import PROMPTS, Prompt
from gotowce_dagster.segmenters.registry import build_segmenter
from tests.review.clicking import Flood
from tests.segmenters.test_sam2 import masks_params, needs, truth_frames
from tests.shipped import params

SHAPE = (400, 600)
NONE = np.empty((0, 4))


def picture(*boxes: tuple[int, int, int, int]) -> np.ndarray:
    image = np.full((*SHAPE, 3), 30, np.uint8)
    for x1, y1, x2, y2 in boxes:
        image[y1:y2, x1:x2] = (250, 90, 40)
    return image


def at(*points: tuple[float, float], off: tuple[tuple[float, float], ...] = ()) -> Prompt:
    return Prompt(np.array([*points, *off], float), np.array([1] * len(points) + [0] * len(off)))


def clicker(model: Interactive, **changes: int) -> Clicker:
    assist = ReviewAssistParams.model_validate(params().review.assist.model_dump() | changes)
    return Clicker(model, masks_params(), assist)


def box_of(found: Candidate | None) -> list[int]:
    assert found is not None
    window = Crop.of_mask(found.mask)
    assert window is not None
    return window.box.astype(int).tolist()


@pytest.mark.parametrize(
    ("target", "crops_encoded", "what"),
    [
        ((290, 190, 310, 210), 2, "a small one is seen whole at once"),
        ((200, 100, 420, 300), 4, "one larger than the crop is asked for again on a larger one"),
        ((0, 0, 40, 30), 2, "one at the frame's corner does not run out of it"),
        ((20, 10, 590, 390), 4, "one nearly as large as the frame"),
    ],
)
def test_click_segments_targets_of_any_size(target: tuple, crops_encoded: int, what: str) -> None:
    model = Flood()
    x1, y1, x2, y2 = target
    found = clicker(model).mask("frame", picture(target), at(((x1 + x2) / 2, (y1 + y2) / 2)), NONE)
    assert box_of(found) == list(target), what
    assert len(model.encoded) == crops_encoded


def test_click_in_a_designator_uses_the_projects_crops() -> None:
    model = Flood()
    inner, outer = np.array([290.0, 190, 330, 230]), np.array([200.0, 100, 420, 320])
    found = clicker(model).mask(
        "frame", picture((300, 200, 320, 220)), at((305, 205)), np.stack([outer, inner])
    )
    assert box_of(found) == [300, 200, 320, 220]
    assert model.encoded == [(80, 80), (120, 120)]
    # Its corners and surroundings are negative points.
    assert {int((p.labels == 0).sum()) for p in model.asked if p.labels is not None} == {0, 8}


def test_cache_of_embeddings_is_bounded() -> None:
    model = Flood()
    one = clicker(model, remembered=4)
    image = picture((100, 100, 120, 120), (300, 200, 320, 220), (500, 300, 520, 320))
    for x, y, encoded in ((110, 110, 2), (310, 210, 4), (110, 110, 4), (510, 310, 6), (110, 110, 6)):
        one.mask("frame", image, at((x, y)), NONE)
        assert len(model.encoded) == encoded
    # The least recently used embedding was dropped.
    one.mask("frame", image, at((310, 210)), NONE)
    assert len(model.encoded) == 8
    one.mask("another frame", image, at((310, 210)), NONE)
    assert len(model.encoded) == 10


def test_further_clicks_correct_the_mask() -> None:
    model = Flood()
    image = picture((290, 190, 310, 210), (316, 190, 330, 210))
    cv2.rectangle(image, (310, 190), (315, 209), (90, 90, 200), -1)
    both = clicker(model).mask("frame", image, at((300, 200), (322, 200)), NONE)
    assert both is not None
    assert both.mask[200, [300, 322]].tolist() == [True, True]
    one = clicker(model).mask("frame", image, at((300, 200), off=((322, 200),)), NONE)
    assert box_of(one) == [290, 190, 310, 210]


def test_box_limits_the_mask() -> None:
    found = clicker(Flood()).mask(
        "frame", picture((200, 150, 300, 250)), Prompt(box=np.array([200.0, 150, 260, 250])), NONE
    )
    assert box_of(found) == [200, 150, 260, 250]


@pytest.mark.parametrize("prompt", [at(off=((5, 5),)), Prompt(np.empty((0, 2)), np.empty(0, int))])
def test_prompt_without_a_positive_point_is_refused(prompt: Prompt) -> None:
    with pytest.raises(ValueError, match="click on the object first"):
        clicker(Flood()).mask("frame", picture(), prompt, NONE)


ENGINES = [("sam2", "sam2_hiera_tiny_image.pt"), ("mobile_sam", "mobile_sam.pt")]


def interactive(name: str, weights: str, of: MasksParams) -> Interactive:
    needs(weights)
    model = build_segmenter(f"{name}:{weights}", of)
    assert isinstance(model, Interactive)
    return model


@pytest.mark.weights
@pytest.mark.parametrize(("name", "weights"), ENGINES)
def test_decode_equals_predict(name: str, weights: str) -> None:
    model = interactive(name, weights, masks_params())
    image, designator, _ = truth_frames("naev_hostile_sample.mp4", 1)[0]
    crop = around(designator, 2, *image.shape[:2])
    prompts = [way(crop.to_crop(designator)) for way in PROMPTS.values()]
    (at_once,) = model.predict([crop.cut(image)], [prompts])
    embedding = model.encode(crop.cut(image))
    # Another image in between, as for another reviewer.
    model.encode(image[:200, :200])
    for prompt, before in zip(prompts, at_once, strict=True):
        (again,) = model.decode(embedding, [prompt])
        assert np.allclose(again.logits, before.logits, atol=0.1)
        assert again.scores == pytest.approx(before.scores, abs=0.02)


@pytest.mark.weights
@pytest.mark.parametrize(
    ("clip", "least"), [("naev_hostile_sample.mp4", 0.9), ("oolite_red_sample.mp4", 0.85)]
)
def test_click_on_real_targets(clip: str, least: float) -> None:
    model = interactive(*ENGINES[0], masks_params())
    image, designator, target = truth_frames(clip, 1)[0]
    middle = tuple((target[:2] + target[2:]) / 2)
    found = clicker(model).mask(clip, image, at(middle), designator[None])
    box = np.array(box_of(found), float)
    shared = np.clip(np.minimum(box[2:], target[2:]) - np.maximum(box[:2], target[:2]), 0, None).prod()
    areas = (box[2:] - box[:2]).prod() + (target[2:] - target[:2]).prod()
    assert shared / (areas - shared) >= least
