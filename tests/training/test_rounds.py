import json

import numpy as np
import pandas as pd
import pytest
import supervision as sv

from gotowce_dagster.config.params import RoundsParams
from gotowce_dagster.config.project import Project
from gotowce_dagster.core.progress import silent
from gotowce_dagster.core.tables import PROVENANCE, read_table
from gotowce_dagster.stages import finetuned_model, yolo_dataset
from gotowce_dagster.training.finetune import read_arguments
from gotowce_dagster.training.rounds import propose, two_looks
from tests.worlds import make_world

PARAMS = RoundsParams(count=1, frames=20, adopt=0.5, doubt=0.05, box_iou=0.6, smallest=0.1)
BOX = [100.0, 40, 120, 60]
MIRRORED = [40.0, 40, 60, 60]  # in 160 pixels


def _sees(boxes: list[list[float]], confidence: list[float]) -> sv.Detections:
    return sv.Detections(
        np.array(boxes, float).reshape(-1, 4),
        confidence=np.array(confidence, float),
        data={"class_name": np.full(len(boxes), "hostile")},
    )


@pytest.mark.parametrize(
    ("first", "second", "found", "sure"),
    [
        (_sees([BOX], [0.9]), _sees([MIRRORED], [0.9]), 1, [True]),
        (_sees([BOX], [0.9]), _sees([MIRRORED], [0.3]), 1, [False]),
        (_sees([BOX], [0.3]), _sees([MIRRORED], [0.9]), 1, [False]),
        (_sees([BOX], [0.9]), _sees([BOX], [0.9]), 1, [False]),
        (_sees([BOX], [0.9]), _sees([], []), 1, [False]),
        (_sees([BOX], [0.01]), _sees([MIRRORED], [0.9]), 0, []),
    ],
    ids=["both", "not sure mirrored", "sure only mirrored", "elsewhere", "not mirrored", "no doubt even"],
)
def test_two_looks(first: sv.Detections, second: sv.Detections, found: int, sure: list[bool]) -> None:
    image = np.zeros((96, 160, 3), np.uint8)
    image[:, :80] = 255
    seen, is_sure = two_looks(image, lambda some: first if some[0, 0, 0] else second, PARAMS)
    assert len(seen) == found
    assert is_sure.tolist() == sure


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Project:
    """Frames with and without marks; nobody says that those without show nothing."""
    small = {
        "epochs": 1, "imgsz": 160, "batch": 8, "freeze": 0, "workers": 0,
        "crops": {
            "px": 64, "count": 16, "per_frame": 16, "erased": 0.75, "away": 0.3, "standouts": 4,
            "pasted": [0, 1], "paste_scale": [0.7, 1.4], "foreign": 0.5, "stretch": 1.5,
            "turn_deg": 180, "recolour": 0.3, "brightness": 0.3,
        },
        "rounds": {"count": 1, "frames": 6, "adopt": 0.9, "doubt": 0.001, "box_iou": 0.6, "smallest": 0.1},
    }  # fmt: skip
    made = make_world(
        tmp_path_factory.mktemp("rounds"), {"a": (["hostile"] * 6 + [None] * 2) * 5}, finetuned_model=small
    )
    made.paths.videos.write_text("videos:\n  a: {file: a.mp4, profile: none}\n", encoding="utf-8")
    made = Project(made.paths)
    yolo_dataset.run(made, silent)
    return made


def test_only_what_has_no_label_is_proposed(project: Project) -> None:
    rows = read_table(project.paths.dataset / "provenance.parquet", PROVENANCE)
    assert (rows["kind"] == "unknown").any()
    assert (rows.loc[rows["kind"] == "unknown", "split"] == "train").all()

    def predict(image: np.ndarray) -> sv.Detections:
        bright = image.max(axis=2) > 150
        y, x = np.nonzero(bright)
        label = [[x.min(), y.min(), x.max() + 1, y.max() + 1]] if len(x) > 50 else []
        return _sees([*label, [2, 70, 14, 82], [146, 70, 158, 82]], [*([0.9] * len(label)), 0.8, 0.8])

    proposals, table = propose(project.paths.dataset, rows, predict, PARAMS)
    assert len(proposals) == min(20, rows.loc[rows["split"] == "train", "frame_index"].nunique())
    assert set(table["use"]) == {"adopted"}
    assert table["x1"].isin([2.0, 146.0]).all(), "the labels themselves are not proposed again"
    assert set(table["video"]) == {"a"}


def test_training_in_rounds_keeps_the_origin_of_every_label(project: Project) -> None:
    finetuned_model.run(project, silent)
    folder = project.paths.model
    history = pd.read_csv(folder / "results.csv")
    assert history["round"].tolist() == [0, 1]
    assert history["epoch"].tolist() == [1, 2]
    proposed = pd.read_csv(folder / "proposed.csv")
    assert set(proposed["use"]) <= {"adopted", "painted over", "background"}
    assert (proposed["round"] == 1).all()
    metrics = json.loads((folder / "metrics.json").read_text())
    assert metrics["adopted"] + metrics["painted_over"] == (proposed["use"] != "background").sum()
    crops = pd.read_csv(folder / "crops.csv")
    assert (crops["split"] == "train").sum() == 16
    told = read_arguments(folder)
    assert (told["imgsz"], told["crop_px"], told["tile_px"]) == (160, 64, 0)
