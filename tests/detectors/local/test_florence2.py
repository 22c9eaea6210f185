from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from gotowce_dagster.config.detector_settings import Florence2Settings
from gotowce_dagster.detectors.ask import ask
from gotowce_dagster.detectors.describe import build_describer
from gotowce_dagster.detectors.hosted.answer_cache import AnswerCache
from gotowce_dagster.detectors.local.florence2 import Florence2
from tests.detectors import standins
from tests.detectors.answers import classes, confidence, prompts

TOKENS = ["ship", "<loc_100>", "<loc_200>", "<loc_499>", "<loc_600>"]


@pytest.fixture
def mine(made: Callable[..., Path], monkeypatch: pytest.MonkeyPatch, offline: None) -> str:
    monkeypatch.setenv("GOTOWCE_WEIGHTS_DIR", str(made(standins.florence2, "florence2", TOKENS)))
    return "florence2"


def _settings(weights: str, **changes: object) -> Florence2Settings:
    usual = {"weights": weights, "prompts": {"target": ["ship"]}, "beams": 1, "max_tokens": 12}
    return Florence2Settings.model_validate(usual | changes)


@pytest.mark.parametrize("task", ["<OPEN_VOCABULARY_DETECTION>", "<OD>"])
def test_boxes_are_read_from_the_places_it_writes(mine: str, picture: np.ndarray, task: str) -> None:
    detector = Florence2("f", _settings(mine, task=task))
    (answer,) = detector.detect([picture])
    assert list(classes(answer)) == ["target"]
    assert list(prompts(answer)) == ["ship"]
    assert confidence(answer).tolist() == [1.0]
    # Places are thousandths of the picture, 160 by 90.
    assert np.abs(answer.xyxy[0] - [16, 18, 80, 54]).max() < 0.2
    assert (detector.cost.answers, detector.cost.invalid) == (1, 0)
    assert detector.cost.tokens_out > 4


def test_what_nobody_asked_for_is_left_out(mine: str, picture: np.ndarray) -> None:
    settings = _settings(mine, task="<OD>", prompts={"target": ["person"]})
    (answer,) = Florence2("f", settings).detect([picture])
    assert len(answer) == 0


def test_it_describes(mine: str, picture: np.ndarray, tmp_path: Path) -> None:
    (caption,) = ask(Florence2("f", _settings(mine)), [picture], "describe")
    assert isinstance(caption, str)
    assert caption.startswith("ship")
    describer = build_describer("f", _settings(mine), AnswerCache(tmp_path))
    assert describer.describe([picture]) == [caption]
