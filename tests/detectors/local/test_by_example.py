"""Detectors that are shown boxes: OWLv2 and YOLOE with random weights."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import supervision as sv

from gotowce_dagster.config.detector_settings import Owlv2Settings, YoloeSettings
from gotowce_dagster.core.errors import InputError
from gotowce_dagster.detectors.examples import by_class, prompt_of, read_examples
from gotowce_dagster.detectors.local.owlv2 import Owlv2
from gotowce_dagster.detectors.local.yoloe import Yoloe
from tests.detectors import standins
from tests.detectors.answers import classes, confidence, prompts

BOXES = [
    ("a.png", "target", 20, 10, 70, 60),
    ("a.png", "target", 90, 20, 130, 80),
    ("a.png", "ship", 0, 40, 50, 90),
    ("b.png", "target", 30, 30, 100, 85),
    ("b.png", "target", 60, 5, 150, 70),
    ("b.png", "target", 10, 10, 40, 44),
]


@pytest.fixture
def examples(vouching: Path, picture: np.ndarray) -> Callable[..., str]:
    """Write a CSV of examples beside two pictures; gives its path from the project."""

    def write(*rows: tuple, name: str = "examples.csv") -> str:
        folder = vouching / "data" / "examples"
        folder.mkdir(exist_ok=True)
        cv2.imwrite(str(folder / "a.png"), picture)
        cv2.imwrite(str(folder / "b.png"), picture[::-1, ::-1])
        lines = [
            ",".join(map(str, row)) for row in (("picture", "class_name", "x1", "y1", "x2", "y2"), *rows)
        ]
        (folder / name).write_text("\n".join(lines) + "\n")
        return f"data/examples/{name}"

    return write


def _lively_yoloe(path: Path) -> None:
    """YOLOE without classes; with its usual random weights everything fades, and all examples look alike."""
    standins.yoloe(path, [])  # imports ultralytics offline
    import torch
    from ultralytics import YOLOE

    whole = YOLOE(path)
    inner: Any = whole.model
    for module in inner.modules():
        if isinstance(module, torch.nn.Conv2d):
            module.weight.data *= 3
    whole.save(path)


@pytest.fixture(params=["owlv2", "yoloe"])
def build(
    request: pytest.FixtureRequest,
    made: Callable[..., Path],
    monkeypatch: pytest.MonkeyPatch,
    offline: None,
) -> Callable[..., Owlv2 | Yoloe]:
    """Build a detector from the path of its examples, of each kind by turns."""
    if request.param == "owlv2":
        monkeypatch.setenv("GOTOWCE_WEIGHTS_DIR", str(made(standins.owl, "owl")))
        usual = {"weights": "owl", "min_confidence": 0, "nms_iou": 1}
        return lambda file: Owlv2("o", Owlv2Settings.model_validate(usual | {"examples": file}))
    monkeypatch.setenv("GOTOWCE_WEIGHTS_DIR", str(made(_lively_yoloe, "lively.pt")))
    usual = {"weights": "lively.pt", "min_confidence": 0, "nms_iou": 1, "imgsz": 160}
    return lambda file: Yoloe("y", YoloeSettings.model_validate(usual | {"examples": file}))


def _same(one: sv.Detections, other: sv.Detections) -> bool:
    if len(one) != len(other):
        return False
    return np.allclose(np.sort(confidence(one)), np.sort(confidence(other)), rtol=1e-3, atol=0)


@pytest.mark.slow
def test_five_examples_are_fused(build, examples, picture: np.ndarray) -> None:
    detector = build(examples(*BOXES))
    (answer,) = detector.detect([picture])
    assert len(answer) > 2
    assert set(classes(answer)) <= {"target", "ship"}
    found_by = dict(zip(classes(answer), prompts(answer), strict=True))
    assert found_by["target"] == "5 example boxes"
    assert (np.diff(confidence(answer)) <= 0).all()
    assert (answer.xyxy >= 0).all()
    assert (answer.xyxy <= [160, 90, 160, 90]).all()
    # The order of the rows does not count; which boxes they are does.
    (again,) = build(examples(*BOXES[::-1], name="reversed.csv")).detect([picture])
    assert _same(answer, again)
    (fewer,) = build(examples(BOXES[0], BOXES[2], name="fewer.csv")).detect([picture])
    assert not _same(answer, fewer)


@pytest.mark.slow
def test_an_example_is_found_again(
    made: Callable[..., Path], monkeypatch: pytest.MonkeyPatch, examples, picture: np.ndarray, offline: None
) -> None:
    """No token of a picture is more like an example than the example itself."""
    import torch

    monkeypatch.setenv("GOTOWCE_WEIGHTS_DIR", str(made(standins.owl, "owl")))
    usual = {"weights": "owl", "min_confidence": 0, "nms_iou": 1}
    everything = Owlv2("o", Owlv2Settings.model_validate(usual | {"examples": examples(BOXES[0])}))
    shown = np.ascontiguousarray(picture[:, :, ::-1])  # as the file of the fixture is read
    with torch.inference_mode():
        _, (boxes,) = everything._look([shown])
    meant = boxes[sv.box_iou_batch(np.array([BOXES[0][2:]], float), boxes)[0].argmax()]
    (answer,) = everything.detect([shown])
    assert np.abs(answer.xyxy[0] - meant.clip(0, [160, 90, 160, 90])).max() < 0.1


@pytest.mark.parametrize(
    ("row", "message"),
    [
        (("a.png", "target", 20, 10, 20, 60), "row 2: the box is empty"),
        (("a.png", "target", 20, 10, 200, 60), "row 2: the box is not inside the picture of 160 by 90"),
        (("a.png", "target", "x", 10, 30, 60), "row 2: x1, y1, x2 and y2 must be numbers"),
        (("a.png", "", 2, 10, 30, 60), "row 2: class_name is empty"),
        (("c.png", "target", 2, 10, 30, 60), r"c\.png: missing"),
    ],
    ids=["empty", "outside", "no number", "no class", "no picture"],
)
def test_malformed_examples_are_refused(examples, row: tuple, message: str) -> None:
    file = examples(row)
    with pytest.raises(InputError, match=message):
        read_examples(file)


def test_examples_by_class(examples) -> None:
    found = by_class(read_examples(examples(*BOXES)))
    assert {name: prompt_of(some) for name, some in found.items()} == {
        "ship": "1 example box",
        "target": "5 example boxes",
    }
    with pytest.raises(InputError, match="has no boxes"):
        read_examples(examples())


def test_weights_that_take_no_examples(
    made: Callable[..., Path], monkeypatch: pytest.MonkeyPatch, examples, offline: None
) -> None:
    monkeypatch.setenv("GOTOWCE_WEIGHTS_DIR", str(made(standins.yolo, "plain.pt", "yolo11n.yaml", ["ship"])))
    usual = {"weights": "plain.pt", "examples": examples(*BOXES)}
    with pytest.raises(InputError, match="not YOLOE"):
        Yoloe("y", YoloeSettings.model_validate(usual))
