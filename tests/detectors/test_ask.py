from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from gotowce_dagster.config.detector_settings import HostedSettings
from gotowce_dagster.core.errors import InputError
from gotowce_dagster.detectors.ask import Way, ask
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
    assert ask(model, [picture, picture], way, words) == [expected, expected]


def test_kosmos2_locates_the_objects_it_names(writes: Callable[..., Detector], picture: np.ndarray) -> None:
    (description,) = ask(writes(CAPTION), [picture], "describe")
    assert description["caption"] == "a red square ship"
    (named,) = description["named"]
    assert named["phrase"] == "red square"
    assert np.abs(np.array(named["boxes"]) - BOX).max() < 0.01


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
