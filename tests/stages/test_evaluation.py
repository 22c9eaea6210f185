"""The whole way from a drawn video to the report, with truth and without."""

import json
import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import yaml
from playwright.sync_api import Page

from gotowce_dagster.config.paths import Paths
from gotowce_dagster.config.project import Project
from gotowce_dagster.core.progress import silent
from gotowce_dagster.core.tables import FRAMES, MASKS, read_table
from gotowce_dagster.designators.calibrate import calibrate
from gotowce_dagster.designators.profile import write_profile
from gotowce_dagster.evaluation.measures import REVIEWS
from gotowce_dagster.evaluation.recalls import UNMEASURED, none_found
from gotowce_dagster.evaluation.report import _training
from gotowce_dagster.labels.followed import TrackedVideo, TrackReview, write_tracked
from gotowce_dagster.previews.table import preview_of
from gotowce_dagster.review.video_objects import tracks_of
from gotowce_dagster.stages import (
    cleaned_labels,
    designator_detections,
    evaluation,
    extracted_frames,
    finetuned_model,
    masks,
    yolo_dataset,
)
from tests.support.synthetic import Scene, Target, write_scene
from tests.training.test_finetune import SMALL
from tests.worlds import ROOT

pytestmark = pytest.mark.slow

SCENE = Scene(
    targets=(Target(shape="freighter", length=30, start=(120, 110), velocity=(1.3, 0.7)),),
    frames=240,
    fps=8,
    size=(480, 320),
    absent=(range(200, 216),),
)


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Project:
    """Two stages short of the end, with a model of one epoch."""
    root = tmp_path_factory.mktemp("drawn")
    paths = Paths(root)
    paths.raw.mkdir(parents=True)
    params = yaml.safe_load((ROOT / "params.yaml").read_text(encoding="utf-8"))
    params["finetuned_model"] |= {**SMALL, "epochs": 1}
    paths.params.write_text(yaml.safe_dump(params), encoding="utf-8")
    paths.videos.write_text("videos:\n  scene: {file: scene.mp4, profile: drawn}\n", encoding="utf-8")
    paths.engines.write_text(
        "masks: grabcut\npropagation: unused\nfinetuned_model: yolo26n.yaml\n", encoding="utf-8"
    )
    truth = write_scene(paths.raw / "scene.mp4", SCENE).drop(columns="target")
    known = truth[truth["frame_index"] % 23 == 5]
    paths.truth("scene").parent.mkdir()
    known.to_csv(paths.truth("scene"), index=False)
    paths.profiles.mkdir()
    learned = calibrate(paths.raw / "scene.mp4", paths.truth("scene"), profile_name="drawn")
    write_profile(learned.profile, paths.profile("drawn"))
    made = Project(paths)
    for stage in (extracted_frames, designator_detections, masks, cleaned_labels):
        stage.run(made, "scene", silent)
    yolo_dataset.run(made, silent)
    finetuned_model.run(made, silent)
    return made


@pytest.fixture(scope="module")
def evaluated(project: Project) -> Project:
    evaluation.run(project, silent)
    return project


def _metrics(project: Project) -> dict:
    return json.loads((project.paths.evaluation / "metrics.json").read_text())


def test_the_report_shows_what_each_round_learned_from(project: Project) -> None:
    curves, file = np.zeros((4, 4, 3), np.uint8), project.paths.model / "rounds.csv"
    assert not _training(project, curves).tables
    file.write_text("round,labels_marked,labels_proposed\n0,12,0\n1,12,5\n")
    (table,) = _training(project, curves).tables
    file.unlink()
    assert (table.headings[1], table.rows) == ("labels marked", [[0, 12, 0], [1, 12, 5]])


def test_no_measure_is_missing(evaluated: Project) -> None:
    metrics = _metrics(evaluated)
    measures = {"designators", "targets", "model_test", "model_truth", "model_truth_apart"}
    assert set(metrics) == {"recalls", *measures}
    recalls = metrics["recalls"]
    assert recalls["truth"] == "ground truth and complete truth"
    assert recalls["all"]["marked_targets"] == recalls["drawn"]["marked_targets"]
    assert 0 < recalls["apart"]["marked_targets"] < recalls["all"]["marked_targets"]
    assert {"marked_recall", "erased_recall"} <= set(recalls["all"])
    assert "unmarked_recall" not in recalls["all"]
    truth = pd.read_csv(evaluated.paths.truth("scene"))
    assert metrics["designators"]["truths"] == (truth["label"] == "designator").sum()
    assert metrics["designators"]["frames"] == truth["frame_index"].nunique()
    assert metrics["targets"]["truth"] == {"data/truth": metrics["targets"]["frames"]}
    assert metrics["model_test"]["truth"] == {"accepted labels": metrics["model_test"]["frames"]}
    assert metrics["targets"]["truths"] == (truth["label"] == "object").sum()
    assert 0 < metrics["model_truth_apart"]["frames"] < metrics["model_truth"]["frames"]
    assert metrics["designators"]["by_video"]["scene"]["recall_50"] == metrics["designators"]["recall_50"]


def test_the_pipeline_finds_what_was_drawn(evaluated: Project) -> None:
    metrics = _metrics(evaluated)
    assert metrics["designators"]["recall_50"] == 1
    assert metrics["designators"]["precision_50"] == 1
    assert metrics["targets"]["precision_50"] >= 0.9
    assert metrics["targets"]["recall_50"] >= 0.5


def test_outputs_and_preview(evaluated: Project) -> None:
    folder = evaluated.paths.evaluation
    assert {path.name for path in folder.iterdir()} == {"metrics.json", "notes.json", "plots", "report.html"}
    assert {path.name for path in (folder / "plots").iterdir()} == {"scores.png", "precision_over_recall.png"}
    preview = preview_of(evaluated, "evaluation", None)
    assert "no frame has been reviewed yet" in (folder / "report.html").read_text(encoding="utf-8")
    assert preview.numbers["designators_recall_50"] == 1
    assert preview.picture is not None
    nothing = none_found(_metrics(evaluated)["recalls"]["all"])
    assert nothing is not None, "the model began from random weights"
    assert preview.notes == [nothing, UNMEASURED]
    page = (folder / "report.html").read_text(encoding="utf-8")
    assert page.count(nothing) == page.count("no frame has complete truth") == 1
    assert next(iter(preview.numbers)) == "erased_recall", "what the model does without the mark comes first"


def test_report(evaluated: Project, page: Page) -> None:
    file = evaluated.paths.evaluation / "report.html"
    assert file.stat().st_size < 5e6
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    page.goto(file.as_uri())
    titles = page.locator("h2").all_inner_texts()
    assert titles[:2] == ["Does the model see the target or its mark?", "Scores"]
    assert {
        "Accepted labels against ground truth",
        "The dataset",
        "The training",
        "Environment and parameters",
    } <= set(titles)
    assert page.evaluate("[...document.images].every(image => image.naturalWidth > 0)")
    assert page.locator("img").count() >= 9
    assert all(url.startswith(("file:", "data:")) for url in asked)
    content = file.read_text(encoding="utf-8")
    assert "yolo26n.yaml" in content
    assert content.index("random weights") < content.index("Boxes with a confidence")
    assert str(evaluated.paths.root) not in content


def test_complete_truth_gives_the_other_figures(evaluated: Project, tmp_path: Path) -> None:
    root = tmp_path / "copy"
    shutil.copytree(evaluated.paths.root, root)
    other = Project(Paths(root))
    truth = pd.read_csv(other.paths.truth("scene"))
    objects = truth[truth["label"] == "object"].head(3).assign(label="ship", marked="yes")
    unmarked = objects.assign(x1=5, y1=5, x2=25, y2=25, marked="no")
    pd.concat([objects, unmarked]).to_csv(other.paths.complete_truth("scene"), index=False)
    assert truth.loc[truth["label"] == "object", "frame_index"].nunique() > 3
    content = yaml.safe_load(other.paths.params.read_text())
    content["evaluation"]["max_truth_frames"] = 3
    other.paths.params.write_text(yaml.safe_dump(content))
    other = Project(Paths(root))
    evaluation.run(other, silent)
    recalls = _metrics(other)["recalls"]["all"]
    assert (recalls["complete_frames"], recalls["unmarked_targets"]) == (3, 3)
    assert "unmarked_recall" in recalls
    assert UNMEASURED not in preview_of(other, "evaluation", None).notes


def test_missing_truth_is_reported(evaluated: Project, tmp_path: Path) -> None:
    root = tmp_path / "copy"
    shutil.copytree(evaluated.paths.root, root)
    other = Project(Paths(root))
    shutil.rmtree(other.paths.truth("scene").parent)
    evaluation.run(other, silent)
    assert set(_metrics(other)) == {"model_test", "recalls"}
    assert _metrics(other)["recalls"]["truth"] == "labels of the test split"
    assert _metrics(other)["recalls"]["all"]["marked_targets"] > 0
    notes = preview_of(other, "evaluation", None).notes
    assert any("Designators against ground truth: not measured" in note for note in notes)
    assert "not measured, no video has hand-checked boxes" in (
        other.paths.evaluation / "report.html"
    ).read_text(encoding="utf-8")


def test_what_was_followed_through_the_video_is_truth(evaluated: Project, tmp_path: Path) -> None:
    """Its frames are measured beside those checked by hand, and crowd none of them out."""
    root = tmp_path / "copy"
    shutil.copytree(evaluated.paths.root, root)
    other = Project(Paths(root))
    index = read_table(other.paths.frame_index("scene"), FRAMES)
    kept = index.loc[index["kept"], "frame_index"]
    tracks = tracks_of(read_table(other.paths.masks("scene"), MASKS), kept, 1.0)
    width, height = SCENE.size
    review = TrackReview.model_validate(
        {
            **{"review_id": "v", "task": "1/1@t", "annotator": 1, "at": "2026-01-01T00:00:00Z"},
            **{"state": "done", "tracks": tracks},
        }
    )
    video = TrackedVideo(
        video="scene", frames=SCENE.frames, width=width, height=height, fps=8, reviews=(review,)
    )
    write_tracked(other.paths.reviewed_tracks("scene"), video)
    evaluation.run(other, silent)
    before, after = _metrics(evaluated), _metrics(other)
    assert after["targets"]["truth"][REVIEWS] == len(kept)
    assert after["targets"]["frames"] > before["targets"]["frames"]
    assert after["designators"]["frames"] == before["designators"]["frames"]


def test_a_bad_video_does_not_stop_the_others(evaluated: Project, tmp_path: Path) -> None:
    root = tmp_path / "copy"
    shutil.copytree(evaluated.paths.root, root)
    videos = (
        "videos:\n  broken: {file: broken.mp4, profile: drawn}\n  scene: {file: scene.mp4, profile: drawn}\n"
    )
    (root / "data/videos.yaml").write_text(videos, encoding="utf-8")
    (root / "data/raw/broken.mp4").write_bytes(b"no video")
    shutil.copyfile(root / "data/truth/scene.csv", root / "data/truth/broken.csv")
    other = Project(Paths(root))
    evaluation.run(other, silent)
    again, before = ((made.paths.evaluation / "metrics.json").read_bytes() for made in (other, evaluated))
    assert again == before, "the same numbers over those of the run before"
    assert any(
        note.startswith("broken was not evaluated") for note in preview_of(other, "evaluation", None).notes
    )
