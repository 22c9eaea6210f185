"""Exported models: equal boxes, and clear messages where a format cannot be made."""

import json
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import supervision as sv

from gotowce_dagster.core import extras, trust
from gotowce_dagster.core.errors import GotowceError, InputError, MissingExtraError
from gotowce_dagster.inference import exported
from gotowce_dagster.inference.exported import differences, export_model, obstacle, sample_images
from tests.detectors import standins
from tests.support.boxes import boxes_at


def _sure_yolo(path: Path) -> None:
    """A YOLO of random weights that is sure of something everywhere."""
    standins.yolo(path, "yolo11n.yaml", ["ship", "bus"])  # imports ultralytics offline
    from ultralytics import YOLO

    whole = YOLO(path)
    inner: Any = whole.model
    for layers in inner.model[-1].cv3:
        layers[-1].bias.data[:2] += 8.0
    whole.save(path)


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A project with a YOLO of random weights as its model, and sample images."""
    root = tmp_path_factory.mktemp("project")
    (root / "data" / "model").mkdir(parents=True)
    (root / "params.yaml").touch()
    (root / "images").mkdir()
    _sure_yolo(root / "data" / "model" / "best.pt")
    trust.note_trained(root / "data" / "model" / "best.pt", root)
    (root / "data" / "model" / "args.yaml").write_text("imgsz: 96\nmodel: yolo11n.yaml\n")
    rng = np.random.default_rng(0)
    for number in range(3):
        picture = rng.integers(0, 255, (72, 96 + 40 * number, 3), dtype=np.uint8)
        cv2.imwrite(str(root / "images" / f"{number}.png"), picture)
    return root / "data" / "model"


@pytest.fixture(autouse=True)
def _in_the_project(model: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GOTOWCE_ROOT", str(model.parent.parent))


def _export(
    model: Path, out: Path, format_name: str = "onnx", *, tolerance_px: float = 0.5
) -> exported.Exported:
    images = sample_images(model.parent.parent / "images", 8)
    return export_model(model, format_name, images, out, tolerance_px=tolerance_px, tolerance_confidence=0.01)


@pytest.mark.slow
def test_onnx_has_equal_boxes(model: Path, tmp_path: Path) -> None:
    if extras.obstacle("export"):
        pytest.skip("the extra export is not installed")
    done = _export(model, tmp_path / "out")
    assert {path.name for path in (tmp_path / "out").iterdir()} == {"best.onnx", "export.json"}
    assert (done.images, done.input_px) == (3, 96)
    assert done.boxes > 0
    assert done.largest_px < 0.1
    record = json.loads((tmp_path / "out" / "export.json").read_text())
    assert record["largest_px"] == done.largest_px
    again = _export(model, tmp_path / "out")
    assert again.boxes == done.boxes
    with pytest.raises(GotowceError, match=r"boxes differ by up to .* px"):
        _export(model, tmp_path / "other", tolerance_px=-1.0)
    assert not (tmp_path / "other").exists()


def test_missing_libraries_and_platforms_are_named(
    model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(exported, "find_spec", lambda name: None)
    monkeypatch.setattr(exported, "best_device", lambda: "cpu")
    monkeypatch.setattr(exported.platform, "system", lambda: "Linux")
    monkeypatch.setattr(extras, "_is_installed", lambda name: False)
    assert "pip install 'gotowce-dagster[export]'" in str(obstacle("onnx"))
    assert "pip install openvino" in str(obstacle("openvino"))
    assert "NVIDIA GPU" in str(obstacle("engine"))
    assert "macOS" in str(obstacle("coreml"))
    monkeypatch.setattr(exported.platform, "system", lambda: "Darwin")
    assert "pip install coremltools" in str(obstacle("coreml"))
    with pytest.raises(MissingExtraError, match="openvino"):
        _export(model, tmp_path / "out", "openvino")
    assert not (tmp_path / "out").exists()


def test_what_cannot_be_exported_is_refused(model: Path, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no sample images"):
        export_model(model, "onnx", [], tmp_path / "out", tolerance_px=1, tolerance_confidence=1)
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "mine.txt").touch()
    with pytest.raises(InputError, match="not a folder of an export"):
        _export(model, tmp_path / "full")
    folder = tmp_path / "model" / "best"
    folder.mkdir(parents=True)
    (folder / "config.json").write_text('{"model_type": "d_fine"}')
    (tmp_path / "model" / "args.yaml").write_text("imgsz: 96\n")
    images = sample_images(model.parent.parent / "images", 8)
    with pytest.raises(InputError, match="engine dfine; only models of yolo"):
        export_model(
            tmp_path / "model", "onnx", images, tmp_path / "out", tolerance_px=1, tolerance_confidence=1
        )


@pytest.mark.parametrize(
    ("one", "other", "expected"),
    [
        (boxes_at((0, 0.9, 0)), boxes_at((0.25, 0.8, 0)), (1, 0.25, 0.1)),
        (boxes_at((0, 0.9, 0), (0, 0.2, 0)), boxes_at((0, 0.2, 0), (0, 0.9, 0)), (2, 0, 0)),
        (boxes_at((0, 0.9, 0)), boxes_at((0, 0.9, 1)), (1, np.inf, np.inf)),
        (boxes_at((0, 0.9, 0)), boxes_at((30, 0.9, 0)), (1, np.inf, np.inf)),
        (boxes_at(), boxes_at((30, 0.9, 0)), (0, np.inf, np.inf)),
        (boxes_at(), boxes_at(), (0, 0, 0)),
    ],
    ids=["moved", "another order", "another class", "elsewhere", "one only", "nothing"],
)
def test_differences(one: sv.Detections, other: sv.Detections, expected: tuple[int, float, float]) -> None:
    assert differences(one, other) == pytest.approx(expected)
