import hashlib
import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from gotowce_dagster.config.params import TrainingParams
from gotowce_dagster.config.paths import Paths
from gotowce_dagster.config.project import Project
from gotowce_dagster.core import weights
from gotowce_dagster.core.files import remove
from gotowce_dagster.core.progress import silent
from gotowce_dagster.stages import yolo_dataset
from gotowce_dagster.training.engines.base import read_state
from gotowce_dagster.training.engines.yolo import Yolo
from gotowce_dagster.training.finetune import finetune, fingerprint
from tests.worlds import make_world

pytestmark = pytest.mark.slow

SMALL = {
    "crops": None,
    "epochs": 3,
    "imgsz": 64,
    "batch": 8,
    "freeze": 0,
    "mosaic": 0.0,
    "patience": 50,
    "workers": 0,
}

# Runs a training as another process would, telling each finished epoch.
SCRIPT = """
import sys
from gotowce_dagster.config.project import Project
from gotowce_dagster.training.finetune import finetune
from pathlib import Path
project = Project.find(Path(sys.argv[1]))
work = project.paths.work("finetuned_model")
finetune(
    project.paths.dataset, "yolo26n.yaml", project.params.finetuned_model, work,
    progress=lambda done, total: None,
    on_epoch=lambda epoch, metrics: print("epoch", epoch, flush=True),
)
"""


def _digests(folder: Path) -> dict[str, str]:
    return {
        str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Project:
    made = make_world(tmp_path_factory.mktemp("made"), {"a": ["hostile"] * 30}, finetuned_model=SMALL)
    yolo_dataset.run(made, silent)
    return made


@pytest.fixture
def project(made: Project, tmp_path: Path) -> Project:
    """A copy of it."""
    return Project(Paths(shutil.copytree(made.paths.root, tmp_path / "project")))


def _params(project: Project) -> TrainingParams:
    return project.params.finetuned_model


@pytest.mark.integration
def test_killed_after_an_epoch_it_goes_on_there(
    project: Project, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    monkeypatch.chdir(elsewhere)
    before = _digests(project.paths.dataset)
    work = project.paths.work("finetuned_model")
    started = subprocess.Popen(
        [sys.executable, "-c", SCRIPT, str(project.paths.root)],
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])},
    )
    assert started.stdout is not None
    assert started.stdout.readline().strip() == "epoch 1"
    started.send_signal(signal.SIGKILL)
    started.wait()
    (place,) = work.iterdir()
    done = read_state(place).epoch
    assert 1 <= done < 3
    # What a kill in the middle of writing leaves behind is not taken for whole.
    (place / "run" / "weights" / "last.pt").write_bytes(b"half")
    half = place / f".epoch-{done + 1:05d}.0123abcd.new" / "new"
    half.mkdir(parents=True)
    (half / "state.json").write_text("{", encoding="utf-8")

    epochs: list[int] = []
    steps: list[tuple[int, int]] = []
    trained = finetune(
        project.paths.dataset,
        "yolo26n.yaml",
        _params(project),
        work,
        progress=lambda *step: steps.append(step),
        on_epoch=lambda epoch, metrics: epochs.append(epoch),
    )
    assert epochs == list(range(done + 1, 4))
    assert steps[0] == (done, 3)
    assert steps[-1] == (3, 3)
    assert trained.history["epoch"].tolist() == [1, 2, 3]
    assert trained.history["seconds"].is_monotonic_increasing
    assert trained.state.stopped
    assert len(list(place.glob("epoch-*"))) == 1

    Yolo().save(trained.weights, elsewhere / "best.pt", trained.arguments)
    once = (elsewhere / "best.pt").read_bytes()
    assert str(project.paths.root).encode() not in once

    again = finetune(
        project.paths.dataset,
        "yolo26n.yaml",
        _params(project),
        work,
        progress=silent,
        on_epoch=lambda epoch, metrics: pytest.fail("a finished training was trained again"),
    )
    assert again.history.equals(trained.history)
    assert _digests(project.paths.dataset) == before
    assert [path.name for path in elsewhere.iterdir()] == ["best.pt"]


def _ignore(epoch: int, metrics: object) -> None:
    pass


@pytest.mark.parametrize(
    ("change", "changes"),
    [
        (lambda project: None, False),
        (lambda project: (project.paths.dataset / "labels/train/x.txt").write_text(""), True),
        (lambda project: (project.paths.dataset / "data.yaml").write_text("names: {0: other}"), True),
        (lambda project: next(project.paths.dataset.glob("images/*/*.jpg")).unlink(), True),
    ],
    ids=["nothing", "another label", "another class", "an image less"],
)
def test_fingerprint_of_the_dataset(project: Project, change, changes: bool) -> None:
    first = fingerprint(project.paths.dataset, "yolo26n.yaml", _params(project))
    change(project)
    assert (fingerprint(project.paths.dataset, "yolo26n.yaml", _params(project)) != first) == changes


@pytest.mark.parametrize(
    ("update", "changes"),
    [({"epochs": 9}, True), ({"seed": 9}, True), ({"least_map50": 0.9}, False), ({"workers": 7}, False)],
)
def test_fingerprint_of_the_parameters(project: Project, update: dict, changes: bool) -> None:
    first = fingerprint(project.paths.dataset, "yolo26n.yaml", _params(project))
    other = _params(project).model_copy(update=update)
    assert (fingerprint(project.paths.dataset, "yolo26n.yaml", other) != first) == changes


def test_unfinished_work_of_others_is_cleared(project: Project, tmp_path: Path) -> None:
    old = tmp_path / "work" / "0123456789abcdef" / "epoch-00001"
    old.mkdir(parents=True)
    params = _params(project).model_copy(update={"epochs": 1})
    trained = finetune(
        project.paths.dataset, "yolo26n.yaml", params, tmp_path / "work", progress=silent, on_epoch=_ignore
    )
    assert not old.exists()
    assert trained.weights.exists()
    remove(tmp_path / "work")


@pytest.mark.weights
def test_pretrained_weights_are_what_it_starts_from(project: Project, tmp_path: Path) -> None:
    start = weights.find("yolo26n.pt")
    if start is None:
        pytest.skip("yolo26n.pt is in no weights folder; set GOTOWCE_WEIGHTS_DIR")
    params = _params(project).model_copy(update={"epochs": 1, "freeze": 23, "imgsz": 64})
    trained = finetune(
        project.paths.dataset, start, params, tmp_path / "work", progress=silent, on_epoch=_ignore
    )
    import torch

    began = torch.load(start, map_location="cpu", weights_only=False)["model"].float().state_dict()
    ended = torch.load(trained.weights, map_location="cpu", weights_only=False)["ema"].float().state_dict()
    assert torch.equal(began["model.0.conv.weight"], ended["model.0.conv.weight"])
    head = [name for name in ended if name.startswith("model.23") and name.endswith("weight")]
    assert any(began[name].shape != ended[name].shape or not began[name].equal(ended[name]) for name in head)
