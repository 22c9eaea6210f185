import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import supervision as sv
from typer.testing import CliRunner

from gotowce_dagster.cli.main import app
from gotowce_dagster.config.project import Project
from gotowce_dagster.core.errors import InputError
from gotowce_dagster.core.progress import silent
from gotowce_dagster.core.tables import PROVENANCE, TAUGHT, read_table
from gotowce_dagster.evaluation import rounds as evaluation_rounds
from gotowce_dagster.stages import finetuned_model, yolo_dataset
from gotowce_dagster.training import rounds
from gotowce_dagster.training.model_folder import read_arguments
from gotowce_dagster.training.proposals import (
    PROPOSED_COLUMNS,
    judged,
    propose,
    searched_frames,
)
from gotowce_dagster.training.rounds import train_on_crops, write_rounds
from tests.training.proposing import PARAMS, seen, sees
from tests.worlds import box_at, make_world

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Project:
    """Frames with and without marks; those without may show targets."""
    small = {
        "epochs": 1, "imgsz": 160, "batch": 8, "freeze": 0, "workers": 0,
        "crops": {
            "px": 64, "count": 16, "per_frame": 16, "erased": 0.75, "away": 0.3, "standouts": 4,
            "pasted": [0, 1], "paste_scale": [0.7, 1.4], "foreign": 0.5, "marked": 0.3, "stretch": 1.5,
            "turn_deg": 180, "recolour": 0.3, "brightness": 0.3,
        },
        "rounds": {
            "count": 1, "least_gain": 0.05, "frames": 6, "hold": 3,
            "adopt": 0.9, "doubt": 0.001, "faint": 0.0, "box_iou": 0.6, "smallest": 0.1, "small": 0.2,
        },
    }  # fmt: skip
    made = make_world(
        tmp_path_factory.mktemp("rounds"),
        {"a": (["hostile"] * 6 + [None] * 2) * 5},
        is_filmed=True,
        finetuned_model=small,
    )
    made.paths.videos.write_text("videos:\n  a: {file: a.mp4, profile: none}\n", encoding="utf-8")
    made = Project(made.paths)
    yolo_dataset.run(made, silent)
    return made


@pytest.fixture(scope="module")
def trained(project: Project) -> Project:
    """The same with its model, trained in two rounds."""
    finetuned_model.run(project, silent)
    return project


def test_only_what_has_no_label_is_proposed(project: Project) -> None:
    rows = read_table(project.paths.dataset / "provenance.parquet", PROVENANCE)
    assert (rows["kind"] == "unknown").any()
    assert (rows.loc[rows["kind"] == "unknown", "split"] == "train").all()

    def predict(image: np.ndarray) -> sv.Detections:
        bright = image.max(axis=2) > 150
        y, x = np.nonzero(bright)
        label = [[x.min(), y.min(), x.max() + 1, y.max() + 1]] if len(x) > 50 else []
        return sees([*label, [2, 70, 14, 82], [146, 70, 158, 82]], [*([0.9] * len(label)), 0.8, 0.8])

    proposals, table = propose(project.paths.dataset, rows, predict, PARAMS)
    assert len(proposals) == min(20, rows.loc[rows["split"] == "train", "frame_index"].nunique())
    assert set(table["use"]) == {"adopted"}
    assert table["x1"].isin([2.0, 146.0]).all(), "the labels themselves are not proposed again"
    assert set(table["video"]) == {"a"}


def test_training_in_rounds_keeps_the_origin_of_every_label(trained: Project) -> None:
    folder = trained.paths.model
    history = pd.read_csv(folder / "results.csv")
    assert history["round"].tolist() == [0, 1]
    assert history["epoch"].tolist() == [1, 2]
    scores = json.loads((folder / "metrics.json").read_text())
    assert (scores["epoch"], scores["epochs"]) == (2, 2), "counted over all rounds"
    assert scores["seconds"] == pytest.approx(history["seconds"].sum(), abs=0.1)
    assert "Epoch 2 of 2, the best one of the last round." in (folder / "MODEL_CARD.md").read_text()
    proposed = pd.read_csv(folder / "proposed.csv")
    assert set(proposed["use"]) <= {"adopted", "painted over", "background"}
    assert (proposed["round"] == 1).all()
    metrics = json.loads((folder / "metrics.json").read_text())
    assert metrics["adopted"] + metrics["painted_over"] == (proposed["use"] != "background").sum()
    table = pd.read_csv(folder / "rounds.csv")
    assert table["round"].tolist() == [0, 1]
    rows = read_table(trained.paths.dataset / "provenance.parquet", PROVENANCE)
    rows = rows[(rows["split"] == "train") & (rows["kind"] == "as-is")]
    assert table["labels_marked"].tolist() == [rows["objects"].sum()] * 2
    assert table["labels_proposed"].tolist() == [0, metrics["adopted"]]
    boxes = read_table(folder / "provenance.parquet", TAUGHT)
    assert (boxes["origin"] == "marked").sum() == rows["objects"].sum()
    assert (boxes["origin"] == "proposed").sum() == len(proposed)
    assert (
        boxes.loc[boxes["origin"] == "proposed", "use"].tolist()
        == boxes.loc[boxes["round"] == 1, "use"].tolist()
    )
    assert [file.name for file in (folder / "rounds").iterdir()] == ["round-0.pt"]
    crops = pd.read_csv(folder / "crops.csv")
    assert (crops["split"] == "train").sum() == 16
    arguments = read_arguments(folder)
    assert (arguments["imgsz"], arguments["crop_px"], arguments["tile_px"]) == (160, 64, 0)


def test_an_interrupted_training_searches_no_round_again(
    trained: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    def searched_again(*_: object, **__: object) -> None:
        raise AssertionError("the proposals lie in the work folder")

    before = (trained.paths.model / "proposed.csv").read_bytes()
    monkeypatch.setattr(rounds, "propose", searched_again)
    finetuned_model.run(trained, silent)
    assert (trained.paths.model / "proposed.csv").read_bytes() == before


def test_rounds_end_when_a_model_adopts_no_more(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    params = project.params.finetuned_model
    more = params.model_copy(update={"rounds": params.rounds.model_copy(update={"count": 5, "hold": 2})})
    counts = iter([4, 6, 6])

    def adopts(dataset: Path, provenance: pd.DataFrame, *_: object) -> tuple[dict, pd.DataFrame]:
        frames = searched_frames(provenance, params.rounds.frames, 2)
        # Half of them in each of two frames, for what is seen once only is not adopted.
        where = frames["frame_index"].iloc[:2].astype(int)
        some = seen(
            *[(index, 15.0 * n, False, True, False) for n in range(next(counts) // 2) for index in where]
        )
        found = judged(some, frames, more.rounds)
        return {}, found[PROPOSED_COLUMNS]

    monkeypatch.setattr(rounds, "propose", adopts)
    provenance = read_table(project.paths.dataset / "provenance.parquet", PROVENANCE)
    done = train_on_crops(
        project.paths.dataset, provenance, "yolo26n.yaml", more, project.paths.work("other"),
        progress=silent, on_epoch=lambda epoch, metrics: None,
    )  # fmt: skip
    assert done.rounds["labels_proposed"].tolist() == [0, 4, 6]
    assert len(done.models) == 3


def test_each_round_is_measured_once(trained: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    file = trained.paths.complete_truth("a")
    file.parent.mkdir(exist_ok=True)
    boxes = [(10 * n, *box_at(n).astype(int)) for n in range(3)]
    lines = [f"a.mp4,{index},{x1},{y1},{x2},{y2},hostile,no" for index, x1, y1, x2, y2 in boxes]
    file.write_text("\n".join(["clip,frame_index,x1,y1,x2,y2,label,marked", *lines]) + "\n")
    loaded = []

    def load(folder: Path, weights: Path) -> Callable[[np.ndarray], sv.Detections]:
        loaded.append(weights.name)
        return lambda image: sees([[float(side) for side in box[1:]] for box in boxes[:2]], [0.9, 0.9])

    monkeypatch.setattr(evaluation_rounds, "load_trained", load)
    table = evaluation_rounds.round_by_round(trained, silent)
    assert loaded == ["round-0.pt", "best.pt"]
    assert [one["round"] for one in table] == [0, 1]
    for one in table:
        figures = one["figures"]
        assert set(figures) == {"all", "apart", "none"}
        assert figures["all"] == figures["none"]
        assert figures["all"]["complete_frames"] == 3
        assert figures["all"]["unmarked_recall"] == pytest.approx(2 / 3)
        assert figures["all"]["precision"] == pytest.approx(2 / 6)
        # The stand-in sees nothing mirrored, so it is sure of nothing.
        assert (figures["all"]["adopted"], figures["all"]["adopted_right"]) == (0, 0)
    again = evaluation_rounds.round_by_round(trained, silent)
    assert len(loaded) == 2, "nothing is measured twice"
    assert again == table

    monkeypatch.chdir(trained.paths.root)
    shown = CliRunner().invoke(app, ["rounds"], env={"COLUMNS": "120"})
    assert shown.exit_code == 0, shown.output
    assert "all frames: 3 targets never marked, 3 complete frames" in shown.stdout
    (recalls,) = (line for line in shown.stdout.splitlines() if "recall of targets never marked" in line)
    assert recalls.count("0.667") == 2
    listed = json.loads(CliRunner().invoke(app, ["rounds", "--json"]).stdout)
    assert listed == table
    file.unlink()


def test_without_rounds_there_is_no_table(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="run `gotowce rounds 1`"):
        evaluation_rounds.models_of_rounds(tmp_path)


def test_a_further_round_leaves_the_others_done(trained: Project, tmp_path: Path) -> None:
    work = trained.paths.work("finetuned_model")
    (done,) = (work / "round-0").iterdir()
    before = (done / "epoch-00001" / "state.json").stat().st_mtime_ns
    params = trained.params.finetuned_model
    more = params.model_copy(
        update={"rounds": params.rounds.model_copy(update={"count": 2, "least_gain": 0.0})}
    )
    provenance = read_table(trained.paths.dataset / "provenance.parquet", PROVENANCE)
    further = train_on_crops(
        trained.paths.dataset, provenance, "yolo26n.yaml", more, work,
        progress=silent, on_epoch=lambda epoch, metrics: None,
    )  # fmt: skip
    boxes = [(number, "scene", 0, 0, 1, 1, 9, 9, 0.9, "adopted", "", 0) for number in (1, 2, 2)]
    proposed = pd.DataFrame(boxes, columns=["round", *PROPOSED_COLUMNS])
    numbers = write_rounds(replace(further, proposed=proposed), trained.paths.dataset, provenance, tmp_path)
    assert numbers["adopted"] == 2, "what the last round learned from"
    assert [place.name for place in (work / "round-0").iterdir()] == [done.name]
    assert (done / "epoch-00001" / "state.json").stat().st_mtime_ns == before


def test_the_command_refuses_a_training_without_crops(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    world = make_world(tmp_path, {"a": ["hostile"]}, finetuned_model={"crops": None})
    before = world.paths.params.read_text()
    monkeypatch.chdir(world.paths.root)
    refused = CliRunner().invoke(app, ["rounds", "2"])
    assert isinstance(refused.exception, InputError)
    assert "finetuned_model.crops is null" in str(refused.exception)
    assert world.paths.params.read_text() == before
