import json
import subprocess
import sys
from collections.abc import Sequence
from functools import partial
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import yaml

from gotowce_dagster.cli import demo
from gotowce_dagster.cli import main as cli
from gotowce_dagster.config import engines
from gotowce_dagster.config.detector_settings import DetectorSettings
from gotowce_dagster.config.engines import precision
from gotowce_dagster.config.project import Project
from gotowce_dagster.core.tables import MASKS, read_table, read_truth
from gotowce_dagster.designators.profile import Profile, write_profile
from gotowce_dagster.propagation import image_track
from gotowce_dagster.segmenters.base import Prediction
from gotowce_dagster.segmenters.prompts import Prompt
from gotowce_dagster.stages.table import STAGES
from tests.detectors.marks import PROFILE, RED
from tests.detectors.says import Says
from tests.detectors.servers import Turn, boxes, serving
from tests.intake.test_videos import film
from tests.support.synthetic import Bracket, Scene, Target, write_scene

ENGINE = "sam2_image_track:sam2_hiera_tiny_image.pt"


def run(monkeypatch: pytest.MonkeyPatch, *words: str) -> int:
    """Run the command line in this process; its exit code."""
    monkeypatch.setattr(sys, "argv", ["gotowce", *words])
    try:
        cli.main()
    except SystemExit as end:
        return int(end.code or 0)
    return 0


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["stage", "nope"], "no stage named 'nope'; expected one of extracted_frames"),
        (["stage", "masks"], "masks runs on one video: name it"),
        (["stage", "evaluation", "duel"], "evaluation runs on the whole project"),
        (["stage", "masks", "ghost"], "no video named 'ghost'; known: none yet"),
        (["mark", "ghost"], "no video named 'ghost'"),
        (["add", "missing.mp4"], "missing.mp4"),
    ],
    ids=["unknown stage", "video missing", "video too many", "unknown video", "nothing to mark", "no file"],
)
def test_bad_input_is_one_sentence_and_exit_code_2(
    clone: Project,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture,
    words: list[str],
    says: str,
) -> None:
    assert run(monkeypatch, *words) == 2
    told = capsys.readouterr().err
    assert says in told
    assert "Traceback" not in told


def test_outside_a_project(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
) -> None:
    monkeypatch.setenv("GOTOWCE_ROOT", str(tmp_path))
    assert run(monkeypatch, "sync") == 2
    assert "no params.yaml here or above" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("masks: [", "not valid YAML"),
        ("extracted_frames: {fps: -1, jpeg_quality: 95, colour: red}", "extracted_frames.fps"),
        ("extracted_frames: {fps: -1, jpeg_quality: 95, colour: red}", "extracted_frames.colour"),
    ],
    ids=["syntax", "out of range", "unknown key"],
)
def test_bad_params_name_the_field(
    clone: Project, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture, text: str, says: str
) -> None:
    clone.paths.params.write_text(text, encoding="utf-8")
    assert run(monkeypatch, "sync") == 2
    told = capsys.readouterr().err
    assert "params.yaml" in told
    assert says in told


@pytest.mark.integration
def test_add_goes_on_past_a_bad_file_and_says_which(
    clone: Project, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
) -> None:
    (tmp_path / "bad.mp4").write_text("text")
    good = film(tmp_path / "good.mp4")
    assert run(monkeypatch, "add", "--json", str(tmp_path / "bad.mp4"), str(good)) == 2
    told = capsys.readouterr()
    answer = json.loads(told.out)
    assert answer["added"] == {str(good): "good"}
    assert "bad.mp4" in answer["refused"][0]
    assert "bad.mp4" in told.err


@pytest.mark.integration
def test_doctor_speaks_json(
    clone: Project, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
) -> None:
    assert run(monkeypatch, "doctor", "--json") == 0
    findings = {finding["what"]: finding for finding in json.loads(capsys.readouterr().out)}
    assert {"device", "video codecs", "masks: grabcut", "yolo26n.pt", "label studio", "disk"} <= set(findings)
    assert findings["masks: grabcut"]["ok"]


HEAVY = ["torch", "ultralytics", "sam2", "transformers", "dvc", "matplotlib", "scenedetect"]


@pytest.mark.integration
@pytest.mark.parametrize(
    ("module", "banned"),
    [
        ("gotowce_dagster.cli.main", [*HEAVY, "dagster", "pandas", "cv2", "supervision", "av"]),
        ("gotowce_dagster.definitions", HEAVY),
    ],
)
def test_doors_open_without_heavy_libraries(module: str, banned: list[str]) -> None:
    code = f"import sys, {module}; print(*(set(sys.modules) & set({banned!r})))"
    told = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert told.stdout.split() == []


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["--detector", "bracket"], "bracket cannot describe; it only finds boxes"),
        (["--detector", "bracket", "--count", "ships", "--point", "ships"], "one of --question, --count and"),
        (["--detector", "magic"], "no detector named 'magic'"),
        (["--detector", "bracket", "--frames", "99999"], "has no readable frame 99999"),
        (["--detector", "moondream_server", "--question", "what is it?"], "nothing was sent"),
    ],
    ids=["one that finds boxes", "two at once", "unknown detector", "frame past the end", "unpaid"],
)
def test_ask_refuses(
    clone: Project,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture,
    words: list[str],
    says: str,
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert run(monkeypatch, "ask", "data/samples/naev_hostile_sample.mp4", *words) == 2
    assert says in " ".join(capsys.readouterr().err.split())


def test_ask_answers_and_tells_what_it_took(
    clone: Project, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    with serving(Turn(boxes())) as server:
        eye = {
            "kind": "hosted", "provider": "compatible", "model": "eye", "base_url": f"{server.address}/v1",
            "requests_per_minute": None, "parallel": 1,
        }  # fmt: skip
        params = yaml.safe_load(clone.paths.params.read_text(encoding="utf-8"))
        params["designator_detections"]["detectors"] = {"eye": eye}
        clone.paths.params.write_text(yaml.safe_dump(params), encoding="utf-8")
        server.turns.extend([Turn({"count": 3}), Turn(words="Many.")])
        clip = "data/samples/naev_hostile_sample.mp4"
        words = ["--detector", "eye", "--count", "brackets", "--frames", "3,9", "--json"]
        assert run(monkeypatch, "ask", clip, *words, "--yes") == 0
    told = json.loads(capsys.readouterr().out)
    assert told["answers"] == {"3": 3, "9": None}
    assert (told["bill"]["answers"], told["bill"]["invalid"], told["bill"]["tokens_in"]) == (2, 1, 2000)


@pytest.mark.parametrize(("extra", "least"), [([], 0.005), (["--min-confidence", "0.3"], 0.3)])
def test_detect_leaves_the_threshold_to_the_detector(
    clone: Project, monkeypatch: pytest.MonkeyPatch, extra: list[str], least: float
) -> None:
    def look(_name: str, settings: DetectorSettings, _profile: Profile) -> Says:
        return Says("low", *(box for box in there if box[4] >= settings.min_confidence))

    there = [(10, 10, 50, 50, 0.4), (80, 10, 120, 50, 0.01), (160, 10, 200, 50, 0.001)]
    monkeypatch.setattr("gotowce_dagster.detectors.registry.build_detector", look)
    words = ["--profile", "data/profiles/naev.toml", "--frames", "3", "--out", "o.csv"]
    clip = "data/samples/naev_hostile_sample.mp4"
    assert run(monkeypatch, "detect", clip, "--detector", "yolo_world", *words, *extra) == 0
    found = pd.read_csv("o.csv")["confidence"].tolist()
    assert found == pytest.approx([box[4] for box in there if box[4] >= least])


@pytest.mark.integration
def test_calibrate_then_detect_on_a_sample(
    clone: Project, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
) -> None:
    clip, truth = "data/samples/naev_hostile_sample.mp4", "data/samples/truth.csv"
    rows = read_truth(Path(truth)).query("clip == 'naev_hostile_sample.mp4' and label == 'designator'")
    words = [
        "--boxes",
        truth,
        "--out",
        "data/profiles/mine.toml",
        "--designator",
        "hostile",
        "--class",
        "ship",
    ]
    assert run(monkeypatch, "calibrate", clip, *words) == 0
    assert Path("data/profiles/mine_hostile.png").stat().st_size > 10_000
    wanted = ",".join(map(str, rows["frame_index"]))
    assert (
        run(
            monkeypatch,
            "detect",
            clip,
            "--profile",
            "data/profiles/mine.toml",
            "--frames",
            wanted,
            "--out",
            "o.csv",
        )
        == 0
    )
    found = pd.read_csv("o.csv")
    assert found["frame_index"].tolist() == rows["frame_index"].tolist()
    assert set(found["class_name"]) == {"ship"}
    sides = ["x1", "y1", "x2", "y2"]
    assert np.abs(found[sides].to_numpy() - rows[sides].to_numpy()).max() <= 2


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["--frames", "62,x"], "--frames: expected frame numbers"),
        (["--frames", "99999"], "has no readable frame 99999"),
        (["--detector", "magic"], "no detector named 'magic'; expected one of bracket"),
    ],
    ids=["text for a number", "frame past the end", "unknown detector"],
)
def test_detect_refuses(
    clone: Project,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture,
    words: list[str],
    says: str,
) -> None:
    clip, profile = "data/samples/naev_hostile_sample.mp4", "data/profiles/naev.toml"
    assert run(monkeypatch, "detect", clip, "--profile", profile, "--out", "o.csv", *words) == 2
    assert says in capsys.readouterr().err
    assert not Path("o.csv").exists()


@pytest.mark.parametrize(
    ("row", "engine", "says"),
    [
        ("99,a,5,5,1", ENGINE, "points.csv: row 2: the video ends with frame"),
        ("0,a,5,5,2", ENGINE, "points.csv: row 2: label must be 1"),
        ("0,a,5,5,0", ENGINE, "points.csv: row 2: its object has negative points only"),
        ("0,a,5,5,1", "grabcut", "propagation: there is no engine 'grabcut'; known: sam2"),
    ],
    ids=["frame after the end", "unknown label", "negatives only", "no such engine"],
)
def test_segment_refuses(
    clone: Project,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture,
    *,
    row: str,
    engine: str,
    says: str,
) -> None:
    monkeypatch.setattr(engines, "first_of", partial(engines.first_of, obstacle=lambda engine: None))
    points = tmp_path / "points.csv"
    points.write_text(f"frame_index,object_id,x,y,label\n{row}\n", encoding="utf-8")
    video, out = film(tmp_path / "duel.mp4"), tmp_path / "out"
    words = ("segment", str(video), "--points", str(points), "--out", str(out), "--engine", engine)
    assert run(monkeypatch, *words) == 2
    assert says in capsys.readouterr().err
    assert not (out / "masks.parquet").exists()


SHIP = Target(start=(200, 150), colour=(230, 230, 235), bracket=Bracket(RED))


class Eyes:
    """Takes all that is bright for the object."""

    name, weights, device = "eyes", "none", "cpu"

    def predict(
        self, crops: Sequence[np.ndarray], prompts: Sequence[Sequence[Prompt]]
    ) -> list[list[Prediction]]:
        return [[self._prediction(crop) for _ in asked] for crop, asked in zip(crops, prompts, strict=True)]

    def _prediction(self, crop: np.ndarray) -> Prediction:
        return Prediction(
            np.where(crop.min(axis=2) > 150, 5.0, -5.0)[None].astype(np.float32), np.array([0.9])
        )


@pytest.fixture
def drawn(clone: Project, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A clip of a marked ship, a profile that claims it, and engines that need no weights."""
    write_profile(PROFILE, clone.paths.profile("drawn"))
    told = clone.params.model_dump(mode="json")
    told["masks"]["segmenter"] = ["grabcut"]
    clone.paths.params.write_text(yaml.safe_dump(told), encoding="utf-8")
    monkeypatch.setattr(engines, "first_of", partial(engines.first_of, obstacle=lambda engine: None))
    monkeypatch.setattr(image_track, "_build", lambda weights, params: Eyes())
    video = tmp_path / "drawn.mp4"
    write_scene(video, Scene((SHIP,), frames=12, size=(480, 320)), crf=16)
    return video


def test_segment_follows_what_a_designator_marks(
    drawn: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
) -> None:
    assert run(monkeypatch, "segment", str(drawn), "--engine", ENGINE, "--json") == 0
    told = json.loads(capsys.readouterr().out)
    assert (told["out"], told["objects"], told["precision"]) == (
        "segmented/drawn",
        1,
        precision(ENGINE, "cpu"),
    )
    rows = read_table(Path(told["out"]) / "masks.parquet", MASKS)
    assert set(rows["segmenter"]) >= {"grabcut"}
    for row in rows[rows["rle"].notna()].to_dict("records"):
        assert row["area_px"] > 100


@pytest.mark.integration
def test_segment_by_points_has_a_folder_of_its_own(
    drawn: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
) -> None:
    points = tmp_path / "points.csv"
    points.write_text("frame_index,object_id,x,y,label\n0,ship,200,150,1\n", encoding="utf-8")
    words = ("segment", str(drawn), "--points", str(points), "--engine", ENGINE)
    assert run(monkeypatch, *words) == 0
    assert "precision" in capsys.readouterr().out
    assert Path("segmented/drawn/masks.parquet").exists()
    listed = subprocess.run(["git", "status", "--short"], capture_output=True, text=True, check=True)
    assert "segmented" not in listed.stdout


def test_segment_needs_points_or_a_profile(
    clone: Project, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
) -> None:
    assert run(monkeypatch, "segment", str(film(tmp_path / "stranger.mp4"))) == 2
    assert "no profile claims stranger.mp4; give --profile or --points" in capsys.readouterr().err
    assert not Path("segmented").exists()


@pytest.mark.parametrize("studies", [False, True], ids=["alone", "with the studies"])
def test_demo_speaks_json(
    clone: Project, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture, studies: bool
) -> None:
    jobs: list[str] = []
    monkeypatch.setattr(demo, "_execute", lambda instance, job, video: jobs.append(job) or [])
    assert run(monkeypatch, "demo", "--json", *(["--studies"] if studies else [])) == 0
    assert jobs == ["label_videos", "label_videos", "train_model", *(["run_studies"] if studies else [])]
    told = json.loads(capsys.readouterr().out)
    assert Path(told["report"]).name == "report.html"
    assert "not made" in told["stages"]["masks@naev_hostile_sample"]
    wanted = {stage.name for stage in STAGES.values() if studies or not stage.is_study}
    assert wanted == {name.partition("@")[0] for name in told["stages"]}


def test_repair_tells_what_it_did_and_what_it_need_not_do(
    clone: Project, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
) -> None:
    (clone.paths.root / "dvc.lock").write_text("schema: '2.0'\nstages:\n  masks@a:\n", encoding="utf-8")
    assert run(monkeypatch, "repair", "--json") == 0
    repaired = json.loads(capsys.readouterr().out)["repaired"]
    assert (repaired["kept"], repaired["from_copy"], repaired["from_run_cache"]) == ([], [], [])
    assert "yolo_dataset" in repaired["missing"]
    assert (clone.paths.root / "dvc.lock").read_text(encoding="utf-8") == "schema: '2.0'\nstages: {}\n"
    assert run(monkeypatch, "repair") == 0
    assert "nothing to repair" in capsys.readouterr().out
