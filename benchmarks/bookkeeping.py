"""CPU seconds of bookkeeping by the number of videos: python -m benchmarks.bookkeeping 10 50 200 1000

With ``--code FOLDER``, another version of this project is measured, for instance a worktree of an older
commit.

The files are of a few bytes. The stages of one video are recorded by DVC; the records of all others are
copies of its own, because their files are equal. Then one stage of one video goes through all that
materializing it in Dagster asks of DVC: is it current, can it be restored, commit it, read its entry. After a
warm-up, that is without the imports.
"""

import argparse
import gc
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from tests.support.working_tree import copy_working_tree

ROOT = Path(__file__).parents[1]
STAGES = ("extracted_frames", "designator_detections", "masks", "cleaned_labels")
_FIRST = "video_0000"
_NOT_NEEDED = ("data/samples/", "docs/", "tests/", "benchmarks/")


def make(root: Path, code: Path, videos: int) -> None:
    """Write a project with that many videos, every stage of each of them recorded."""
    copy_working_tree(code, root, lambda name: not name.startswith(_NOT_NEEDED))
    subprocess.run(["git", "init", "-q"], cwd=root, check=True)
    names = [f"video_{number:04}" for number in range(videos)]
    for name in names:
        made = (
            f"frames/{name}/0.jpg",
            *(f"{part}/{name}.parquet" for part in ("detections", "masks", "labels")),
        )
        for file in (f"raw/{name}.mp4", *made):
            (root / "data" / file).parent.mkdir(parents=True, exist_ok=True)
            (root / "data" / file).write_text("x", encoding="utf-8")
    engines = "masks: grabcut\npropagation: unused\nfinetuned_model: yolo26n.yaml\n"
    (root / "data/engines.yaml").write_text(engines, encoding="utf-8")
    entries = "".join(f"  {n}:\n    file: {n}.mp4\n    points: none\n    profile: none\n" for n in names)
    (root / "data/videos.yaml").write_text(f"videos:\n{entries}", encoding="utf-8")
    _dvc(root, "add", "-q", f"data/raw/{_FIRST}.mp4")
    if (root / "code/dvc.yaml").exists():
        command = [sys.executable, "-m", "gotowce_dagster.cli.main", "sync", "--code", "--json"]
        paths = {**os.environ, "PYTHONPATH": str(code), "GOTOWCE_ROOT": str(root)}
        subprocess.run(command, cwd=root, check=True, stdout=subprocess.DEVNULL, env=paths)
        _dvc(root, "commit", "-q", "-f", "code/dvc.yaml")
    if (root / "videos/template.yaml").exists():
        _record_in_one_file_a_video(root, names)
    else:
        _record_in_one_file(root, names)
    pointer = (root / f"data/raw/{_FIRST}.mp4.dvc").read_text(encoding="utf-8")
    for name in names[1:]:
        (root / f"data/raw/{name}.mp4.dvc").write_text(pointer.replace(_FIRST, name), encoding="utf-8")


def _record_in_one_file_a_video(root: Path, names: list[str]) -> None:
    template = (root / "videos/template.yaml").read_text(encoding="utf-8")
    lock = ""
    for name in names:
        folder = root / "videos" / name
        folder.mkdir()
        settings = f"key: {name}\nfile: {name}.mp4\nprofile: none\npoints: none\n"
        (folder / "video.yaml").write_text(settings, encoding="utf-8")
        (folder / "dvc.yaml").write_text(template, encoding="utf-8")
        if name == _FIRST:
            _dvc(root, "commit", "-q", "-f", f"videos/{name}/dvc.yaml")
            lock = (folder / "dvc.lock").read_text(encoding="utf-8")
        (folder / "dvc.lock").write_text(lock.replace(_FIRST, name), encoding="utf-8")


def _record_in_one_file(root: Path, names: list[str]) -> None:
    _dvc(root, "commit", "-q", "-f", *(f"{stage}@{_FIRST}" for stage in STAGES))
    head, entries = (root / "dvc.lock").read_text(encoding="utf-8").split("stages:\n")
    everything = "".join(entries.replace(_FIRST, name) for name in names)
    (root / "dvc.lock").write_text(f"{head}stages:\n{everything}", encoding="utf-8")


def _dvc(root: Path, *words: str) -> None:
    subprocess.run([sys.executable, "-m", "dvc", *words], cwd=root, check=True, stdout=subprocess.DEVNULL)


def measure(root: Path, with_status: bool) -> dict[str, float]:
    """CPU seconds of each operation on the stage `masks` of the last video, in this process.

    Args:
        with_status: Also measure `dvc status` of the whole project.
    """
    from gotowce_dagster.config.paths import Paths
    from gotowce_dagster.config.project import Project
    from gotowce_dagster.intake import dvc_repo
    from gotowce_dagster.intake import videos as intake

    project, repo = Project(Paths(root)), dvc_repo.DvcRepo(root)
    video = list(project.videos)[-1]
    try:
        from gotowce_dagster.intake.pipelines import stage_address as named
    except ModuleNotFoundError:  # the version with one dvc.lock
        named = vars(dvc_repo)["stage_name"]
    name, table = named("masks", video), project.paths.masks(video)
    figures: dict[str, float] = {}

    def timed(what: str, act: object) -> object:
        assert callable(act)
        # As timeit does: one full collection of what this process holds would land in any of these by chance.
        gc.collect()
        gc.disable()
        begin = time.process_time()
        done = act()
        figures[what] = time.process_time() - begin
        gc.enable()
        return done

    def entry() -> object:
        return repo.entry(name) if hasattr(repo, "entry") else repo.lock_entries()[name]

    repo.is_current(named("extracted_frames", video))  # imports, and a copy of dvc.lock
    entry()
    frames = project.paths.frames(video) / "0.jpg"
    frames.unlink()
    frames.write_text("other frames", encoding="utf-8")
    repo.commit(named("extracted_frames", video))
    assert not timed("status", lambda: repo.is_current(name))
    assert not timed("restore", lambda: repo.restore(name))
    table.unlink()
    table.write_text("other masks", encoding="utf-8")
    timed("commit", lambda: repo.commit(name))
    timed("entry", entry)
    figures["a stage"] = sum(figures.values())
    intake.sync(Project(project.paths))  # the first one opens every video
    timed("sync", lambda: intake.sync(Project(project.paths)))
    if not with_status:
        return figures
    begin = os.times()
    _dvc(root, "status")
    end = os.times()
    figures["dvc status"] = (
        end.children_user + end.children_system - begin.children_user - begin.children_system
    )
    return figures


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("videos", type=int, nargs="*", default=[10, 50, 200, 1000])
    parser.add_argument("--code", type=Path, default=ROOT, help="The version to measure.")
    parser.add_argument("--most", type=int, default=200, help="No `dvc status` of more videos.")
    parser.add_argument("--measure", type=Path, help=argparse.SUPPRESS)
    parser.add_argument("--with-status", action="store_true", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.measure:
        print(json.dumps(measure(arguments.measure, arguments.with_status)))
        return
    columns = ("status", "restore", "commit", "entry", "a stage", "sync", "dvc status")
    print(f"| videos | {' | '.join(columns)} |", f"|{' --- |' * (len(columns) + 1)}", sep="\n", flush=True)
    code = arguments.code.resolve()
    stages: list[float] = []
    for videos in arguments.videos:
        with tempfile.TemporaryDirectory() as folder:
            root = Path(folder, "project")
            make(root, code, videos)
            done = subprocess.run(
                [
                    sys.executable,
                    __file__,
                    *("--measure", str(root)),
                    *(["--with-status"] if videos <= arguments.most else []),
                ],
                check=True,
                stdout=subprocess.PIPE,
                text=True,
                env={**os.environ, "PYTHONPATH": str(code), "DVC_SITE_CACHE_DIR": str(root / ".dvc/site")},
            )
            figures = json.loads(done.stdout.splitlines()[-1])
        stages.append(figures["a stage"])
        print(
            f"| {videos} | {' | '.join(f'{figures[n]:.2f}' if n in figures else '-' for n in columns)} |",
            flush=True,
        )
    if len(stages) > 1:
        from benchmarks.ratios import (
            compare,
        )  # not at the top: a version before is measured by this file alone

        first, last = arguments.videos[0], arguments.videos[-1]
        what, against = f"bookkeeping of a stage at {last} videos", f"the same at {first}"
        compare(what, stages[-1], stages[0], against=against, unit="CPU s")


if __name__ == "__main__":
    main()
