"""A small project for kills: the whole pipeline in seconds, and what its state is by hash."""

import hashlib
import os
from pathlib import Path

import yaml

from gotowce_dagster.config.paths import Paths
from gotowce_dagster.intake.dvc_lockfile import read_lock
from tests.support.small_project import PROFILE, small_params
from tests.support.synthetic import Bracket, Scene, Target, write_scene
from tests.support.warm import search_path
from tests.support.working_tree import commit_all, copy_working_tree

ROOT = Path(__file__).parents[2]

_SMALL = small_params(
    finetuned_model={"epochs": 2, "imgsz": 64, "crops": {"px": 64, "count": 16}, "rounds": {"frames": 4}},
    segment_everything={"frames": 1, "superpixels": 20},
)
TIMED = ("finetuned_model", "evaluation", "segment_everything", "detector_comparison", "prompt_inputs")
"""Stages whose outputs tell seconds: no two runs of them are equal by hash."""


def make_project(root: Path, films: Path, videos: int = 2) -> None:
    """Write a project as it is cloned, without videos, and some short videos beside it."""
    own = ("data/raw/", "data/truth/", "data/samples/")
    copy_working_tree(ROOT, root, lambda name: not name.startswith(own) or name.endswith(".keep"))
    paths = Paths(root)
    params = yaml.safe_load(paths.params.read_text(encoding="utf-8"))
    for section, values in _SMALL.items():
        for name, value in values.items():
            old = params[section][name]
            params[section][name] = {**old, **value} if name in {"crops", "rounds"} else value
    paths.params.write_text(yaml.safe_dump(params, sort_keys=False), encoding="utf-8")
    paths.profile("synthetic").write_text(PROFILE, encoding="utf-8")
    paths.videos.write_text("videos: {}\n", encoding="utf-8")
    commit_all(root)
    films.mkdir(exist_ok=True)
    for seed in range(1, videos + 1):
        target = Target(start=(40, 50), velocity=(2, 1), bracket=Bracket())
        scene = Scene(targets=(target,), frames=60, size=(320, 180), absent=(range(28, 34),), seed=seed)
        write_scene(films / f"scene_{seed}.mp4", scene)


def environment(root: Path) -> dict[str, str]:
    """What commands inside the project run with: their own Dagster, one thread each."""
    return {
        **os.environ,
        "GOTOWCE_ROOT": str(root),
        "DAGSTER_HOME": str(root / ".dagster"),
        "PATH": search_path(),
        "OMP_NUM_THREADS": "1",
        "DVC_SITE_CACHE_DIR": str(root / ".dvc" / "site"),
    }


def state(root: Path) -> dict[str, str]:
    """What was recorded of each stage and what lies in data, each by its digest.

    Of a stage that tells seconds, and of what comes after it, the inputs count that do not depend on them.
    """
    found = {}
    locks = (root / "dvc.lock", root / "studies/dvc.lock", *sorted(Paths(root).pipelines.glob("*/dvc.lock")))
    recorded = {
        f"{lock.parent.relative_to(root)}:{name}": entry
        for lock in locks
        if lock.exists()
        for name, entry in read_lock(lock.read_text(encoding="utf-8")).items()
    }
    for place, entry in recorded.items():
        name = place.rpartition(":")[2]
        timed = name in TIMED
        deps = [dep for dep in entry["deps"] if not dep["path"].startswith(("data/model", "data/evaluation"))]
        parts = (entry["cmd"], deps, entry["params"], None if timed else entry["outs"])
        found[place] = _digest(repr(parts).encode())
    data = Paths(root).data
    for file in sorted(path for path in data.rglob("*") if path.is_file()):
        name = file.relative_to(data)
        if name.parts[0] in {".work", "model", "evaluation", "studies"} or name.suffix == ".dvc":
            continue
        found[f"data/{name}"] = _digest(file.read_bytes())
    return found


def _digest(content: bytes) -> str:
    return hashlib.md5(content, usedforsecurity=False).hexdigest()
