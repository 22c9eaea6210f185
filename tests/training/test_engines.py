"""The engines of transformers with small random models: they learn, are killed, kept, reloaded, scored."""

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import supervision as sv

from gotowce_dagster.config.project import Project
from gotowce_dagster.core import trust
from gotowce_dagster.core.detections import confidences
from gotowce_dagster.core.errors import InputError
from gotowce_dagster.core.files import remove
from gotowce_dagster.core.progress import silent
from gotowce_dagster.evaluation.evaluate import fine_tuned
from gotowce_dagster.inference.loaded import open_model
from gotowce_dagster.labels.export import read_objects
from gotowce_dagster.stages import finetuned_model, yolo_dataset
from gotowce_dagster.training.engines.registry import ENGINES, engine_of, tile_side
from gotowce_dagster.training.engines.scores import scores
from gotowce_dagster.training.engines.varied import varied
from gotowce_dagster.training.finetune import finetune
from gotowce_dagster.training.model_folder import model_file, read_arguments
from tests.detectors import standins
from tests.worlds import make_world

BUILDERS = {"rfdetr": standins.rf_detr, "dfine": standins.d_fine}
SMALL = {
    "crops": None,
    "weights": ["small"],
    "epochs": 4,
    "imgsz": 64,
    "batch": 4,
    "freeze": 0,
    "learning_rate": 0.002,
    "patience": 50,
}


def _world(root: Path, engine: str, **changes: object) -> Project:
    made = make_world(root, {"a": ["hostile"] * 30}, finetuned_model={**SMALL, "engine": engine, **changes})
    made.paths.engines.write_text(
        f"masks: grabcut\npropagation: unused\nfinetuned_model: {engine}:small\n", encoding="utf-8"
    )
    yolo_dataset.run(made, silent)
    return made


@pytest.fixture(scope="module", params=BUILDERS)
def project(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Project:
    """A project with a trained model, of each engine by turns."""
    folder = tmp_path_factory.mktemp(request.param)
    BUILDERS[request.param](folder / "weights" / "small")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("GOTOWCE_WEIGHTS_DIR", str(folder / "weights"))
        made = _world(folder / "project", request.param)
        finetuned_model.run(made, silent)
    return made


def _weights(project: Project) -> Path:
    return project.paths.root.parent / "weights" / "small"


def _same(one: sv.Detections, other: sv.Detections) -> bool:
    return np.array_equal(one.xyxy, other.xyxy) and np.array_equal(confidences(one), confidences(other))


@pytest.mark.slow
def test_the_loss_falls_and_the_history_is_complete(project: Project) -> None:
    history = pd.read_csv(project.paths.model / "results.csv")
    assert history["epoch"].tolist() == [1, 2, 3, 4]
    loss = history[[name for name in history if name.startswith("train_")]].sum(axis=1)
    assert loss.iloc[-1] < 0.95 * loss.iloc[0]
    assert {"train_class_loss", "train_box_loss", "precision", "recall", "mAP50", "mAP50_95", "lr"} <= {
        *history
    }
    assert json.loads((project.paths.model / "metrics.json").read_text())["epochs"] == 4


@pytest.mark.slow
def test_the_model_is_a_folder_of_tensors_that_names_no_machine(project: Project) -> None:
    folder = model_file(project.paths.model)
    assert {file.name for file in folder.iterdir()} == {
        "config.json",
        "model.safetensors",
        "preprocessor_config.json",
    }
    assert engine_of(folder).name == project.params.finetuned_model.engine
    arguments = read_arguments(project.paths.model)
    assert (arguments["engine"], arguments["model"], arguments["imgsz"]) == (
        engine_of(folder).name,
        "small",
        64,
    )
    texts = [
        file.read_text()
        for file in project.paths.model.rglob("*")
        if file.suffix in {".json", ".md", ".yaml"}
    ]
    assert not any(str(project.paths.root.parent) in text for text in texts)
    assert "transformers" in (project.paths.model / "MODEL_CARD.md").read_text()


@pytest.mark.slow
def test_evaluation_and_prediction_run_the_same_model(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GOTOWCE_ROOT", str(project.paths.root))
    image, _ = read_objects(project.paths.dataset, next(_pictures(project, "test")))
    first, second = fine_tuned(project.paths)(image), open_model(project.paths.model).predict(image)
    assert len(first) > 0
    assert _same(first, second)
    assert set(first.data["class_name"]) == {"hostile"}
    assert (first.xyxy >= 0).all()
    assert (first.xyxy <= [160, 96, 160, 96]).all()
    assert (np.diff(confidences(first)) <= 0).all()


@pytest.mark.slow
def test_another_folder_is_not_trusted(project: Project, tmp_path: Path) -> None:
    config = model_file(project.paths.model) / "config.json"
    before = config.read_text()
    config.write_text(before + " ")
    with pytest.raises(InputError, match="not trusted"):
        fine_tuned(project.paths)
    config.write_text(before)


class _KilledError(Exception):
    pass


@pytest.mark.slow
def test_killed_after_an_epoch_it_ends_as_if_it_were_not(project: Project, tmp_path: Path) -> None:
    params = project.params.finetuned_model
    epochs: list[int] = []

    def kill(epoch: int, metrics: object) -> None:
        if epoch == 2:
            raise _KilledError

    def train(on_epoch) -> Path:
        return finetune(
            project.paths.dataset,
            _weights(project),
            params,
            tmp_path / "work",
            progress=silent,
            on_epoch=on_epoch,
        ).weights

    with pytest.raises(_KilledError):
        train(kill)
    (place,) = (tmp_path / "work").iterdir()
    assert [path.name for path in place.glob("epoch-*")] == ["epoch-00002"]
    weights = train(lambda epoch, metrics: epochs.append(epoch))
    assert epochs == [3, 4]
    uninterrupted = model_file(project.paths.model) / "model.safetensors"
    assert (weights / "model.safetensors").read_bytes() == uninterrupted.read_bytes()
    train(lambda epoch, metrics: pytest.fail("a finished training was trained again"))


@pytest.mark.slow
@pytest.mark.parametrize(
    ("harm", "message"),
    [
        (lambda folder: (folder / "model.safetensors").write_bytes(b"no tensors"), "damaged"),
        (
            lambda folder: (folder / "config.json").write_text('{"model_type": "detr"}'),
            "not a model of the engine",
        ),
    ],
    ids=["no tensors", "another model"],
)
def test_weights_of_something_else_are_refused(project: Project, tmp_path: Path, harm, message: str) -> None:
    engine = project.params.finetuned_model.engine
    harm(BUILDERS[engine](tmp_path / "small"))
    with pytest.raises(InputError, match=message):
        ENGINES[engine].check(tmp_path / "small")


@pytest.mark.slow
def test_a_model_trained_on_crops_in_rounds(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Boxes are shares of the input, so frames are searched in tiles of the crops' size."""
    monkeypatch.setenv("GOTOWCE_WEIGHTS_DIR", str(tmp_path / "weights"))
    standins.d_fine(tmp_path / "weights" / "small")
    crops = {
        "px": 64, "count": 8, "per_frame": 8, "erased": 0.75, "away": 0.3, "standouts": 4, "pasted": [0, 1],
        "paste_scale": [0.7, 1.4], "foreign": 0.5, "marked": 0.2, "stretch": 1.5, "turn_deg": 180,
        "recolour": 0.3, "brightness": 0.3,
    }  # fmt: skip
    rounds = {
        "count": 1, "least_gain": 0.0, "frames": 4, "hold": 3, "adopt": 0.9, "doubt": 0.3, "box_iou": 0.6,
        "faint": 0.0, "smallest": 0.1, "small": 0.0,
    }  # fmt: skip
    project = _world(tmp_path / "project", "dfine", epochs=1, imgsz=160, crops=crops, rounds=rounds)
    finetuned_model.run(project, silent)
    arguments = read_arguments(project.paths.model)
    assert (arguments["imgsz"], arguments["crop_px"], arguments["tile_px"]) == (160, 64, 64)
    assert [file.name for file in (project.paths.model / "rounds").iterdir()] == ["round-0"]
    image, _ = read_objects(project.paths.dataset, next(_pictures(project, "test")))
    found = fine_tuned(project.paths)(image)
    assert len(found) > 0
    assert (found.xyxy[:, 2:] - found.xyxy[:, :2]).max() <= 64.01
    trust.require_trusted(model_file(project.paths.model / "rounds", "round-0"), project.paths.root)
    remove(project.paths.root)


def _pictures(project: Project, split: str):
    folder = project.paths.dataset
    return (path.relative_to(folder).as_posix() for path in sorted((folder / "images" / split).iterdir()))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"engine": "rfdetr"}, r"weights: yolo26n\.pt is not of the engine rfdetr; .* Roboflow/rf-detr-nano"),
        ({"engine": "yolo", "weights": ["Roboflow/rf-detr-nano"]}, "not of the engine yolo"),
        ({"engine": "dfine", "weights": ["x"], "mosaic": 0.5}, "only the engine yolo combines images"),
        ({"engine": "detr"}, "engine"),
    ],
    ids=["yolo's weights", "a folder for yolo", "mosaic", "no such engine"],
)
def test_settings_of_another_engine_are_refused(tmp_path: Path, changes: dict, message: str) -> None:
    with pytest.raises(InputError, match=message):
        _ = make_world(tmp_path, {"a": ["hostile"]}, finetuned_model=changes).params


def test_engines_yaml_of_another_engine_is_refused(tmp_path: Path) -> None:
    made = _world(tmp_path, "rfdetr")
    made.paths.engines.write_text("masks: grabcut\npropagation: unused\nfinetuned_model: yolo26n.yaml\n")
    with pytest.raises(InputError, match=r"yolo26n\.yaml is not of the engine rfdetr.*run `gotowce sync`"):
        finetuned_model.run(Project(made.paths), silent)


@pytest.mark.parametrize(
    ("engine", "tile_px", "crop_px", "side"),
    [
        ("yolo", 0, 192, 0),
        ("yolo", 320, 192, 320),
        ("dfine", 0, 192, 192),
        ("dfine", 320, 192, 320),
        ("dfine", 0, 0, 0),
    ],
)
def test_tile_side(tmp_path: Path, engine: str, tile_px: int, crop_px: int, side: int) -> None:
    params = make_world(tmp_path, {"a": ["hostile"]}).params.finetuned_model
    assert tile_side(params.model_copy(update={"engine": engine, "tile_px": tile_px}), crop_px) == side


@pytest.mark.parametrize("seed", range(6))
def test_varied_boxes_follow_the_picture(seed: int) -> None:
    image = np.full((96, 160, 3), 20, np.uint8)
    image[40:60, 70:100] = (250, 20, 20)
    shown, boxes, kept = varied(image, np.array([[70.0, 40, 100, 60]]), 0.3, np.random.default_rng(seed))
    assert kept.tolist() == [0]
    red = shown[..., 0].astype(int) - shown[..., 2]
    y, x = np.nonzero(red > red.max() / 2)
    assert np.abs(boxes[0] - [x.min(), y.min(), x.max() + 1, y.max() + 1]).max() <= 1.5


def _boxes(*rows: tuple[float, float, int]) -> sv.Detections:
    """x1, confidence, class: boxes of 10 pixels."""
    x = np.array([row[0] for row in rows], float)
    return sv.Detections(
        np.stack([x, x * 0, x + 10, x * 0 + 10], axis=1).reshape(-1, 4),
        confidence=np.array([row[1] for row in rows], float),
        class_id=np.array([row[2] for row in rows], int),
    )


@pytest.mark.parametrize(
    ("found", "precision", "recall", "map50"),
    [
        (_boxes((0, 0.9, 0), (50, 0.8, 0)), 1.0, 1.0, 1.0),
        (_boxes((0, 0.9, 0), (90, 0.8, 0)), 1.0, 0.5, 0.5),
        (_boxes((0, 0.9, 0), (0.5, 0.8, 0)), 1.0, 0.5, 0.5),
        (_boxes((0, 0.9, 1), (50, 0.8, 0)), 0.5, 0.5, 0.5),
        (_boxes(), 0.0, 0.0, 0.0),
    ],
    ids=["all", "one missed", "one found twice", "another class", "nothing"],
)
def test_scores(found: sv.Detections, precision: float, recall: float, map50: float) -> None:
    measures = scores([found, _boxes()], [_boxes((0, 1, 0), (50, 1, 0)), _boxes()])
    assert (measures["precision"], measures["recall"]) == (precision, recall)
    assert measures["mAP50"] == pytest.approx(map50, abs=0.01)
