from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from gotowce_dagster.config.detector_settings import ZeroShotSettings
from gotowce_dagster.core.errors import MissingWeightsError
from gotowce_dagster.detectors.local.zero_shot import ZeroShot
from tests.detectors import standins
from tests.detectors.answers import classes, confidence, prompts

PROMPTS = {"target": ["red square", "four corner brackets"], "ship": ["a ship"]}
MODELS = {"dino": standins.grounding_dino, "owl": standins.owl}


@pytest.fixture(params=MODELS)
def mine(request: pytest.FixtureRequest, placed: Callable[..., str]) -> str:
    """Grounding DINO and OWLv2 in turn."""
    return placed(MODELS[request.param], request.param)


def _settings(weights: str, **changes: object) -> ZeroShotSettings:
    usual = {"weights": weights, "prompts": PROMPTS, "min_confidence": 0, "text_confidence": 0, "nms_iou": 1}
    return ZeroShotSettings.model_validate(usual | changes)


def test_boxes_with_class_and_phrase(mine: str, picture: np.ndarray) -> None:
    detector = ZeroShot("z", _settings(mine))
    (answer,) = detector.detect([picture])
    assert len(answer) > 2
    owner = {phrase: name for name, phrases in PROMPTS.items() for phrase in phrases}
    pairs = zip(classes(answer), prompts(answer), strict=True)
    assert all(owner[prompt] == name for name, prompt in pairs)
    assert (np.diff(confidence(answer)) <= 0).all()
    assert (answer.xyxy[:, 2:] > answer.xyxy[:, :2]).all()
    assert (answer.xyxy >= 0).all()
    assert (answer.xyxy <= [160, 90, 160, 90]).all()
    assert (detector.cost.frames, detector.weights) == (1, (mine,))


def test_boxes_grow_with_the_picture(mine: str, picture: np.ndarray) -> None:
    detector = ZeroShot("z", _settings(mine))
    large = np.repeat(np.repeat(picture, 2, axis=0), 2, axis=1)
    (small,), (twice,) = detector.detect([picture]), detector.detect([large])
    middle = [np.median((a.xyxy[:, :2] + a.xyxy[:, 2:]) / 2, axis=0) for a in (small, twice)]
    assert np.abs(middle[1] / middle[0] - 2).max() < 0.6


def test_an_answer_does_not_depend_on_its_company(mine: str, picture: np.ndarray) -> None:
    detector = ZeroShot("z", _settings(mine, batch=2))
    images = [picture, picture[:60], picture[::-1]]
    for image, answer in zip(images, detector.detect(images), strict=True):
        (alone,) = detector.detect([image])
        assert len(alone) == len(answer)
        assert np.abs(alone.confidence - confidence(answer)).max() < 1e-4
        assert np.abs(np.sort(alone.xyxy, axis=0) - np.sort(answer.xyxy, axis=0)).max() < 0.05


def test_less_confident_boxes_are_left_out(mine: str, picture: np.ndarray) -> None:
    (everything,) = ZeroShot("z", _settings(mine)).detect([picture])
    least = float(np.median(confidence(everything)))
    (sure,) = ZeroShot("z", _settings(mine, min_confidence=least)).detect([picture])
    assert 0 < len(sure) < len(everything)
    assert confidence(sure).min() >= least


@pytest.mark.parametrize(
    ("harm", "message"),
    [
        (lambda folder: (folder / "model.safetensors").write_bytes(b"no tensors"), "damaged"),
        (lambda folder: (folder / "config.json").write_text("{}"), "damaged"),
        (lambda folder: (folder / "model.safetensors").unlink(), "damaged"),
    ],
    ids=["no tensors", "no architecture", "a file is missing"],
)
def test_damaged_weights_are_reported(
    harm: Callable[[Path], object],
    message: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    offline: None,
) -> None:
    harm(standins.grounding_dino(tmp_path / "dino"))
    monkeypatch.setenv("GOTOWCE_WEIGHTS_DIR", str(tmp_path))
    with pytest.raises(MissingWeightsError, match=message):
        ZeroShot("z", _settings("dino"))


def test_weights_that_lack_tensors_are_reported(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, offline: None
) -> None:
    from safetensors.torch import load_file, save_file

    path = standins.owl(tmp_path / "owl") / "model.safetensors"
    tensors = {name: tensor for name, tensor in load_file(path).items() if "box_head" not in name}
    save_file(tensors, path, metadata={"format": "pt"})
    monkeypatch.setenv("GOTOWCE_WEIGHTS_DIR", str(tmp_path))
    with pytest.raises(MissingWeightsError, match=r"lacks 6 tensors, as box_head"):
        ZeroShot("z", _settings("owl"))
