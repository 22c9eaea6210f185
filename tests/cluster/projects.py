"""A driver's project and nodes that work in slices of it."""

import os
from pathlib import Path

import dagster as dg
import pytest

from gotowce_dagster.cluster import slices
from gotowce_dagster.config.paths import Paths
from gotowce_dagster.config.project import Project
from gotowce_dagster.definitions import defs
from gotowce_dagster.intake import videos as intake
from tests.assets.test_one_pipeline import SMALL, change
from tests.support.small_project import PROFILE
from tests.support.synthetic import Bracket, Scene, Target, write_scene
from tests.test_second_person import run


def short_film(path: Path, seed: int) -> Path:
    target = Target(start=(40, 50), velocity=(2, 1), bracket=Bracket())
    write_scene(path, Scene(targets=(target,), frames=60, size=(320, 180), seed=seed))
    return path


def make_driver(clone: Project, folder: Path, videos: int) -> Project:
    """Turn a clone into a driver's project: short videos, pushed to a DVC remote in a folder."""
    change(clone, **SMALL)
    (clone.paths.profiles / "synthetic.toml").write_text(PROFILE, encoding="utf-8")
    (folder / "remote").mkdir()
    run(clone.paths.root, "dvc", "remote", "add", "--default", "folder", str(folder / "remote"))
    for seed in range(1, videos + 1):
        intake.add(clone, short_film(folder / f"scene_{seed}.mp4", seed))
    intake.sync(clone)
    run(clone.paths.root, "dvc", "push", *(f"data/raw/scene_{n}.mp4.dvc" for n in range(1, videos + 1)))
    return Project(clone.paths)


def on_node(
    driver: Project,
    video: str,
    root: Path,
    instance: dg.DagsterInstance,
    monkeypatch: pytest.MonkeyPatch,
    steps: list[str] | None = None,
) -> dict[str, str]:
    """Label a video on a node, in an empty folder; how each stage came about, by its name."""
    slices.write(slices.unpack(slices.pack(slices.take(driver, video))), root)
    with monkeypatch.context() as patch:
        patch.setenv("GOTOWCE_ROOT", str(root))
        patch.chdir(root)
        job = defs().resolve_job_def("label_videos")
        result = job.execute_in_process(instance=instance, partition_key=video, op_selection=steps)
    assert result.success
    events = (event.materialization for event in result.get_asset_materialization_events())
    return {e.asset_key.path[-1]: str(e.metadata["how"].value) for e in events if "how" in e.metadata}


def project_of(root: Path) -> Project:
    return Project(Paths(Path(os.fspath(root))))
