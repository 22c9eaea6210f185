"""A disk that fills up while the stages run: no partial file stays, and a later run resumes."""

import os
import random
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.faults.project import environment, make_project, state

IN_FAULTS = pytest.mark.skipif("FAULTS" not in os.environ, reason="runs with `make test-faults`")
pytestmark = [
    pytest.mark.integration,
    pytest.mark.timeout(1800),
    pytest.mark.skipif(os.geteuid() != 0, reason="only root may mount a file system"),
]

STAGES = ("--recursive", "videos")


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of its own, in memory, with 64 MB."""
    disk = tmp_path / "disk"
    disk.mkdir()
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=64M", "tmpfs", disk], check=False)
    if mounted.returncode:
        pytest.skip("no file system can be mounted here")
    try:
        yield disk
    finally:
        subprocess.run(["umount", "-l", disk], check=True)


def run(root: Path, *words: str) -> subprocess.CompletedProcess[str]:
    # Temporary files of the system lie elsewhere: it is the project's disk that is full.
    return subprocess.run(
        words,
        cwd=root,
        env=environment(root),
        capture_output=True,
        text=True,
        timeout=600,
        check=False,
    )


def succeed(root: Path, *words: str) -> None:
    done = run(root, *words)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize("times", [2, pytest.param(8, marks=IN_FAULTS)])
def test_a_full_disk_while_the_stages_run(disk: Path, tmp_path: Path, times: int) -> None:
    undisturbed, films = tmp_path / "undisturbed", tmp_path / "films"
    make_project(undisturbed, films, videos=1)
    shutil.copytree(undisturbed, disk / "project", symlinks=True)
    video = str(films / "scene_1.mp4")
    succeed(undisturbed, "gotowce", "add", video)
    succeed(undisturbed, "dvc", "repro", *STAGES)
    used = sum(file.stat().st_size for file in (undisturbed / "data").rglob("*") if file.is_file())

    root, rng, failed = disk / "project", random.Random(5), 0
    succeed(root, "gotowce", "add", video)
    for _ in range(times):
        # Room for a share of what the stages write: they stop in the middle, DVC's own writes included.
        room = int(rng.uniform(0.05, 1.2) * used)
        (disk / "fill").write_bytes(bytes(max(0, shutil.disk_usage(disk).free - room)))
        done = run(root, "dvc", "repro", *STAGES)
        failed += done.returncode != 0
        (disk / "fill").unlink()
        succeed(root, "gotowce", "repair")
    assert failed, "the disk was never full"
    succeed(root, "dvc", "repro", *STAGES)
    assert state(root) == state(undisturbed)
