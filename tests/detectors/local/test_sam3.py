from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from gotowce_dagster.config.detector_settings import Sam3Settings
from gotowce_dagster.core.errors import MissingWeightsError
from gotowce_dagster.detectors import obstacles
from gotowce_dagster.detectors.local.sam3 import Sam3
from tests.detectors import standins
from tests.detectors.answers import classes, confidence, prompts

PROMPTS = {"target": ["red square", "bracket"], "ship": ["a ship"]}


@pytest.fixture
def mine(made: Callable[..., Path], monkeypatch: pytest.MonkeyPatch, offline: None) -> str:
    monkeypatch.setenv("GOTOWCE_WEIGHTS_DIR", str(made(standins.sam3, "sam3")))
    return "sam3"


def _settings(weights: str, **changes: object) -> Sam3Settings:
    usual = {"weights": weights, "prompts": PROMPTS, "min_confidence": 0, "nms_iou": 1}
    return Sam3Settings.model_validate(usual | changes)


def test_boxes_of_every_phrase(mine: str, picture: np.ndarray) -> None:
    (answer,) = Sam3("s", _settings(mine)).detect([picture])
    owner = {phrase: name for name, phrases in PROMPTS.items() for phrase in phrases}
    assert set(prompts(answer)) == set(owner)
    pairs = zip(classes(answer), prompts(answer), strict=True)
    assert all(owner[prompt] == name for name, prompt in pairs)
    assert (np.diff(confidence(answer)) <= 0).all()
    assert (answer.xyxy >= 0).all()
    assert (answer.xyxy <= [160, 90, 160, 90]).all()


def test_an_answer_does_not_depend_on_its_company(mine: str, picture: np.ndarray) -> None:
    detector = Sam3("s", _settings(mine, batch=2))
    images = [picture, picture[::-1]]
    for image, answer in zip(images, detector.detect(images), strict=True):
        (alone,) = detector.detect([image])
        assert len(alone) == len(answer)
        assert np.abs(alone.confidence - confidence(answer)).max() < 1e-4


def test_gated_weights_are_explained(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, offline: None) -> None:
    monkeypatch.setenv("GOTOWCE_WEIGHTS_DIR", str(tmp_path))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    settings = Sam3Settings()
    message = r"gated: accept its licence .*hf download facebook/sam3 --revision 3c879f3"
    with pytest.raises(MissingWeightsError, match=message):
        Sam3("s", settings)
    assert "gated" in str(obstacles.obstacle(settings, lambda name: False))
