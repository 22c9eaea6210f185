"""The study on a drawn video whose truth is exact, by real detectors in real processes."""

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import yaml

from gotowce_dagster.comparison.compare import BOXES, TABLE
from gotowce_dagster.config.paths import Paths
from gotowce_dagster.config.project import Project
from gotowce_dagster.core import weights
from gotowce_dagster.core.tables import read_table
from gotowce_dagster.designators.profile import write_profile
from gotowce_dagster.previews.table import preview_of
from gotowce_dagster.stages import detector_comparison
from tests.cli.running import run
from tests.conftest import ROOT
from tests.detectors.marks import PROFILE
from tests.support.synthetic import Scene, write_scene

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("warm_workers")]

DETECTORS = {
    "bracket": {"kind": "bracket"},
    "same": {"kind": "bracket", "min_confidence": 0.5},
    "gone": {"kind": "yolo", "weights": "gone.pt"},
}


def make(root: Path, **section: object) -> Project:
    """A project with a video ``known`` that has truth, and ``drawn_other`` that has none."""
    paths = Paths(root)
    paths.raw.mkdir(parents=True)
    params = yaml.safe_load((ROOT / "params.yaml").read_text(encoding="utf-8"))
    params["detector_comparison"] |= {"frames": 4, "bootstrap": 200, "max_batch": 2, **section}
    paths.params.write_text(yaml.safe_dump(params), encoding="utf-8")
    write_profile(PROFILE, paths.profile("drawn"))
    videos = {name: {"file": f"{name}.mp4", "profile": "drawn"} for name in ("known", "drawn_other")}
    paths.videos.write_text(yaml.safe_dump({"videos": videos}), encoding="utf-8")
    paths.engines.write_text("masks: grabcut\n", encoding="utf-8")
    scene = Scene(frames=12, size=(640, 360), absent=(range(9, 12),))
    truth = write_scene(paths.raw / "known.mp4", scene).drop(columns="target")
    write_scene(paths.raw / "drawn_other.mp4", scene)
    paths.truth("known").parent.mkdir()
    truth[truth["frame_index"].isin([1, 4, 7, 10])].to_csv(paths.truth("known"), index=False)
    return Project(paths)


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Project:
    made = make(tmp_path_factory.mktemp("compared"), detectors=DETECTORS, segmenters=["grabcut"])
    steps: list[tuple[int, int]] = []
    detector_comparison.run(made, lambda *now: steps.append(now))
    assert steps[-1] == (300, 300), "one that cannot run is not waited for"
    return made


def folder(project: Project) -> Path:
    return project.paths.study("detector_comparison")


@pytest.fixture(scope="module")
def table(project: Project) -> pd.DataFrame:
    return read_table(folder(project) / "table.parquet", TABLE).set_index("name")


def test_every_contender_has_a_row_with_its_obstacle(table: pd.DataFrame) -> None:
    assert table["status"].to_dict() == {
        "bracket": "ran", "same": "ran", "gone": "cannot run", "grabcut": "ran",
    }  # fmt: skip
    assert "gone.pt" in table.loc["gone", "reason"]
    assert "GOTOWCE_WEIGHTS_DIR" in table.loc["gone", "reason"]
    assert table["what"].tolist() == ["detector"] * 3 + ["segmenter"]


def test_accuracy_is_against_the_exact_truth(table: pd.DataFrame) -> None:
    bracket, grabcut = table.loc["bracket"], table.loc["grabcut"]
    assert (bracket["scored_frames"], bracket["truths"], bracket["boxes"]) == (4, 3, 3)
    assert bracket[["f1_50", "f1_75", "ap_50", "f1_50_low", "f1_50_high"]].tolist() == [1] * 5
    assert bracket["mean_iou"] > 0.9
    assert (grabcut["truth"], grabcut["frames"], grabcut["truths"]) == ("object", 3, 3)
    assert grabcut["recall_50"] > 0.6
    assert table.loc["gone", ["f1_50", "median_s", "memory_mb"]].isna().all()


def test_cost_is_measured(table: pd.DataFrame) -> None:
    bracket = table.loc["bracket"]
    assert 0.0005 < bracket["median_s"] <= bracket["p95_s"] < 2
    assert 50 < bracket["memory_mb"] < 1000
    assert bracket["best_batch"] in {1, 2}
    assert bracket["money_per_1000"] == bracket["budget_money"] == bracket["weights_mb"] == 0
    frames, hours = bracket["budget_frames"], bracket["budget_hours"]
    assert hours == pytest.approx(frames / bracket["images_per_s"] / 3600, rel=0.5)
    assert np.isnan(bracket["invalid_share"])
    assert json.loads(bracket["settings"])["kind"] == "bracket"


def test_boxes_and_differences_are_kept(project: Project) -> None:
    boxes = read_table(folder(project) / "boxes.parquet", BOXES)
    assert boxes.groupby("name")["frame_index"].unique().map(list).to_dict() == {
        "bracket": [1, 4, 7], "same": [1, 4, 7], "grabcut": [1, 4, 7],
    }  # fmt: skip
    (pair,) = pd.read_csv(folder(project) / "differences.csv").to_dict("records")
    assert (pair["first"], pair["second"], pair["difference"], pair["frames"]) == ("bracket", "same", 0, 4)


def test_the_page_shows_all(project: Project) -> None:
    page = (folder(project) / "report.html").read_text(encoding="utf-8")
    for words in (
        "Detectors against ground-truth designators: ",
        "Segmenters against ground-truth objects: grabcut has the highest F1",
        "gone: cannot run",
        "Differences",
        "The same frames",
        "Budget",
        "drawn_other: left out, because it has no ground truth",
    ):
        assert words in page
    assert page.count("<img src=") >= 3
    assert ">nan" not in page


def test_preview(project: Project) -> None:
    preview = preview_of(project, "detector_comparison", None)
    assert preview.picture is not None
    assert preview.numbers["ran"] == "3 of 4"
    assert preview.numbers["bracket: f1_50"] == 1
    assert len(preview.notes) == 1
    assert preview.notes[0].startswith("gone: cannot run")


def test_files_without_truth_from_the_command_line(
    project: Project,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture,
    tmp_path: Path,
) -> None:
    monkeypatch.setenv("GOTOWCE_ROOT", str(project.paths.root))
    video = str(project.paths.raw / "drawn_other.mp4")
    words = ["compare", video, "--detectors", "bracket,same", "--frames", "2", "--out", str(tmp_path / "out")]
    assert run(monkeypatch, *words, "--budget-frames", "7200", "--json") == 0
    output = json.loads(capsys.readouterr().out)
    assert [row["budget_frames"] for row in output["detectors"]] == [7200, 7200]
    assert 0 < output["detectors"][0]["budget_hours"] < 1
    assert output["agreement"]["bracket"]["same"] == 1
    assert [row["f1_50"] for row in output["detectors"]] == [None, None]
    page = (tmp_path / "out" / "report.html").read_text(encoding="utf-8")
    assert "Agreement" in page
    assert "so accuracy is unknown" in page
    assert "Time and money for 7,200 frames" in page


def test_a_folder_with_something_else_is_left_alone(
    project: Project, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture, tmp_path: Path
) -> None:
    monkeypatch.setenv("GOTOWCE_ROOT", str(project.paths.root))
    (tmp_path / "mine.txt").write_text("precious", encoding="utf-8")
    assert run(monkeypatch, "compare", "known", "--detectors", "bracket", "--out", str(tmp_path)) == 2
    assert "is not the folder of a comparison" in capsys.readouterr().err
    assert (tmp_path / "mine.txt").exists()


@pytest.mark.weights
def test_a_model_runs_beside(tmp_path: Path) -> None:
    if weights.find("yolo26n.pt") is None:
        pytest.skip("yolo26n.pt is not in GOTOWCE_WEIGHTS_DIR")
    yolo = {"kind": "yolo", "weights": "yolo26n.pt", "imgsz": 320}
    project = make(tmp_path, detectors={"yolo": yolo}, segmenters=[], max_batch=1)
    detector_comparison.run(project)
    (row,) = read_table(folder(project) / "table.parquet", TABLE).to_dict("records")
    assert (row["status"], row["truth"], row["weights"]) == ("ran", "object", "yolo26n.pt")
    assert row["weights_mb"] == pytest.approx(5.5, abs=1)
    assert row["memory_mb"] > 300
    assert row["load_s"] > 0.1
