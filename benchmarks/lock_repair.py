"""Time of `gotowce repair` on a dvc.lock cut in half: python benchmarks/lock_repair.py 2 200

The videos are synthetic: files of a few bytes replace every stage's outputs and are recorded as DVC does.
"""

import contextlib
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import yaml

sys.path.insert(0, str(Path(__file__).parents[1]))

from gotowce_dagster.config.paths import Paths
from gotowce_dagster.intake.dvc_repo import DvcRepo
from tests.faults.project import make_project

STAGES = ("extracted_frames", "designator_detections", "masks", "cleaned_labels")


def _make(root: Path, videos: int) -> None:
    make_project(root, root.with_name("films"))
    paths = Paths(root)
    names = [f"video_{number:04}" for number in range(videos)]
    entries = {name: {"file": f"{name}.mp4", "profile": "synthetic", "points": "none"} for name in names}
    paths.videos.write_text(yaml.safe_dump({"videos": entries}), encoding="utf-8")
    paths.engines.write_text(
        "masks: grabcut\npropagation: unused\nfinetuned_model: yolo26n.yaml\n", encoding="utf-8"
    )
    for name in names:
        outputs = (paths.detections(name), paths.masks(name), paths.labels(name))
        for path in (paths.raw / f"{name}.mp4", paths.frames(name) / "0.jpg", *outputs):
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(f"{path.parent.name} of {name}", encoding="utf-8")
    _record(root)


def _record(root: Path) -> None:
    """What `dvc commit` does for each stage, but with one write of dvc.lock for all of them."""
    from dvc.repo import Repo, lock_repo
    from dvc.stage.serialize import to_lockfile
    from dvc.utils.serialize import dump_yaml

    entries: dict[str, Any] = {}
    with contextlib.chdir(root), Repo(str(root)) as repo, lock_repo(repo):
        for stage in repo.stage.load_all("dvc.yaml"):
            if stage.name.partition("@")[0] in STAGES:
                stage.save()
                stage.commit()
                entries |= to_lockfile(stage)
        dump_yaml("dvc.lock", {"schema": "2.0", "stages": entries})


def _timed(root: Path, what: str) -> None:
    lock = root / "dvc.lock"
    whole = lock.read_text(encoding="utf-8")
    lock.write_text(whole[: len(whole) // 2], encoding="utf-8")
    wall, cpu = time.perf_counter(), time.process_time()
    repaired = DvcRepo(root).repair()
    wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
    assert repaired is not None
    assert lock.read_text(encoding="utf-8") == whole, "not what it was"
    counts = f"{len(repaired.kept)} kept, {len(repaired.from_copy)} from the copy"
    print(
        f"{what}: {wall:.1f} s ({cpu:.1f} s of CPU) for {len(whole) / 1e6:.2f} MB; stages: {counts}, "
        f"{len(repaired.from_run_cache)} from the run cache"
    )


def main() -> None:
    for videos in map(int, sys.argv[1:]):
        with tempfile.TemporaryDirectory() as folder:
            root = Path(folder, "project")
            _make(root, videos)
            DvcRepo(root).lock_entries()
            _timed(root, f"{videos} videos, with a good copy")
            (Paths(root).work("dvc") / "dvc.lock.good").unlink()
            _timed(root, f"{videos} videos, from the run cache alone")


if __name__ == "__main__":
    main()
