"""The captioner, with a BLIP of random weights, and the cache of descriptions."""

from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import pytest

from gotowce_dagster.config.detector_settings import CaptionerSettings, Kosmos2Settings
from gotowce_dagster.core.errors import MissingWeightsError
from gotowce_dagster.detectors.base import Cost
from gotowce_dagster.detectors.describe import Remembered, build_describer, obstacle
from gotowce_dagster.detectors.hosted.answer_cache import AnswerCache
from tests.detectors import standins


@pytest.fixture
def blip(made: Callable[..., Path], monkeypatch: pytest.MonkeyPatch, offline: None) -> CaptionerSettings:
    monkeypatch.setenv("GOTOWCE_WEIGHTS_DIR", str(made(standins.blip, "blip")))
    return CaptionerSettings(weights="blip", max_tokens=6, batch=2)


@pytest.mark.slow
def test_pictures_are_described_and_each_once(
    blip: CaptionerSettings, picture: np.ndarray, tmp_path: Path
) -> None:
    describer = build_describer("b", blip, AnswerCache(tmp_path))
    texts = describer.describe([picture, picture[:40], picture])
    assert len(texts) == 3
    assert texts[0] == texts[2]
    assert all(isinstance(text, str) for text in texts)
    assert set(" ".join(filter(None, texts)).replace(".", " ").split()) <= {"a", "the", *standins.WORDS}
    assert describer.cost.answers == 2, "one picture came twice"
    again = build_describer("b", blip, AnswerCache(tmp_path))
    assert again.describe([picture, picture[:40]]) == list(texts[:2])
    assert again.cost.answers == 0
    # Other settings, other answers.
    other = build_describer("b", blip.model_copy(update={"max_tokens": 2}), AnswerCache(tmp_path))
    other.describe([picture])
    assert other.cost.answers == 1


def test_kosmos_describes_too(
    made: Callable[..., Path], monkeypatch: pytest.MonkeyPatch, picture: np.ndarray, tmp_path: Path
) -> None:
    words = ["\u2581a", "\u2581ship"]
    monkeypatch.setenv("GOTOWCE_WEIGHTS_DIR", str(made(standins.kosmos2, "described", words)))
    describer = build_describer("k", Kosmos2Settings(weights="described"), AnswerCache(tmp_path))
    assert describer.describe([picture]) == ["a ship"]


def test_no_answer_is_not_kept(tmp_path: Path, picture: np.ndarray) -> None:
    class Silent:
        name, cost, asked = "silent", Cost(), 0

        def describe(self, images: Sequence[np.ndarray]) -> list[str | None]:
            self.asked += len(images)
            return [None] * len(images)

    silent = Silent()
    remembered = Remembered(silent, AnswerCache(tmp_path), model="silent")
    assert [remembered.describe([picture]), remembered.describe([picture])] == [[None], [None]]
    assert silent.asked == 2


def test_missing_weights_are_named(offline: None) -> None:
    settings = CaptionerSettings(weights="nobody/none")
    assert "nobody/none" in str(obstacle(settings))
    with pytest.raises(MissingWeightsError, match="nobody/none"):
        build_describer("b", settings)
