import json
import os
import subprocess
import sys
from pathlib import Path

import pandas as pd
import pytest

from gotowce_dagster.config.project import Project
from gotowce_dagster.core.errors import InputError, MissingWeightsError
from gotowce_dagster.core.progress import silent
from gotowce_dagster.core.tables import PROVENANCE, read_table, write_table
from gotowce_dagster.previews.table import preview_of
from gotowce_dagster.stages import finetuned_model, yolo_dataset
from gotowce_dagster.training.model_folder import read_metrics
from tests.training.test_finetune import SMALL
from tests.worlds import make_world

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Project:
    made = make_world(
        tmp_path_factory.mktemp("world"), {"a": ["hostile"] * 30}, finetuned_model={**SMALL, "epochs": 2}
    )
    yolo_dataset.run(made, silent)
    finetuned_model.run(made, silent)
    return made


def test_outputs(project: Project) -> None:
    folder = project.paths.model
    names = {"best.pt", "results.csv", "metrics.json", "args.yaml", "MODEL_CARD.md"}
    assert {path.name for path in folder.iterdir()} == names
    history = pd.read_csv(folder / "results.csv")
    assert history["epoch"].tolist() == [1, 2]
    assert {"train_box_loss", "val_box_loss", "precision", "recall", "mAP50", "mAP50_95", "lr"} <= {*history}
    metrics = read_metrics(folder)
    best = history[history["fitness"] == history["fitness"].max()].iloc[-1]
    assert metrics["mAP50"] == best["mAP50"]
    assert metrics["epochs"] == 2
    for file in ("args.yaml", "MODEL_CARD.md", "metrics.json"):
        assert str(project.paths.root) not in (folder / file).read_text()


def test_the_model_loads_and_knows_its_classes(project: Project) -> None:
    from ultralytics import YOLO

    assert YOLO(project.paths.model / "best.pt").names == {0: "hostile"}


def test_random_weights_are_warned_about(project: Project) -> None:
    assert "**random weights**" in (project.paths.model / "MODEL_CARD.md").read_text()
    preview = preview_of(project, "finetuned_model", None)
    assert "random weights (yolo26n.yaml)" in preview.notes[0]
    assert preview.numbers["began_from"] == "yolo26n.yaml"
    assert preview.picture is not None


def test_a_leaking_dataset_is_not_trained_on(tmp_path: Path) -> None:
    made = make_world(tmp_path, {"a": ["hostile"] * 30}, finetuned_model=SMALL)
    yolo_dataset.run(made, silent)
    path = made.paths.dataset / "provenance.parquet"
    rows = read_table(path, PROVENANCE)
    rows["split"] = ["train", "val"] * (len(rows) // 2) + ["test"] * (len(rows) % 2)
    write_table(rows, PROVENANCE, path)
    with pytest.raises(InputError, match="is less than 2 s after a frame of"):
        finetuned_model.run(made, silent)
    assert not made.paths.model.exists()


def test_missing_weights_are_an_error_not_another_model(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GOTOWCE_WEIGHTS_DIR", str(tmp_path))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    made = make_world(tmp_path / "project", {"a": ["hostile"] * 30}, finetuned_model=SMALL)
    made.paths.engines.write_text("masks: grabcut\npropagation: unused\nfinetuned_model: nowhere.pt\n")
    yolo_dataset.run(made, silent)
    with pytest.raises(MissingWeightsError, match=r"nowhere\.pt"):
        finetuned_model.run(made, silent)


def test_no_network_and_nothing_outside_the_project(project: Project, tmp_path: Path) -> None:
    """With every connection refused, a training from another folder still works, and writes nothing there."""
    script = f"""
import socket, sys
from pathlib import Path
asked = []
def refuse(self, address):
    asked.append(address)
    raise OSError("no network")
socket.socket.connect = refuse
socket.getaddrinfo = lambda *a, **k: asked.append(a) or (_ for _ in ()).throw(OSError("no network"))
from gotowce_dagster.core.progress import silent
from gotowce_dagster.config.project import Project
from gotowce_dagster.stages import finetuned_model
project = Project.find(Path({str(project.paths.root)!r}))
import shutil
shutil.rmtree(project.paths.work("finetuned_model"))
finetuned_model.run(project, silent)
assert not asked, asked
"""
    before = (project.paths.model / "best.pt").read_bytes()
    home = tmp_path / "home"
    home.mkdir()
    done = subprocess.run(
        [sys.executable, "-c", script],
        cwd=home,
        env={
            **{name: value for name, value in os.environ.items() if not name.startswith("YOLO_")},
            "HOME": str(home),
            "XDG_CACHE_HOME": str(tmp_path / "cache"),
            "PYTHONPATH": str(Path(__file__).parents[2]),
        },
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-2000:]
    assert "Ultralytics" not in done.stdout + done.stderr
    left = {path.name for path in home.iterdir()} - {".config", ".cache"}
    assert left == set()
    # Trained anew in another process: the same bytes.
    assert (project.paths.model / "best.pt").read_bytes() == before
    assert json.loads((project.paths.model / "metrics.json").read_text())["epochs"] == 2
