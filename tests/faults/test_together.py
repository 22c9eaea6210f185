"""`dvc repro` beside Dagster beside sync beside add, in one project at once."""

import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from gotowce_dagster.config.paths import Paths
from gotowce_dagster.config.project import Project
from gotowce_dagster.intake.dvc_repo import DvcRepo
from tests.faults.project import environment, make_project

pytestmark = [
    pytest.mark.integration,
    pytest.mark.timeout(1800),
    pytest.mark.skipif("FAULTS" not in os.environ, reason="runs with `make test-faults`: two minutes"),
]

CLI = ("gotowce_dagster.cli.main",)
PARTITIONS = "import dagster as dg; dg.DagsterInstance.get().add_dynamic_partitions('videos', ['scene_1'])"


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A project with one video, and another one to be added."""
    root, films = tmp_path / "project", tmp_path / "films"
    make_project(root, films)
    for words in (("add", str(films / "scene_1.mp4")), ("sync",)):
        wait_for(start(root, *CLI, *words))
    subprocess.run([sys.executable, "-c", PARTITIONS], env=environment(root), check=True)
    return root


def start(root: Path, *words: str) -> tuple[subprocess.Popen, Path]:
    """Start a command; its process and the file of its output."""
    # A file, because a process that nobody reads yet would wait for a full pipe, and hold its locks.
    output = Path(tempfile.mkstemp(suffix=".log", dir=root.parent)[1])
    with output.open("w") as file:
        process = subprocess.Popen(
            [sys.executable, "-m", *words],
            cwd=root,
            env=environment(root),
            stdout=file,
            stderr=subprocess.STDOUT,
        )
    return process, output


def wait_for(started: tuple[subprocess.Popen, Path]) -> None:
    """Wait for a command, which must not fail."""
    process, output = started
    assert process.wait(timeout=900) == 0, output.read_text()


def test_repro_beside_dagster_beside_sync_beside_add(root: Path) -> None:
    tags = ("--tags", '{"dagster/partition": "scene_1"}')
    job = ("dagster", "job", "execute", "-m", "gotowce_dagster.definitions", "-j", "label_videos", *tags)
    labels = ["extracted_frames", "designator_detections", "masks", "cleaned_labels"]
    repro = ("dvc", "--wait-for-lock", "repro", "--recursive", "videos")
    together = [
        start(root, *repro),
        start(root, *job),
        start(root, *CLI, "sync"),
        start(root, *CLI, "add", str(root.parent / "films" / "scene_2.mp4")),
        start(root, *CLI, "sync"),
        start(root, *CLI, "repair"),
    ]
    for started in together:
        wait_for(started)
    repo = DvcRepo(root)
    assert list(Project(Paths(root)).videos) == ["scene_1", "scene_2"]
    assert set(labels) <= set(repo.entries_in("videos/scene_1"))
    assert not [name for name in repo.stale() if name.startswith(("videos/scene_1/", "data/raw"))]

    # Two add the same video again, a third one another, while DVC labels what is new.
    shutil.copyfile(root.parent / "films" / "scene_1.mp4", root.parent / "films" / "again.mp4")
    together = [
        start(root, *repro),
        *(
            start(root, *CLI, "add", str(root.parent / "films" / name))
            for name in ("again.mp4", "scene_2.mp4")
        ),
    ]
    for started in together:
        wait_for(started)
    assert list(Project(Paths(root)).videos) == ["scene_1", "scene_2"]
    assert not [name for name in repo.stale() if name.startswith("videos/")]
    assert not [path for path in (root / "data").rglob(".*.new") if ".work" not in path.parts]
