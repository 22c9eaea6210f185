from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from gotowce_dagster.config.detector_settings import MoondreamSettings
from gotowce_dagster.core.errors import InputError, MissingWeightsError
from gotowce_dagster.detectors.local.moondream import Moondream, read_boxes
from tests.detectors import standins
from tests.detectors.answers import classes, confidence, prompts

LEFT = {"x_min": 0.1, "y_min": 0.2, "x_max": 0.3, "y_max": 0.4}
RIGHT = {"x_min": 0.6, "y_min": 0.2, "x_max": 1.01, "y_max": 0.9}
ANSWERS = {
    "detect": {
        "red square": {"objects": [LEFT, RIGHT]},
        "bracket": {"objects": []},
        "ship": {"objects": [{**LEFT, "x_max": 300}]},
    },
    "point": {"ship": {"points": [{"x": 0.5, "y": 0.5}]}, "nonsense": {"points": "here"}},
    "caption": {"caption": " A ship. "},
    "query": {"How many?": {"answer": " 2"}, "nonsense": {"text": "2"}},
}


@pytest.fixture
def model(made: Callable[..., Path], monkeypatch: pytest.MonkeyPatch, offline: None) -> Moondream:
    monkeypatch.setenv("GOTOWCE_WEIGHTS_DIR", str(made(standins.moondream, "moondream", ANSWERS)))
    prompts = {"target": ["red square", "bracket"], "ship": ["ship"]}
    settings = MoondreamSettings(weights="moondream", trust_remote_code=True, prompts=prompts)
    return Moondream("m", settings)


def test_boxes_in_pixels_and_nonsense_counted(model: Moondream, picture: np.ndarray) -> None:
    (answer,) = model.detect([picture])
    assert np.abs(answer.xyxy - [[16, 18, 48, 36], [96, 18, 160, 81]]).max() < 1e-3
    assert classes(answer) == ["target", "target"]
    assert prompts(answer) == ["red square", "red square"]
    assert confidence(answer).tolist() == [1.0, 1.0]
    cost = model.cost
    assert (cost.frames, cost.answers, cost.invalid) == (1, 3, 1)
    assert "unanswered" in answer.metadata, "one of three phrases has no usable answer"
    assert model._model.encoded == 1  # once for three phrases


def test_points_captions_and_answers(model: Moondream, picture: np.ndarray) -> None:
    assert model.point(picture, "ship").tolist() == [[80, 45]]
    assert model.describe(picture) == "A ship."
    assert model.query(picture, "How many?") == "2"


@pytest.mark.parametrize("ask", ["point", "query"])
def test_an_answer_of_another_form(model: Moondream, picture: np.ndarray, ask: str) -> None:
    with pytest.raises(ValueError, match=r"answer|points"):
        getattr(model, ask)(picture, "nonsense")


@pytest.mark.parametrize(
    "answer",
    [
        {},
        {"objects": [{**LEFT, "x_max": 0.05}]},
        {"objects": [{**LEFT, "x_max": float("nan")}]},
        {"objects": [{**LEFT, "y_min": -0.5}]},
        {"objects": [{"x_min": 0.1}]},
        "a box on the left",
    ],
    ids=["nothing", "swapped corners", "not a number", "outside", "half a box", "words"],
)
def test_boxes_that_are_none(answer: object) -> None:
    with pytest.raises(ValueError, match=r"box|objects|dict|Box"):
        read_boxes(answer, (90, 160, 3))


def test_code_of_the_folder_is_run_only_if_allowed(made: Callable[..., Path]) -> None:
    with pytest.raises(InputError, match="m: vikhyatk/moondream2 contains code"):
        Moondream("m", MoondreamSettings())


def test_absent_weights_are_reported(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, offline: None) -> None:
    monkeypatch.setenv("GOTOWCE_WEIGHTS_DIR", str(tmp_path))
    with pytest.raises(MissingWeightsError, match="nowhere: not in"):
        Moondream("m", MoondreamSettings(weights="nowhere", trust_remote_code=True))
