from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import supervision as sv
from PIL import Image

from gotowce_dagster.config.detector_settings import YoloSettings
from gotowce_dagster.core import trust, weights
from gotowce_dagster.core.errors import InputError, MissingWeightsError
from gotowce_dagster.detectors.local.yolo import Yolo
from tests.detectors import standins
from tests.detectors.answers import classes, confidence, prompts

PEOPLE = np.array([[50, 400, 245, 904], [223, 405, 346, 862], [669, 390, 810, 879]])
BUS = np.array([10, 228, 803, 745])


@pytest.fixture(scope="module")
def street() -> np.ndarray:
    """The photograph of a bus and people that ultralytics ships."""
    import ultralytics

    return np.asarray(Image.open(Path(ultralytics.__file__).parent / "assets" / "bus.jpg"))


@pytest.fixture
def mine(made: Callable[..., Path], monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with a stand-in YOLO11n of two classes."""
    folder = made(standins.yolo, "small.pt", "yolo11n.yaml", ["ship", "drone"])
    monkeypatch.setenv("GOTOWCE_WEIGHTS_DIR", str(folder))
    return folder


def _needs(name: str) -> str:
    if weights.find(name) is None:
        pytest.skip(f"{name} is not here; set GOTOWCE_WEIGHTS_DIR to a folder with it")
    return name


@pytest.mark.weights
@pytest.mark.parametrize("name", ["yolo26n.pt", "yolov8n.pt"])
def test_people_and_a_bus_under_our_names(name: str, street: np.ndarray, offline: None) -> None:
    asked = {"walker": ["person"], "vehicle": ["bus", "truck"]}
    detector = Yolo("street", YoloSettings(weights=_needs(name), prompts=asked, min_confidence=0.5))
    (answer,) = detector.detect([street])
    named = np.array(classes(answer))
    assert set(named) == {"walker", "vehicle"}
    assert (np.diff(confidence(answer)) <= 0).all()
    assert np.array(prompts(answer))[named == "vehicle"].tolist() == ["bus"]
    found = sv.box_iou_batch(PEOPLE, answer.xyxy[named == "walker"]).max(axis=1)
    assert found.min() > 0.85
    assert sv.box_iou_batch(BUS[None], answer.xyxy[named == "vehicle"]).max() > 0.85
    assert (detector.name, detector.weights, detector.cost.frames) == ("street", (name,), 1)
    assert detector.cost.seconds > 0


@pytest.mark.weights
def test_an_answer_does_not_depend_on_its_company(street: np.ndarray) -> None:
    detector = Yolo("y", YoloSettings(weights=_needs("yolov8n.pt"), imgsz=320, batch=2))
    wide = np.ascontiguousarray(street[200:700])
    together = detector.detect([street, wide, street])
    for image, answer in zip([street, wide, street], together, strict=True):
        (alone,) = detector.detect([image])
        assert np.abs(alone.xyxy - answer.xyxy).max() < 0.1
        assert classes(alone) == classes(answer)
    assert detector.detect([]) == []


def test_a_class_the_model_does_not_know(mine: Path) -> None:
    with pytest.raises(InputError, match=r"no class named boat; it knows ship, drone"):
        Yolo("y", YoloSettings(weights="small.pt", prompts={"target": ["Ship", "boat"]}))


def test_weights_of_an_earlier_round(mine: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "data" / "model").mkdir(parents=True)
    (tmp_path / "data" / "model" / "best.pt").write_bytes((mine / "small.pt").read_bytes())
    monkeypatch.setenv("GOTOWCE_ROOT", str(tmp_path))
    settings = YoloSettings(weights="data/model/best.pt", imgsz=64, min_confidence=0)
    with pytest.raises(InputError, match=r"data/model/best\.pt: not trusted"):
        Yolo("y", settings)
    trust.note_trained(tmp_path / "data" / "model" / "best.pt", tmp_path)
    (answer,) = Yolo("y", settings).detect([np.zeros((48, 64, 3), np.uint8)])
    assert set(classes(answer)) <= {"ship", "drone"}


def test_damaged_or_absent_weights_are_reported(
    mine: Path, vouching: Path, tmp_path: Path, offline: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GOTOWCE_ROOT", str(tmp_path))
    (tmp_path / "half.pt").write_bytes((mine / "small.pt").read_bytes()[:5000])
    trust.add(tmp_path / "half.pt", tmp_path)
    with pytest.raises(MissingWeightsError, match=r"half\.pt: damaged"):
        Yolo("y", YoloSettings(weights="half.pt"))
    with pytest.raises(MissingWeightsError, match=r"nowhere\.pt: not in"):
        Yolo("y", YoloSettings(weights="nowhere.pt"))


def test_a_model_without_boxes(made: Callable[..., Path], monkeypatch: pytest.MonkeyPatch) -> None:
    folder = made(standins.yolo, "classes.pt", "yolo11n-cls.yaml", ["ship"])
    monkeypatch.setenv("GOTOWCE_WEIGHTS_DIR", str(folder))
    with pytest.raises(InputError, match="task 'classify'; expected one that detects"):
        Yolo("y", YoloSettings(weights="classes.pt"))


@pytest.mark.weights
def test_colours_are_not_turned(street: np.ndarray) -> None:
    import ultralytics

    detector = Yolo("y", YoloSettings(weights=_needs("yolov8n.pt"), imgsz=640))
    (answer,), (turned,) = detector.detect([street]), detector.detect([street[:, :, ::-1]])
    file = Path(ultralytics.__file__).parent / "assets" / "bus.jpg"
    (own,) = detector._model.predict(file, imgsz=640, device="cpu", verbose=False)
    expected = own.boxes.conf.numpy()
    assert np.abs(confidence(answer)[:4] - expected[:4]).max() < 0.005
    assert np.abs(confidence(turned)[:4] - expected[:4]).max() > 0.02


def test_yoloe_runs_with_the_classes_it_was_saved_with(
    made: Callable[..., Path], monkeypatch: pytest.MonkeyPatch, picture: np.ndarray, offline: None
) -> None:
    made(standins.yoloe, "prompted.pt", ["ship", "drone"])
    monkeypatch.setenv("GOTOWCE_WEIGHTS_DIR", str(made(standins.yoloe, "unprompted.pt", [])))
    asked = {"target": ["drone"]}
    settings = YoloSettings(weights="prompted.pt", prompts=asked, min_confidence=0, imgsz=96)
    (answer,) = Yolo("e", settings).detect([picture])
    assert set(classes(answer)) == {"target"}
    assert set(prompts(answer)) == {"drone"}
    with pytest.raises(InputError, match=r"unprompted\.pt: YOLOE without classes; call set_classes"):
        Yolo("e", YoloSettings(weights="unprompted.pt"))
