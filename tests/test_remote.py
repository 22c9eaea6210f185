"""A DVC remote: one video pushed and pulled, and training where no video is."""

import shutil
import subprocess
from pathlib import Path

import pytest

from gotowce_dagster.config.paths import Paths
from gotowce_dagster.config.project import Project
from gotowce_dagster.core.errors import InputError
from gotowce_dagster.core.progress import silent
from gotowce_dagster.intake import videos as intake
from gotowce_dagster.intake.dvc_repo import DvcRepo
from gotowce_dagster.intake.pipelines import stage_address
from gotowce_dagster.previews.table import preview_of
from gotowce_dagster.stages.table import STAGES
from tests.assets.test_one_pipeline import PROFILE, SMALL, change, film
from tests.conftest import make_clone
from tests.test_second_person import PER_VIDEO, commit, label, run

pytestmark = [pytest.mark.integration, pytest.mark.timeout(600)]

VIDEOS = ("scene_1", "scene_2")


@pytest.fixture(scope="module")
def labelled(template: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A project with two labelled videos and their dataset."""
    folder = tmp_path_factory.mktemp("labelled")
    with pytest.MonkeyPatch.context() as patch:
        clone = make_clone(template, folder / "clone", patch)
        change(clone, **SMALL)
        (clone.paths.profiles / "synthetic.toml").write_text(PROFILE, encoding="utf-8")
        for seed, _ in enumerate(VIDEOS, start=1):
            intake.add(clone, film(folder / f"scene_{seed}.mp4", seed))
        intake.sync(clone)
        project = Project(clone.paths)
        label(project, *VIDEOS)
        STAGES["yolo_dataset"].run(project, silent)
        DvcRepo(clone.paths.root).commit("yolo_dataset")
    return clone.paths.root


@pytest.fixture
def pushed(labelled: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Project:
    """A copy of it with a remote, committed to git; nothing is pushed yet."""
    project = make_clone(labelled, tmp_path / "clone", monkeypatch)
    (tmp_path / "remote").mkdir()
    run(project.paths.root, "dvc", "remote", "add", "--default", "folder", str(tmp_path / "remote"))
    commit(project.paths.root)
    return project


@pytest.fixture
def second(pushed: Project, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Project:
    """A clone of it without DVC's files; commands run inside it."""
    root = tmp_path / "second"
    run(tmp_path, "git", "clone", "-q", str(pushed.paths.root), str(root))
    monkeypatch.setenv("GOTOWCE_ROOT", str(root))
    monkeypatch.chdir(root)
    return Project(Paths(root))


def files_of(video: str) -> tuple[str, str]:
    """What DVC knows of a video: its file, and its pipeline."""
    return f"data/raw/{video}.mp4.dvc", f"videos/{video}/dvc.yaml"


def test_one_video_is_pushed_and_pulled_alone(pushed: Project, second: Project) -> None:
    run(pushed.paths.root, "dvc", "push", *files_of("scene_1"))
    run(second.paths.root, "dvc", "pull", *files_of("scene_1"))
    assert intake.sync(Project(second.paths)) == []
    second = Project(second.paths)
    assert {video: second.raw_state(video) for video in VIDEOS} == {
        "scene_1": "here",
        "scene_2": "not pulled",
    }
    repo = DvcRepo(second.paths.root)
    for stage in PER_VIDEO:
        assert repo.is_current(stage_address(stage.name, "scene_1"))
        assert preview_of(second, stage.name, "scene_1").numbers
    assert "up to date" in run(second.paths.root, "dvc", "repro", files_of("scene_1")[1])
    with pytest.raises(
        InputError, match=r"scene_2\.mp4: not pulled; run `dvc pull data/raw/scene_2\.mp4\.dvc`"
    ):
        second.raw("scene_2")
    # The remote holds nothing of the other video.
    done = subprocess.run(
        ["dvc", "pull", *files_of("scene_2")],
        cwd=second.paths.root,
        check=False,
        capture_output=True,
        text=True,
    )
    assert done.returncode
    assert not second.paths.detections("scene_2").exists()
    run(pushed.paths.root, "dvc", "push")
    run(second.paths.root, "dvc", "pull", "--allow-missing")
    assert not [name for name in repo.stale() if name.startswith("videos/") or name == "yolo_dataset"]


def test_training_needs_the_dataset_and_no_video(pushed: Project, second: Project) -> None:
    root = second.paths.root
    run(pushed.paths.root, "dvc", "push")
    shutil.rmtree(pushed.paths.raw)
    run(root, "dvc", "pull", "yolo_dataset")
    run(root, "gotowce", "sync")
    run(root, "gotowce", "stage", "finetuned_model")
    assert (second.paths.model / "best.pt").exists()
    run(root, "dvc", "commit", "-f", "finetuned_model")
    assert DvcRepo(root).is_current("finetuned_model")
    assert not list(second.paths.raw.glob("*.mp4"))

    # Frames and labels of one video, to look at what was learned from.
    names = [stage_address(stage, "scene_2") for stage in ("extracted_frames", "cleaned_labels")]
    run(root, "dvc", "pull", *names)
    assert preview_of(second, "cleaned_labels", "scene_2").numbers
    assert second.raw_state("scene_2") == "not pulled"
