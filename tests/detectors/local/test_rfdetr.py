from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from gotowce_dagster.config.detector_settings import RfDetrSettings
from gotowce_dagster.core.errors import InputError, MissingWeightsError
from gotowce_dagster.detectors.local.rfdetr import RfDetr
from tests.detectors import standins
from tests.detectors.answers import classes, confidence, prompts

MODELS = {"rfdetr": standins.rf_detr, "dfine": standins.d_fine}


@pytest.fixture(params=MODELS)
def mine(request: pytest.FixtureRequest, placed: Callable[..., str]) -> str:
    """RF-DETR and D-FINE in turn."""
    return placed(MODELS[request.param], request.param)


def _settings(weights: str, **changes: object) -> RfDetrSettings:
    return RfDetrSettings.model_validate({"weights": weights, "min_confidence": 0, "nms_iou": 1} | changes)


def test_boxes_with_the_models_classes(mine: str, picture: np.ndarray) -> None:
    detector = RfDetr("r", _settings(mine))
    (answer,) = detector.detect([picture])
    assert len(answer) > 2
    assert set(classes(answer)) <= {"ship", "person", "bus"}
    assert list(classes(answer)) == list(prompts(answer))
    assert (np.diff(confidence(answer)) <= 0).all()
    assert (answer.xyxy >= 0).all()
    assert (answer.xyxy <= [160, 90, 160, 90]).all()
    assert detector.cost.frames == 1


@pytest.mark.slow
def test_prompts_choose_and_rename_classes(mine: str, picture: np.ndarray) -> None:
    (everything,) = RfDetr("r", _settings(mine)).detect([picture])
    wanted = str(classes(everything)[0])
    (some,) = RfDetr("r", _settings(mine, prompts={"target": [wanted]})).detect([picture])
    assert set(classes(some)) == {"target"}
    assert set(prompts(some)) == {wanted}
    assert len(some) == sum(str(name) == wanted for name in classes(everything))
    with pytest.raises(InputError, match="no class named submarine; it knows ship"):
        RfDetr("r", _settings(mine, prompts={"target": ["submarine"]}))


def test_an_answer_does_not_depend_on_its_company(mine: str, picture: np.ndarray) -> None:
    detector = RfDetr("r", _settings(mine, batch=2, input_px=96))
    images = [picture, picture[:60], picture[::-1]]
    for image, answer in zip(images, detector.detect(images), strict=True):
        (alone,) = detector.detect([image])
        assert np.abs(alone.confidence - confidence(answer)).max() < 1e-4
        assert np.abs(np.sort(alone.xyxy, axis=0) - np.sort(answer.xyxy, axis=0)).max() < 0.05


def test_damaged_weights_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, offline: None) -> None:
    (standins.rf_detr(tmp_path / "r") / "model.safetensors").write_bytes(b"no tensors")
    monkeypatch.setenv("GOTOWCE_WEIGHTS_DIR", str(tmp_path))
    with pytest.raises(MissingWeightsError, match="damaged"):
        RfDetr("r", _settings("r"))


def test_another_model_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, offline: None) -> None:
    standins.owl(tmp_path / "owl")
    monkeypatch.setenv("GOTOWCE_WEIGHTS_DIR", str(tmp_path))
    with pytest.raises(InputError, match=r"type 'owlv2'; expected one of rf_detr, d_fine"):
        RfDetr("r", _settings("owl"))


def test_scores_are_those_of_the_model_whatever_processor_its_folder_names(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, picture: np.ndarray, offline: None
) -> None:
    """Folders of RF-DETR have named the processor of DETR, which drops the last class."""
    monkeypatch.setenv("GOTOWCE_WEIGHTS_DIR", str(tmp_path))
    file = standins.rf_detr(tmp_path / "r") / "preprocessor_config.json"
    (before,) = RfDetr("r", _settings("r")).detect([picture])
    file.write_text(file.read_text().replace("RfDetrImageProcessor", "DetrImageProcessor"))
    (after,) = RfDetr("r", _settings("r")).detect([picture])
    assert np.array_equal(before.xyxy, after.xyxy)
    assert confidence(before).tolist() == confidence(after).tolist()
