from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from gotowce_dagster.config.detector_settings import HostedSettings
from gotowce_dagster.core.errors import InputError
from gotowce_dagster.detectors.ask import Way, ask, has_places, plain
from gotowce_dagster.detectors.base import Detector
from gotowce_dagster.detectors.hosted.vision_llm import Hosted
from gotowce_dagster.detectors.local.moondream import Moondream
from tests.detectors.fixed import Fixed
from tests.detectors.local.test_kosmos2 import BOX, CAPTION, writes
from tests.detectors.local.test_moondream import model

__all__ = ["model", "writes"]


@pytest.mark.parametrize(
    ("way", "words", "expected"),
    [
        ("describe", None, "A ship."),
        ("query", "How many?", "2"),
        ("query", "nonsense", None),
        ("point", "ship", [[80, 45]]),
        ("point", "nonsense", None),
    ],
)
def test_moondream_answers(
    model: Moondream, picture: np.ndarray, way: Way, words: str | None, expected: object
) -> None:
    answers = ask(model, [picture, picture], way, words)
    assert [plain(answer) for answer in answers] == [expected, expected]


def test_kosmos2_locates_the_objects_it_names(writes: Callable[..., Detector], picture: np.ndarray) -> None:
    (answer,) = ask(writes(CAPTION), [picture], "describe")
    description = plain(answer)
    assert description["caption"] == "a red square ship"
    (named,) = description["named"]
    assert named["phrase"] == "red square"
    assert description["caption"][slice(*named["span"])] == "red square"
    assert np.abs(np.array(named["boxes"]) - BOX).max() < 0.01


def test_every_detector_finds_boxes_of_its_phrases(picture: np.ndarray) -> None:
    (answer,) = ask(Fixed("eye", (10, 20, 40, 50, 0.5)), [picture], "boxes")
    assert plain(answer) == [{"class": "target", "prompt": "eye", "confidence": 0.5, "box": [10, 20, 40, 50]}]


def test_which_answers_have_places(model: Moondream, writes: Callable[..., Detector]) -> None:
    assert has_places(model, "point")
    assert not has_places(model, "describe")
    assert has_places(writes(CAPTION), "describe")
    assert has_places(Fixed("eye"), "boxes")


@pytest.mark.parametrize(
    ("detector", "way", "match"),
    [
        (Fixed("bracket"), "describe", "bracket cannot describe; it only finds boxes"),
        (
            Hosted("eye", HostedSettings(provider="anthropic", model="claude-haiku-4-5")),
            "point",
            "eye cannot point; it can describe and query and count",
        ),
    ],
    ids=["no words at all", "other words"],
)
def test_an_unsupported_question_names_the_supported_ones(detector: Detector, way: Way, match: str) -> None:
    with pytest.raises(InputError, match=match):
        ask(detector, [np.zeros((9, 9, 3), np.uint8)], way, "ship")


def test_nothing_is_sent_unasked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    eye = Hosted("eye", HostedSettings(provider="anthropic", model="claude-haiku-4-5"))
    with pytest.raises(InputError, match="nothing was sent"):
        ask(eye, [np.zeros((9, 9, 3), np.uint8)], "count", "ship")
