from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import supervision as sv

from gotowce_dagster.config.detector_settings import YoloWorldSettings
from gotowce_dagster.core.errors import InputError
from gotowce_dagster.detectors.local.yolo_world import YoloWorld
from tests.detectors import standins
from tests.detectors.answers import classes, prompts

PROMPTS = {"target": ["red square", "four corner brackets"], "ship": ["a ship"]}


@pytest.fixture
def mine(made: Callable[..., Path], monkeypatch: pytest.MonkeyPatch, offline: None) -> Path:
    made(standins.clip_text, "clip")
    folder = made(standins.yolo_world, "world.pt")
    monkeypatch.setenv("GOTOWCE_WEIGHTS_DIR", str(folder))
    return folder


def _settings(**changes: object) -> YoloWorldSettings:
    usual = {"weights": "world.pt", "text_encoder": "clip", "prompts": PROMPTS, "imgsz": 96}
    return YoloWorldSettings.model_validate({**usual, "min_confidence": 0, **changes})


def _answer(picture: np.ndarray, **changes: object) -> sv.Detections:
    (answer,) = YoloWorld("world", _settings(**changes)).detect([picture])
    return answer


def test_boxes_with_class_and_phrase(mine: Path, picture: np.ndarray) -> None:
    answer = _answer(picture)
    assert len(answer) > 0
    owner = {phrase: name for name, phrases in PROMPTS.items() for phrase in phrases}
    pairs = zip(classes(answer), prompts(answer), strict=True)
    assert all(owner[prompt] == name for name, prompt in pairs)
    assert (answer.xyxy >= 0).all()
    assert (answer.xyxy <= [160, 90, 160, 90]).all()


def test_it_does_not_matter_in_which_order_phrases_are_asked(mine: Path, picture: np.ndarray) -> None:
    turned = {"ship": ["a ship"], "target": ["four corner brackets", "red square"]}
    one, other = _answer(picture, nms_iou=1), _answer(picture, nms_iou=1, prompts=turned)
    first = {tuple(box): prompt for box, prompt in zip(one.xyxy.round(1).tolist(), prompts(one), strict=True)}
    assert {
        tuple(box): p for box, p in zip(other.xyxy.round(1).tolist(), prompts(other), strict=True)
    } == first


def test_overlapping_boxes_of_any_phrases_are_one(
    mine: Path, picture: np.ndarray, monkeypatch: pytest.MonkeyPatch
) -> None:
    boxes = np.array([[10, 10, 50, 50], [12, 10, 52, 50], [90, 10, 120, 50]], float)
    result = (boxes, np.array([0.02, 0.03, 0.01]), np.array([0, 2, 1]))
    monkeypatch.setattr("gotowce_dagster.detectors.local.yolo.predict", lambda *_, **__: [result])
    answer = _answer(picture)
    assert prompts(answer) == ["a ship", "four corner brackets"]
    assert classes(answer) == ["ship", "target"]


def test_the_phrases_are_what_clip_makes_of_them(mine: Path, picture: np.ndarray) -> None:
    import torch
    from transformers import CLIPModel, CLIPTokenizer

    detector = YoloWorld("world", _settings(background=True))
    asked = ["red square", "four corner brackets", "a ship", ""]
    model, tokenizer = (kind.from_pretrained(mine / "clip") for kind in (CLIPModel, CLIPTokenizer))
    expected = []
    for phrase in asked:  # one by one: without padding
        with torch.inference_mode():
            text = model.text_model(**tokenizer([phrase], return_tensors="pt"))
            expected.append(model.text_projection(text.pooler_output)[0])
    unit = torch.nn.functional.normalize(torch.stack(expected), dim=-1)
    inner = detector._model.model
    assert torch.allclose(inner.txt_feats[0], unit, atol=1e-5)
    assert inner.model[-1].nc == 4
    (answer,) = detector.detect([picture])
    assert "" not in prompts(answer)


def test_weights_of_another_model(mine: Path, made: Callable[..., Path]) -> None:
    made(standins.yolo, "small.pt", "yolo11n.yaml", ["ship", "drone"])
    with pytest.raises(InputError, match=r"small\.pt: not YOLO-World; use the kind yolo"):
        YoloWorld("world", _settings(weights="small.pt"))


def test_another_text_encoder(mine: Path, made: Callable[..., Path]) -> None:
    made(standins.clip_text, "narrow", 64)
    with pytest.raises(InputError, match=r"text_encoder: gives 64 numbers a phrase, .* trained with 512"):
        YoloWorld("world", _settings(text_encoder="narrow"))
