import json
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pandas as pd
import pytest
import supervision as sv
from typer.testing import CliRunner

from gotowce_dagster.cli.main import app
from gotowce_dagster.config.params import RoundsParams
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
    questions,
    searched_frames,
    surely_seen,
    two_looks,
)
from gotowce_dagster.training.rounds import train_on_crops
from tests.worlds import box_at, make_world

pytestmark = pytest.mark.slow

PARAMS = RoundsParams(
    count=1,
    least_gain=0.05,
    frames=20,
    hold=2,
    adopt=0.5,
    doubt=0.05,
    faint=0.0,
    box_iou=0.6,
    smallest=0.1,
    small=0.2,
)
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


@pytest.mark.parametrize(("count", "looks"), [(0, 1), (3, 4), (40, 2)])
def test_a_model_that_is_sure_of_everything_looks_twice(count: int, looks: int) -> None:
    """Every box has its own look in the mirror image, until one at the whole picture costs less."""
    image = np.zeros((600, 800, 3), np.uint8)
    corners = [(20 + 100 * column, 20 + 120 * row) for row in range(5) for column in range(8)][:count]
    for left, top in corners:
        image[top : top + 24, left : left + 30] = 128
    seen: list[tuple[int, ...]] = []

    def predict(some: np.ndarray) -> sv.Detections:
        seen.append(some.shape)
        _, _, found, _ = cv2.connectedComponentsWithStats((some[..., 0] == 128).astype(np.uint8))
        found = found[1:, :4]
        return _sees(np.hstack([found[:, :2], found[:, :2] + found[:, 2:]]).tolist(), [0.9] * len(found))

    found, sure = two_looks(image, predict, PARAMS)
    assert (len(found), sure.tolist()) == (count, [True] * count)
    assert len(seen) == looks
    assert set(seen[1:]) <= ({(256, 256, 3)} if count < 10 else {image.shape})


@pytest.mark.parametrize(
    ("box", "hud", "smallest_px", "seen"),
    [
        (BOX, None, 20.0, 1),
        (BOX, [90, 30, 130, 70], 20.0, 0),
        (BOX, [0, 0, 50, 50], 20.0, 1),
        (BOX, None, 101.0, 0),
    ],
    ids=["a target", "on the HUD", "beside the HUD", "smaller than any target"],
)
def test_what_is_surely_seen_is_adopted_at_once(
    box: list[float], hud: list[int] | None, smallest_px: float, seen: int
) -> None:
    image = np.zeros((96, 160, 3), np.uint8)
    image[:, :80] = 255
    panels = None
    if hud:
        panels = np.zeros((96, 160), bool)
        panels[hud[1] : hud[3], hud[0] : hud[2]] = True

    def predict(some: np.ndarray) -> sv.Detections:
        return _sees([box] if some[0, 0, 0] else [MIRRORED], [0.9])

    found = surely_seen(image, predict, PARAMS, hud=panels, usual=None, smallest_px=smallest_px, rare=True)
    assert len(found) == seen


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
        return _sees([*label, [2, 70, 14, 82], [146, 70, 158, 82]], [*([0.9] * len(label)), 0.8, 0.8])

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


def _seen(*rows: tuple[int, float, bool, bool, bool]) -> pd.DataFrame:
    """frame_index, x1, is_label, sure, still; boxes of 10 px."""
    table = pd.DataFrame(rows, columns=["frame_index", "x1", "is_label", "sure", "still"])
    return table.assign(
        video="a", class_id=0, y1=10.0, x2=table["x1"] + 10, y2=20.0, confidence=0.5, small=False
    )  # fmt: skip


@pytest.mark.parametrize(
    ("rows", "hold", "use"),
    [
        ([(0, 0, False, True, False)], 3, ["adopted"]),
        ([(0, 0, False, False, False)], 3, ["painted over"]),
        ([(0, 0, False, False, True)], 3, ["background"]),
        ([(n, 9.0 * n, False, n != 1, False) for n in range(3)], 2, ["adopted"] * 3),
        ([(n, 9.0 * n, False, n < 2, False) for n in range(3)], 2, ["adopted", "adopted", "painted over"]),
        ([(n, 9.0 * n, False, False, False) for n in range(3)], 3, ["painted over"] * 3),
        ([(n, 9.0 * n, False, n != 1, False) for n in range(3)], 4, ["adopted", "painted over"] * 2),
        ([(n, 9.0 * n, n == 0, n != 1, False) for n in range(3)], 2, ["adopted"] * 3),
        ([(n, 200.0 * n, False, n != 1, False) for n in range(3)], 2, ["adopted", "painted over"] * 2),
    ],
    ids=[
        "sure in both looks", "doubtful", "stands still", "between sure ones", "after them", "never sure",
        "a track too short", "a track that was labelled once", "three places, no track",
    ],
)  # fmt: skip
def test_tracks_that_hold_are_adopted(rows: list, hold: int, use: list[str]) -> None:
    frames = pd.DataFrame({"video": "a", "frame_index": range(3), "time_s": [0, 0.5, 1.0], "block": 0})
    found = judged(_seen(*rows), frames, PARAMS.model_copy(update={"hold": hold}))
    assert found["use"].tolist() == use[: len(rows)]
    asked = questions(found, PARAMS.model_copy(update={"hold": hold}))
    is_doubtful_track = (found["held"] >= hold) & (found["use"] == "painted over")
    assert len(asked) == is_doubtful_track.sum()
    assert questions(found.assign(confidence=0.2), PARAMS).empty


@pytest.mark.parametrize(
    ("rows", "times", "use"),
    [
        ([(0, 0, False, True, False)], [0, 0.5, 1.0], ["background"]),
        ([(1, 0, False, False, False)], [0, 0.5, 1.0], ["background"]),
        ([(0, 0, False, True, False)], [0, 9.0, 18.0], ["painted over"]),
        ([(n, 9.0 * n, False, True, False) for n in range(2)], [0, 0.5, 1.0], ["painted over"] * 2),
        ([(n, 9.0 * n, False, True, False) for n in range(3)], [0, 0.5, 1.0], ["adopted"] * 3),
        (
            [(n, 9.0 * n, False, n != 1, False) for n in range(3)],
            [0, 0.5, 1.0],
            ["adopted", "painted over", "adopted"],
        ),
    ],
    ids=[
        "sure but gone", "doubtful and gone", "nobody looked around it", "twice", "holds",
        "holds, surely found twice",
    ],
)  # fmt: skip
def test_what_is_small_is_believed_only_if_it_holds(rows: list, times: list[float], use: list[str]) -> None:
    frames = pd.DataFrame({"video": "a", "frame_index": range(3), "time_s": times, "block": 0})
    small = _seen(*rows).assign(small=True)
    assert judged(small, frames, PARAMS.model_copy(update={"hold": 3}))["use"].tolist() == use
    assert "background" not in set(judged(small.assign(small=False), frames, PARAMS)["use"])


@pytest.mark.parametrize(
    ("confidence", "seen_in", "times", "use"),
    [
        (0.2, 1, [0, 0.5, 1.0], "background"),
        (0.2, 2, [0, 0.5, 1.0], "background"),
        (0.2, 3, [0, 0.5, 1.0], "painted over"),
        (0.3, 1, [0, 0.5, 1.0], "painted over"),
        (0.2, 1, [0, 9.0, 18.0], "painted over"),
    ],
    ids=[
        "faint and gone",
        "faint for a while",
        "faint, but holds",
        "not so faint",
        "nobody looked around it",
    ],
)
def test_what_is_faint_and_does_not_hold_is_background(
    confidence: float, seen_in: int, times: list[float], use: str
) -> None:
    frames = pd.DataFrame({"video": "a", "frame_index": range(3), "time_s": times, "block": 0})
    rows = _seen(*[(n, 9.0 * n, False, False, False) for n in range(seen_in)]).assign(confidence=confidence)
    params = PARAMS.model_copy(update={"hold": 3, "faint": 0.25})
    assert set(judged(rows, frames, params)["use"]) == {use}
    assert set(judged(rows.assign(still=True), frames, params)["use"]) == {"background"}
    assert set(judged(rows, frames, params.model_copy(update={"faint": 0.0}))["use"]) == {"painted over"}


def test_a_frame_of_another_shot_is_no_witness() -> None:
    frames = pd.DataFrame(
        {"video": "a", "frame_index": range(3), "time_s": [0, 0.5, 1.0], "block": [0, 1, 1]}
    )
    small = _seen((0, 0, False, True, False), (1, 100.0, False, True, False)).assign(small=True)
    assert judged(small, frames, PARAMS)["use"].tolist() == ["painted over", "background"]


def test_a_longer_video_is_searched_in_runs() -> None:
    rows = pd.DataFrame(
        {
            "split": "train", "reviewed": False, "video": "a", "frame_index": np.arange(100) * 10,
            "kind": "as-is", "image": "x",
        }
    )  # fmt: skip
    found = searched_frames(rows, 12, 3)["frame_index"].to_numpy() // 10
    assert len(found) == 12
    assert (np.diff(found.reshape(-1, 3), axis=1) == 1).all()
    assert found[0] == 0
    assert found[-1] == 99


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
        some = _seen(
            *[(int(frames["frame_index"].iloc[0]), 15.0 * n, False, True, False) for n in range(next(counts))]
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
        return lambda image: _sees([[float(side) for side in box[1:]] for box in boxes[:2]], [0.9, 0.9])

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


def test_a_further_round_leaves_the_others_done(trained: Project) -> None:
    work = trained.paths.work("finetuned_model")
    (done,) = (work / "round-0").iterdir()
    before = (done / "epoch-00001" / "state.json").stat().st_mtime_ns
    params = trained.params.finetuned_model
    more = params.model_copy(
        update={"rounds": params.rounds.model_copy(update={"count": 2, "least_gain": 0.0})}
    )
    provenance = read_table(trained.paths.dataset / "provenance.parquet", PROVENANCE)
    train_on_crops(
        trained.paths.dataset, provenance, "yolo26n.yaml", more, work,
        progress=silent, on_epoch=lambda epoch, metrics: None,
    )  # fmt: skip
    assert [place.name for place in (work / "round-0").iterdir()] == [done.name]
    assert (done / "epoch-00001" / "state.json").stat().st_mtime_ns == before
