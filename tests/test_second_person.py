"""A second person clones a project, looks, pulls, works and pushes; nothing of the first one's is lost."""

import json
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
from typer.testing import CliRunner

from gotowce_dagster.cli.main import app
from gotowce_dagster.config.paths import Paths
from gotowce_dagster.config.project import Project
from gotowce_dagster.core.errors import InputError
from gotowce_dagster.core.progress import silent
from gotowce_dagster.diagnosis.checks import diagnose
from gotowce_dagster.intake import videos as intake
from gotowce_dagster.intake.dvc_repo import DvcRepo
from gotowce_dagster.intake.pipelines import stage_address
from gotowce_dagster.labels.reviews import ReviewedVideo, read_reviewed, write_reviewed
from gotowce_dagster.stages.table import STAGES
from tests.assets.test_one_pipeline import PROFILE, SMALL, change, film
from tests.intake.test_removal import review
from tests.intake.test_videos import videos_of

pytestmark = [pytest.mark.integration, pytest.mark.timeout(600)]

PER_VIDEO = [stage for stage in STAGES.values() if stage.per_video]


def run(root: Path, *command: str) -> str:
    done = subprocess.run(command, cwd=root, check=True, capture_output=True, text=True)
    return done.stdout + done.stderr


def commit(root: Path) -> None:
    run(root, "git", "add", "-A")
    run(root, "git", "-c", "user.name=t", "-c", "user.email=t@t.test", "commit", "-qm", "work")


def sources(project: Project) -> dict[str, bytes]:
    """The content of every video and every file of reviews that is here."""
    folders = (project.paths.raw, project.paths.reviewed_videos)
    files = (file for folder in folders for file in folder.rglob("*") if file.is_file())
    return {file.relative_to(project.paths.root).as_posix(): file.read_bytes() for file in files}


@pytest.fixture
def visit(monkeypatch: pytest.MonkeyPatch) -> Callable[[Project], Project]:
    """Go to a project's folder; everything runs there from now on."""

    def go(project: Project) -> Project:
        monkeypatch.setenv("GOTOWCE_ROOT", str(project.paths.root))
        monkeypatch.chdir(project.paths.root)
        return Project(project.paths)

    return go


def label(project: Project, *videos: str) -> None:
    for stage in PER_VIDEO:
        for video in videos:
            stage.run(project, video, silent)
            DvcRepo(project.paths.root).commit(stage_address(stage.name, video))


def test_checkout_and_pull_leave_videos_and_reviews(clone: Project, tmp_path: Path) -> None:
    """Any name of a video: with a suffix, with a strange one, with none."""
    root = clone.paths.root
    for seed, name in enumerate(("duel.mp4", "odd.suffix", "plain"), start=1):
        shutil.copyfile(film(tmp_path / f"{seed}.mp4", seed), clone.paths.raw / name)
        untracked = run(root, "git", "status", "--short", "-uall")
        assert f"data/raw/{name}" not in untracked.split(), "ignored before dvc add, too"
        DvcRepo(root).track(clone.paths.raw / name)
    review(clone, "duel")
    before = sources(clone)
    assert len([name for name in before if not name.endswith((".dvc", ".keep"))]) == 5
    remote = tmp_path / "remote"
    remote.mkdir()
    run(root, "dvc", "remote", "add", "--default", "folder", str(remote))
    run(root, "dvc", "push")
    for command in (
        ["dvc", "checkout", "--allow-missing"],
        ["dvc", "checkout", "--relink", "--allow-missing"],
        ["dvc", "pull", "--allow-missing"],
    ):
        run(root, *command)
        assert sources(clone) == before, command
    untracked = run(root, "git", "status", "--short", "-uall").split()
    assert not [name for name in untracked if name.startswith("data/r") and not name.endswith(".dvc")]
    assert not list(clone.paths.data.rglob(".gitignore"))


def test_everything_a_second_person_does(
    clone: Project, tmp_path: Path, visit: Callable[[Project], Project]
) -> None:
    # The first person: two videos, labelled and reviewed, pushed.
    first, remote = clone.paths.root, tmp_path / "remote"
    remote.mkdir()
    change(clone, **SMALL)
    (clone.paths.profiles / "synthetic.toml").write_text(PROFILE, encoding="utf-8")
    films = {seed: film(tmp_path / f"scene_{seed}.mp4", seed) for seed in (1, 2, 3)}
    for seed in (1, 2):
        intake.add(clone, films[seed])
    intake.sync(clone)
    label(Project(clone.paths), "scene_1", "scene_2")
    review(clone, "scene_1")
    run(first, "dvc", "remote", "add", "--default", "folder", str(remote))
    run(first, "dvc", "push", "--run-cache")
    commit(first)
    listed, theirs = clone.paths.videos.read_bytes(), sources(clone)

    # The second one clones; nothing is pulled yet, and everything is still known.
    root = tmp_path / "second"
    run(tmp_path, "git", "clone", "-q", str(first), str(root))
    second = visit(Project(Paths(root)))
    result = CliRunner().invoke(app, ["sync", "--json"])
    assert result.exit_code == 0
    states = {key: video["state"] for key, video in json.loads(result.stdout)["videos"].items()}
    assert states == {"scene_1": "not pulled", "scene_2": "not pulled"}
    assert second.paths.videos.read_bytes() == listed
    assert run(root, "git", "status", "--short") == ""
    pull = "dvc pull data/raw/scene_1.mp4.dvc data/raw/scene_2.mp4.dvc"
    assert pull in CliRunner().invoke(app, ["sync"], env={"COLUMNS": "400"}).output.replace("\n", "")
    (finding,) = (found for found in diagnose(second) if found.what == "videos and reviews")
    assert not finding.ok
    assert pull in finding.result
    assert "data/reviewed/tracks/scene_1.json.dvc" in finding.result
    studies = [stage.name for stage in STAGES.values() if stage.is_study]
    whole = ("yolo_dataset", "evaluation", *studies)
    for name, arguments in [
        ("extracted_frames", (second, "scene_1")),
        *((name, (second,)) for name in whole),
    ]:
        with pytest.raises(InputError, match=r"not pulled; run `dvc pull data/[^`]*\.dvc`"):
            STAGES[name].run(*arguments, silent)
    with pytest.raises(InputError, match=r"dvc pull data/reviewed/scene_1\.json\.dvc"):
        read_reviewed(second.paths.reviewed("scene_1"))

    # A video of one's own that bears the name of an absent one gets another; the absent one's own file is it.
    (tmp_path / "own").mkdir()
    other = tmp_path / "own" / "scene_1.mp4"
    shutil.copyfile(films[3], other)
    pointer = second.paths.raw / "scene_1.mp4.dvc"
    recorded = pointer.read_bytes()
    assert intake.add(second, other) == "scene_1_2"
    assert pointer.read_bytes() == recorded
    assert intake.add(second, films[2]) == "scene_2"
    assert second.raw("scene_2").read_bytes() == films[2].read_bytes()
    intake.sync(second)
    assert list(videos_of(second)) == ["scene_1", "scene_1_2", "scene_2"]

    # Pulling brings everything; nothing of it is computed again.
    run(root, "dvc", "pull", "--allow-missing", "--run-cache")
    second = visit(second)
    assert {name: content for name, content in sources(second).items() if name in theirs} == theirs
    stale = DvcRepo(root).stale()
    made = [stage_address(stage.name, video) for stage in PER_VIDEO for video in ("scene_1", "scene_2")]
    assert not set(made) & set(stale)
    assert not [name for name in stale if name.endswith(".dvc")]
    label(second, "scene_1_2")
    repro = run(root, "dvc", "repro", "--recursive", "videos")
    assert "Running stage" not in repro
    mine = sources(second)
    run(root, "dvc", "checkout", "--allow-missing")
    assert sources(second) == mine

    # The second one reviews, and the first gets it.
    seen = read_reviewed(second.paths.reviewed("scene_1"))
    write_reviewed(second.paths.reviewed("scene_2"), ReviewedVideo(video="scene_2", frames=seen.frames))
    intake.keep_reviews(second.paths)
    run(root, "dvc", "push")
    commit(root)
    visit(clone)
    run(first, "git", "pull", "-q", str(root))
    run(first, "dvc", "pull", "--allow-missing")
    intake.sync(Project(clone.paths))
    assert read_reviewed(clone.paths.reviewed("scene_2")).frames == seen.frames
    assert Project(clone.paths).raw("scene_1_2").read_bytes() == films[3].read_bytes()
    assert run(first, "git", "status", "--short") == ""
