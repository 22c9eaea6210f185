"""The pipeline and its evaluation follow one order: they label a frame alike."""

from pathlib import Path

import pandas as pd
import pytest

from gotowce_dagster.config.project import Project
from gotowce_dagster.core.tables import DETECTIONS, FRAMES, LABELS, read_table, write_table
from gotowce_dagster.evaluation.evaluate import known_frames
from gotowce_dagster.labelling.known import Wanted, label_in_project
from gotowce_dagster.propagation import registry
from gotowce_dagster.segmenters.registry import build_segmenter
from tests.detectors.marks import PROFILE, RED
from tests.propagation.test_shots import Colour
from tests.support.drawn import drawn_project
from tests.support.synthetic import Bracket, Scene, Target

SHIP = Target("cross", 46, (150, 120), (4, 2), 0.01, (60, 120, 230), Bracket(RED, min_side=60))
SCENE = Scene((SHIP,), frames=80, fps=20, size=(480, 320), absent=(range(30, 45),))


@pytest.fixture(params=["image", "video"])
def project(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Project:
    """A video through the pipeline up to its labels."""
    monkeypatch.setitem(registry.PROPAGATORS, "colour", lambda weights, params: Colour())
    engines = {"masks": "grabcut", "propagation": "colour", "finetuned_model": "yolo26n.yaml"}
    return drawn_project(tmp_path, SCENE, PROFILE, engines, request.param)


def sampled(project: Project) -> list[int]:
    index = read_table(project.paths.frame_index("drawn"), FRAMES)
    return index.loc[index["kept"], "frame_index"].tolist()


def evaluated(project: Project, wanted: list[int]) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Detections and labels of frames with truth, as the evaluation makes them."""
    truth = SCENE.truth("drawn.mp4").drop(columns="target")
    known = known_frames("drawn", project.raw("drawn"), truth[truth["frame_index"].isin(wanted)], 1000)
    segmenter = build_segmenter(project.engines["masks"], project.params.masks)
    frames = Wanted("drawn", known.images, known.times, known.sharpness)
    found, labels = label_in_project(project, frames, lambda: segmenter)
    return found.rows, labels


def written(rows: pd.DataFrame, schema, path: Path) -> bytes:
    ordered = rows.sort_values(["frame_index", "detection_id"], ignore_index=True)
    write_table(ordered, schema, path)
    return path.read_bytes()


@pytest.mark.slow
def test_a_sampled_frame_with_truth_gets_equal_labels(project: Project, tmp_path: Path) -> None:
    frames = sampled(project)
    found, labels = evaluated(project, frames)
    pipeline = read_table(project.paths.labels("drawn"), LABELS)
    assert pipeline["frame_index"].nunique() >= 8
    propagated = pipeline[pipeline["designator_x1"].isna()]
    assert bool(len(propagated)) == (project.params.masks.mode == "video")
    detections = read_table(project.paths.detections("drawn"), DETECTIONS)
    assert written(found, DETECTIONS, tmp_path / "e") == written(detections, DETECTIONS, tmp_path / "p")
    assert written(labels, LABELS, tmp_path / "e") == written(pipeline, LABELS, tmp_path / "p")
