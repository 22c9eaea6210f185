"""The study on a drawn video whose truth is exact: the bracket detector with several inputs."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import yaml

from gotowce_dagster.config.paths import Paths
from gotowce_dagster.config.project import Project
from gotowce_dagster.core import weights
from gotowce_dagster.core.errors import InputError
from gotowce_dagster.core.tables import LABELS, write_table
from gotowce_dagster.designators.profile import write_profile
from gotowce_dagster.previews.table import preview_of
from gotowce_dagster.stages import prompt_inputs
from tests.conftest import ROOT
from tests.detectors.marks import PROFILE
from tests.support.synthetic import Scene, write_scene

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("warm_workers")]

INPUTS = {
    "raw": None,
    "thresholded": {"threshold": "auto"},
    "cropped": {"crop": {"around": {"kind": "bracket"}, "sides": 2.0}},
    "tiled": {"tiles": {"side": 240, "overlap": 0.4}},
    "corner": {"crop": {"region": [0.0, 0.0, 0.05, 0.05]}},
}
DETECTORS = {"bracket": {"kind": "bracket"}, "gone": {"kind": "yolo", "weights": "gone.pt"}}
FRAMES = [1, 4, 7, 10]


def make(root: Path, **section: object) -> Project:
    """A project with the truth of four frames of a video; the last of them shows no mark."""
    paths = Paths(root)
    paths.raw.mkdir(parents=True)
    params = yaml.safe_load((ROOT / "params.yaml").read_text(encoding="utf-8"))
    small = {"detectors": DETECTORS, "inputs": INPUTS, "frames": 4, "bootstrap": 200, "frames_shown": 1}
    params["prompt_inputs"] |= small | section
    paths.params.write_text(yaml.safe_dump(params), encoding="utf-8")
    write_profile(PROFILE, paths.profile("drawn"))
    paths.videos.write_text(
        yaml.safe_dump({"videos": {"known": {"file": "known.mp4", "profile": "drawn"}}}), encoding="utf-8"
    )
    paths.engines.write_text("masks: grabcut\n", encoding="utf-8")
    scene = Scene(frames=12, size=(640, 360), absent=(range(9, 12),))
    truth = write_scene(paths.raw / "known.mp4", scene).drop(columns="target")
    paths.truth("known").parent.mkdir()
    truth[truth["frame_index"].isin(FRAMES)].to_csv(paths.truth("known"), index=False)
    return Project(paths)


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Project:
    made = make(tmp_path_factory.mktemp("inputs"))
    steps: list[tuple[int, int]] = []
    prompt_inputs.run(made, lambda *now: steps.append(now))
    assert steps[-1] == (500, 500), "what cannot run is not waited for"
    return made


@pytest.fixture(scope="module")
def table(project: Project) -> pd.DataFrame:
    return pd.read_csv(project.paths.study("prompt_inputs") / "inputs.csv").set_index(["detector", "input"])


def test_every_detector_is_evaluated_with_every_input(table: pd.DataFrame) -> None:
    assert table.index[0] == ("bracket", "raw"), "the baseline comes first"
    assert set(table.index) == {(name, shown) for name in DETECTORS for shown in INPUTS}
    own = table.loc["bracket"]
    assert (own["status"] == "ran").all()
    assert (own["scored_frames"] == 4).all()
    assert (own["truths"] == 3).all()
    assert own.loc[["raw", "thresholded", "cropped", "tiled"], "f1_50"].tolist() == [1, 1, 1, 1]
    assert own.loc["corner", ["boxes", "f1_50"]].tolist() == [0, 0]
    assert (table.loc["gone", "status"] == "cannot run").all()


def test_differences_are_to_the_first_input(table: pd.DataFrame) -> None:
    own = table.loc["bracket"]
    assert np.isnan(own.loc["raw", "gain"])
    assert own.loc["tiled", ["gain", "better"]].tolist() == [0, 0.5]
    assert own.loc["corner", ["gain", "gain_low", "gain_high", "better"]].tolist() == [-1, -1, -1, 0]
    ratio = own.loc["tiled", "median_s"] / own.loc["raw", "median_s"]
    assert own.loc["tiled", "slower"] == pytest.approx(ratio)


def test_page_and_preview(project: Project) -> None:
    page = (project.paths.study("prompt_inputs") / "report.html").read_text(encoding="utf-8")
    conclusion = (
        "bracket finds designators best on raw: F1 1.00 (1.00 to 1.00) in 4 frames; no other input is better."
    )
    for words in (conclusion, "Evaluated against ground truth.", "gone, raw: cannot run", "threshold: auto"):
        assert words in page
    assert ">nan" not in page
    # What detectors see; whole frames and close-ups of the one that ran.
    assert page.count("<img src=") == 3
    assert "around: {kind: bracket}" in page
    preview = preview_of(project, "prompt_inputs", None)
    assert preview.picture is not None
    assert preview.numbers["bracket, corner: F1"] == 0
    assert preview.notes[0] == conclusion
    assert preview.notes[1] == "gone could not be evaluated; boxes: none, because it did not run."


def test_without_truth_the_accepted_labels_are_the_reference(tmp_path: Path) -> None:
    project = make(
        tmp_path, detectors={"bracket": {"kind": "bracket"}}, inputs=dict(list(INPUTS.items())[:2])
    )
    truth = pd.read_csv(project.paths.truth("known"))
    project.paths.truth("known").unlink()
    marks = truth[truth["label"] == "designator"].reset_index(drop=True)
    sides = ["x1", "y1", "x2", "y2"]
    rows = marks[["frame_index", *sides]].assign(
        **{f"designator_{side}": marks[side] for side in sides},
        video="known", detection_id=0, object_id="0", class_name="ship", rle=None, height=360, width=640,
        confidence=1.0, quality=1.0, verdict=["accept", "accept", "review"], reasons=[[]] * 3,
        scores=[{}] * 3,
    )  # fmt: skip
    write_table(rows, LABELS, project.paths.labels("known"))
    prompt_inputs.run(project)
    folder = project.paths.study("prompt_inputs")
    table = pd.read_csv(folder / "inputs.csv").set_index("input")
    assert table["scored_frames"].tolist() == [2, 2], "the frame of the doubtful label is left out"
    assert table["f1_50"].tolist() == [1, 1]
    page = (folder / "report.html").read_text(encoding="utf-8")
    assert "this shows agreement with the pipeline, not accuracy" in page

    project.paths.labels("known").unlink()
    prompt_inputs.run(project)
    page = (folder / "report.html").read_text(encoding="utf-8")
    assert "the project has neither ground truth, reviews nor accepted labels" in page
    assert "bracket could not be evaluated; boxes: " in page


def test_the_baseline_is_one_of_the_inputs(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="baseline: 'whole' is none of the inputs corner, cropped, raw"):
        _ = make(tmp_path, baseline="whole").params


def test_a_detector_has_no_input_of_its_own(tmp_path: Path) -> None:
    own = {"bracket": {"kind": "bracket", "input": {"scale": 2.0}}}
    with pytest.raises(InputError, match="bracket: remove `input` here"):
        _ = make(tmp_path, detectors=own).params


@pytest.mark.weights
def test_a_model_on_enlarged_frames(tmp_path: Path) -> None:
    if weights.find("yolo26n.pt") is None:
        pytest.skip("yolo26n.pt is not in GOTOWCE_WEIGHTS_DIR")
    yolo = {"kind": "yolo", "weights": "yolo26n.pt", "imgsz": 320}
    inputs = {"raw": None, "enlarged": {"scale": 2.0}}
    project = make(tmp_path, detectors={"yolo": yolo}, inputs=inputs, frames=1)
    prompt_inputs.run(project)
    table = pd.read_csv(project.paths.study("prompt_inputs") / "inputs.csv")
    assert table["status"].tolist() == ["ran", "ran"]
    assert table["truth"].tolist() == ["object", "object"]
    assert table["slower"].iloc[1] > 0
