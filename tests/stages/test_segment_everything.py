"""The study on a drawn video with and one without truth, by superpixels: no weights are needed."""

from pathlib import Path

import pandas as pd
import pytest
import yaml

from gotowce_dagster.config.paths import Paths
from gotowce_dagster.config.project import Project
from gotowce_dagster.previews.table import preview_of
from gotowce_dagster.stages import segment_everything
from tests.conftest import ROOT
from tests.support.synthetic import Scene, write_scene


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Project:
    paths = Paths(tmp_path_factory.mktemp("study"))
    paths.raw.mkdir(parents=True)
    params = yaml.safe_load((ROOT / "params.yaml").read_text(encoding="utf-8"))
    params["segment_everything"] |= {"frames": 3, "superpixels": 150}
    paths.params.write_text(yaml.safe_dump(params), encoding="utf-8")
    videos = {name: {"file": f"{name}.mp4", "profile": "none"} for name in ("known", "unknown")}
    paths.videos.write_text(yaml.safe_dump({"videos": videos}), encoding="utf-8")
    paths.engines.write_text("masks: grabcut\npropagation: unused\nfinetuned_model: a.pt\n", encoding="utf-8")
    scene = Scene(frames=10, size=(480, 320))
    truth = write_scene(paths.raw / "known.mp4", scene).drop(columns="target")
    write_scene(paths.raw / "unknown.mp4", scene)
    paths.truth("known").parent.mkdir()
    truth[truth["frame_index"].isin([2, 7])].to_csv(paths.truth("known"), index=False)
    made = Project(paths)
    segment_everything.run(made)
    return made


def folder(project: Project) -> Path:
    return project.paths.study("segment_everything")


def test_frames_with_known_objects_come_first_and_every_video_has_some(project: Project) -> None:
    cuts = pd.read_csv(folder(project) / "cuts.csv")
    assert cuts[["video", "frame_index"]].to_numpy().tolist() == [["known", 2], ["known", 7], ["unknown", 5]]
    assert set(cuts["method"]) == {"SLIC superpixels"}
    assert cuts["pieces"].between(50, 250).all()
    assert (cuts["seconds"] > 0).all()


def test_objects_are_measured_where_they_are_known(project: Project) -> None:
    objects = pd.read_csv(folder(project) / "objects.csv")
    assert objects["frame_index"].tolist() == [2, 7]
    assert objects["box_iou"].between(0.1, 1).all()


def test_the_report_lists_what_did_not_run(project: Project) -> None:
    page = (folder(project) / "report.html").read_text(encoding="utf-8")
    assert "No model was run: the masks engine of this project is grabcut" in page
    assert "<img src=" in page


def test_preview(project: Project) -> None:
    preview = preview_of(project, "segment_everything", None)
    assert preview.picture is not None
    assert preview.numbers["frames"] == 3
    assert preview.numbers["SLIC superpixels: objects"] == 2
