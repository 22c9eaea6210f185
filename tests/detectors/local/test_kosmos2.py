from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from gotowce_dagster.config.detector_settings import Kosmos2Settings
from gotowce_dagster.detectors.local.kosmos2 import Kosmos2
from tests.detectors import standins
from tests.detectors.answers import classes, confidence, prompts

# Places 44 and 863 of 32 by 32: column 12, row 1 to column 31, row 26, each from its middle.
PLACES = ["<object>", "<patch_index_0044>", "<patch_index_0863>", "</object>"]
CAPTION = ["\u2581a", "<phrase>", "\u2581red", "\u2581square", "</phrase>", *PLACES, "\u2581ship"]
BOX = np.array([12.5 / 32 * 160, 1.5 / 32 * 90, 31.5 / 32 * 160, 26.5 / 32 * 90])
PROMPTS = {"target": ["a square", "four corners"], "person": ["person"]}


@pytest.fixture
def writes(
    made: Callable[..., Path], monkeypatch: pytest.MonkeyPatch, offline: None
) -> Callable[..., Kosmos2]:
    """A model that writes these words, and its settings."""

    def build(words: list[str], after: str = "<grounding>", **changes: object) -> Kosmos2:
        name = f"kosmos{abs(hash((*words, after)))}"
        monkeypatch.setenv("GOTOWCE_WEIGHTS_DIR", str(made(standins.kosmos2, name, words, after)))
        usual = {"weights": name, "prompts": PROMPTS}
        return Kosmos2("k", Kosmos2Settings.model_validate(usual | changes))

    return build


@pytest.mark.slow
def test_a_caption_with_phrases_spans_and_boxes(writes: Callable[..., Kosmos2], picture: np.ndarray) -> None:
    (description,) = writes(CAPTION).describe([picture])
    assert description.caption == "a red square ship"
    (entity,) = description.entities
    assert entity.phrase == "red square"
    assert description.caption[slice(*entity.span)] == entity.phrase
    assert np.abs(entity.boxes - BOX).max() < 0.01


@pytest.mark.slow
def test_what_is_named_belongs_to_the_class_of_its_phrase(
    writes: Callable[..., Kosmos2], picture: np.ndarray
) -> None:
    detector = writes(CAPTION, batch=2)
    answers = detector.detect([picture, picture[:60], picture])
    for answer, height in zip(answers, (90, 60, 90), strict=True):
        assert classes(answer) == ["target"]
        assert prompts(answer) == ["a square"]
        assert np.abs(answer.xyxy[0] - BOX * [1, height / 90, 1, height / 90]).max() < 0.01
        assert confidence(answer).tolist() == [1.0]
    cost = detector.cost
    assert (cost.frames, cost.answers, cost.invalid) == (3, 3, 0)
    # Ten tokens and the end, three times; the question is the picture's 64 places and four signs.
    assert (cost.tokens_in, cost.tokens_out) == (3 * 68, 3 * 11)


@pytest.mark.parametrize(
    ("words", "invalid"),
    [
        (["\u2581a", "<phrase>", "\u2581ship", "</phrase>", *PLACES], 0),
        (["\u2581a", "\u2581red", "\u2581square"], 1),
        (["<object>", "<patch_index_0044>", "</object>"], 1),
    ],
    ids=["something else is named", "nothing has a box", "half a box"],
)
def test_nothing_found(
    writes: Callable[..., Kosmos2], picture: np.ndarray, words: list[str], invalid: int
) -> None:
    detector = writes(words)
    (answer,) = detector.detect([picture])
    assert len(answer) == 0
    assert list(answer.data) == ["class_name", "prompt"]
    assert detector.cost.invalid == invalid


def test_asked_for_each_phrase(writes: Callable[..., Kosmos2], picture: np.ndarray) -> None:
    ask = "<grounding><phrase>{phrase}</phrase>"
    asked = {"target": ["red square"], "person": ["person"]}
    detector = writes(PLACES, "</phrase>", ask=ask, nms_iou=1, prompts=asked)
    (answer,) = detector.detect([picture])
    assert sorted(zip(classes(answer), prompts(answer), strict=True)) == [
        ("person", "person"),
        ("target", "red square"),
    ]
    assert detector.cost.answers == 2
