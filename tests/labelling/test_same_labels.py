"""The pipeline and its evaluation follow one order: they label a frame alike."""

import shutil
from pathlib import Path

import pandas as pd
import pytest
import yaml

from gotowce_dagster.config.paths import Paths
from gotowce_dagster.config.project import Project
from gotowce_dagster.core.tables import DETECTIONS, FRAMES, LABELS, read_table, write_table
from gotowce_dagster.designators.profile import write_profile
from gotowce_dagster.evaluation.evaluate import known_frames
from gotowce_dagster.labelling.known import Wanted, label_in_project
from gotowce_dagster.propagation import registry
from gotowce_dagster.segmenters.registry import build_segmenter
from gotowce_dagster.stages import (
    cleaned_labels,
    designator_detections,
    extracted_frames,
    masks,
)
from tests.conftest import ROOT
from tests.detectors.marks import PROFILE, RED
from tests.propagation.test_carry import Colour
from tests.support.synthetic import Bracket, Scene, Target, write_scene

SHIP = Target("cross", 46, (150, 120), (4, 2), 0.01, (60, 120, 230), Bracket(RED, min_side=60))
SCENE = Scene((SHIP,), frames=80, fps=20, size=(480, 320), absent=(range(30, 45),))


@pytest.fixture(params=["image", "video"])
def project(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Project:
    """A video through the pipeline up to its labels."""
    monkeypatch.setitem(registry.PROPAGATORS, "colour", lambda weights, params: Colour())
    paths = Paths(tmp_path)
    params = yaml.safe_load((ROOT / "params.yaml").read_text(encoding="utf-8"))
    params["extracted_frames"]["fps"] = 4
    params["masks"]["mode"] = request.param
    for folder in (paths.raw, paths.profiles, paths.points("none").parent):
        folder.mkdir(parents=True)
    paths.params.write_text(yaml.safe_dump(params), encoding="utf-8")
    paths.videos.write_text("videos:\n  drawn: {file: drawn.mp4, profile: drawn}\n", encoding="utf-8")
    engines = {"masks": "grabcut", "propagation": "colour", "finetuned_model": "yolo26n.yaml"}
    paths.engines.write_text(yaml.safe_dump(engines), encoding="utf-8")
    shutil.copy(ROOT / "data/points/none.csv", paths.points("none"))
    write_profile(PROFILE, paths.profile("drawn"))
    write_scene(paths.raw / "drawn.mp4", SCENE, crf=16)
    made = Project(paths)
    for stage in (extracted_frames, designator_detections, masks, cleaned_labels):
        stage.run(made, "drawn")
    return made


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
