"""Renaming, removing and restoring a labelled and reviewed video, killed at any moment."""

import hashlib
import os
import shutil
import subprocess
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path

import pyarrow.parquet as pq
import pytest
import yaml

from gotowce_dagster.config.paths import Paths
from gotowce_dagster.config.project import Project
from gotowce_dagster.core.errors import InputError
from gotowce_dagster.core.progress import silent
from gotowce_dagster.intake import videos as intake
from gotowce_dagster.intake.dvc_lockfile import fingerprint
from gotowce_dagster.intake.dvc_repo import DvcRepo
from gotowce_dagster.intake.pipelines import stage_address
from gotowce_dagster.intake.removal import remove, restore
from gotowce_dagster.intake.renaming import rename
from gotowce_dagster.labels.followed import (
    KeyFrame,
    Track,
    TrackedVideo,
    TrackReview,
    read_tracked,
    write_tracked,
)
from gotowce_dagster.labels.reviews import Review, ReviewedFrame, ReviewedVideo, read_reviewed, write_reviewed
from gotowce_dagster.stages.table import STAGES as TABLE
from tests.assets.test_one_pipeline import PROFILE, SMALL, change, film
from tests.conftest import make_clone

pytestmark = [pytest.mark.integration, pytest.mark.timeout(600)]

STAGES = ["extracted_frames", "designator_detections", "masks", "cleaned_labels"]
AT = datetime(2026, 11, 1, 12, tzinfo=UTC)
# No trace of the old name may stay in these; a file `.keep` or a picture has none.
TEXTS = (".dvc", ".csv", ".json", ".yaml", ".lock")


def review(project: Project, video: str) -> None:
    """Reviews of a frame and of the whole video, tracked as `gotowce review pull` does."""
    review = Review(review_id="1@x", task="1/1@x", annotator=1, at=AT, state="done", verdict="accept")
    frame = ReviewedFrame(
        frame_index=6, frame_hash="0" * 16, width=640, height=360, sample="audit", reviews=(review,)
    )
    write_reviewed(project.paths.reviewed(video), ReviewedVideo(video=video, frames=(frame,)))
    track = Track(
        object_id="0/0", class_name="ship", key_frames=(KeyFrame(frame_index=0, box=(1, 2, 30, 40)),)
    )
    followed = TrackReview(review_id="2@x", task="2/2@x", annotator=1, at=AT, state="done", tracks=(track,))
    tracked = TrackedVideo(video=video, frames=120, width=640, height=360, fps=30.0, reviews=(followed,))
    write_tracked(project.paths.reviewed_tracks(video), tracked)
    intake.keep_reviews(project.paths)


@pytest.fixture(scope="module")
def labelled(template: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A project with two labelled videos; the first is reviewed and has truth and points."""
    folder = tmp_path_factory.mktemp("labelled")
    with pytest.MonkeyPatch.context() as patch:
        project = make_clone(template, folder / "clone", patch)
        change(project, **SMALL)
        (project.paths.profiles / "synthetic.toml").write_text(PROFILE, encoding="utf-8")
        for seed in (1, 2):
            intake.add(project, film(folder / f"scene_{seed}.mp4", seed))
        project.paths.truth("scene_1").write_text(
            "clip,frame_index,x1,y1,x2,y2,label\nscene_1.mp4,6,1,1,9,9,object\n"
        )
        project.paths.points("scene_1").write_text("frame_index,object_id,x,y,label\n")
        intake.sync(project)
        project = Project(project.paths)
        for stage in STAGES:
            for video in project.videos:
                TABLE[stage].run(project, video, silent)
                DvcRepo(project.paths.root).commit(stage_address(stage, video))
        review(project, "scene_1")
        yield project.paths.root


@pytest.fixture
def copy(labelled: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], Project]:
    """Copies of that project, one a name; commands run in the latest."""

    def make(name: str) -> Project:
        root = tmp_path / name
        shutil.copytree(labelled, root, symlinks=True)
        monkeypatch.setenv("GOTOWCE_ROOT", str(root))
        monkeypatch.chdir(root)
        return Project(Paths(root))

    return make


def state(project: Project) -> dict[str, str]:
    """Every file of data and pipelines by a digest of its content, and every entry of a dvc.lock."""
    root = project.paths.root
    files = {
        path.relative_to(root).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted((*project.paths.data.rglob("*"), *project.paths.pipelines.rglob("*")))
        if path.is_file()
        and not {".trash", ".work"} & set(path.relative_to(root).parts)
        and not path.match(".*.tmp")  # of a killed DVC; .dvcignore passes over them
    }
    lock = DvcRepo(root).lock_entries()
    return files | {f"lock: {name}": fingerprint(entry) for name, entry in lock.items()}


def killed_at(step: int, what: Callable[[], object]) -> bool:
    """Run something in a child that dies before its Nth rename or removal of a file; whether it died."""
    child = os.fork()
    if not child:
        count = 0

        def dying(call: Callable) -> Callable:
            def wrapped(*arguments, **named):
                nonlocal count
                count += 1
                if count == step:
                    os._exit(9)
                return call(*arguments, **named)

            return wrapped

        for name in ("rename", "replace", "unlink", "rmdir"):
            setattr(os, name, dying(getattr(os, name)))
        try:
            what()
        except BaseException:
            os._exit(1)
        os._exit(0)
    code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    assert code in (0, 9), "the child failed by itself"
    return code == 9


def run_until_whole(project: Project, what: Callable[[Project], object]) -> int:
    """Kill a command ever later, each run going on where the one before stopped; count the kills."""
    kills = 0
    while killed_at(2 * kills + 1, lambda: what(Project(project.paths))):
        kills += 1
        assert kills < 40
        if not (project.paths.work("unfinished.json")).exists():
            continue
        with pytest.raises(InputError, match="finish it by running it again"):
            intake.sync(Project(project.paths))
    return kills


def test_a_renamed_video_keeps_reviews_and_results(copy: Callable[[str], Project]) -> None:
    project = copy("a")
    paths, repo = project.paths, DvcRepo(project.paths.root)
    before, lock = state(project), repo.lock_entries()
    done = rename(project, "scene_1", "scene_9")
    assert done.kept == [f"{stage}@scene_9" for stage in STAGES]
    assert done.profile == done.profile_before == "synthetic"
    intake.sync(Project(paths))

    listed = yaml.safe_load(paths.videos.read_text())["videos"]
    assert listed["scene_9"] == {
        "file": "scene_9.mp4",
        "profile": "synthetic",
        "points": "scene_9",
        "formerly": ["scene_1"],
    }
    assert set(listed) == {"scene_2", "scene_9"}
    after = state(Project(paths))
    assert not [name for name in after if "scene_1" in name]
    assert len(after) == len(before)
    texts = [paths.root / name for name in after if name.endswith(TEXTS) and name != "data/videos.yaml"]
    assert len(texts) > 13
    assert not [text for text in texts if "scene_1" in text.read_text()]
    assert "scene_1" not in paths.pipeline("scene_9").joinpath("dvc.lock").read_text()
    for table in (paths.detections("scene_9"), paths.masks("scene_9"), paths.labels("scene_9")):
        assert set(pq.read_table(table)["video"].to_pylist()) == {"scene_9"}, table
    reviewed = read_reviewed(paths.reviewed("scene_9"))
    assert (reviewed.video, len(reviewed.frames)) == ("scene_9", 1)
    tracked = read_tracked(paths.reviewed_tracks("scene_9"))
    assert tracked is not None
    assert (tracked.video, len(tracked.reviews)) == ("scene_9", 1)

    repro = ["dvc", "repro", "--recursive", "videos"]
    output = subprocess.run(repro, cwd=paths.root, check=True, capture_output=True, text=True).stdout
    assert "Running stage" not in output
    assert "is cached" not in output
    subprocess.run(["dvc", "checkout", "-q", "--allow-missing"], cwd=paths.root, check=True)
    assert state(Project(paths)) == after

    # Back again: byte by byte what the stages wrote, so the new name's files are what they would write too.
    rename(Project(paths), "scene_9", "scene_1")
    back = repo.lock_entries()
    assert {name: back[name]["outs"] for name in lock} == {name: lock[name]["outs"] for name in lock}
    assert back == lock


def test_a_stage_that_was_stale_stays_stale(copy: Callable[[str], Project]) -> None:
    project = copy("a")
    rules = project.params.cleaned_labels.model_dump()["rules"]
    change(project, cleaned_labels={"rules": rules | {"sharp": rules["sharp"] | {"mode": "off"}}})
    done = rename(Project(project.paths), "scene_1", "scene_9")
    assert done.kept == [f"{stage}@scene_9" for stage in STAGES[:-1]]
    assert stage_address("cleaned_labels", "scene_9") in DvcRepo(project.paths.root).stale()


def test_a_rename_that_is_killed_again_and_again_ends_as_one_that_was_not(
    copy: Callable[[str], Project],
) -> None:
    undisturbed = copy("undisturbed")
    rename(undisturbed, "scene_1", "scene_9")
    expected = state(undisturbed)
    project = copy("killed")
    assert run_until_whole(project, lambda p: rename(p, "scene_1", "scene_9")) >= 8
    assert state(project) == expected
    intake.sync(Project(project.paths))


def test_a_removed_video_is_gone_and_comes_back(copy: Callable[[str], Project]) -> None:
    project = copy("a")
    paths, before = project.paths, state(project)
    folder = remove(project, "scene_1")
    intake.sync(Project(paths))
    assert list(Project(paths).videos) == ["scene_2"]
    assert not [name for name in state(project) if "scene_1" in name]
    assert not paths.pipeline("scene_1").exists()
    assert (folder / "videos/scene_1/dvc.lock").exists()
    assert f"gotowce restore {folder.name}" in (folder / "README.md").read_text()
    assert read_reviewed(folder / "data" / "reviewed" / "scene_1.json").frames
    subprocess.run(["dvc", "checkout", "-q", "--allow-missing"], cwd=paths.root, check=True)
    assert read_reviewed(folder / "data" / "reviewed" / "scene_1.json").frames, "DVC leaves the trash alone"
    output = subprocess.run(
        ["git", "status", "--short", "--untracked-files=all", "data/.trash"],
        cwd=paths.root,
        check=True,
        capture_output=True,
        text=True,
    ).stdout
    assert output == ""

    assert restore(Project(paths), folder.name) == "scene_1"
    intake.sync(Project(paths))
    assert state(Project(paths)) == before
    repro = ["dvc", "repro", "--recursive", "videos"]
    output = subprocess.run(repro, cwd=paths.root, check=True, capture_output=True, text=True).stdout
    assert "Running stage" not in output
    assert not folder.exists()


def test_removing_and_restoring_survive_kills(copy: Callable[[str], Project]) -> None:
    project = copy("a")
    paths, before = project.paths, state(project)
    kills = run_until_whole(project, lambda p: remove(p, "scene_1"))
    assert kills >= 4
    (folder,) = paths.trash.iterdir()
    assert not [name for name in state(project) if "scene_1" in name]
    assert run_until_whole(project, lambda p: restore(p, folder.name)) >= 4
    assert state(project) == before


def test_a_rename_that_cannot_be_done_changes_nothing(copy: Callable[[str], Project]) -> None:
    project = copy("a")

    def refuses(old: str, new: str, message: str) -> None:
        before = state(project)
        with pytest.raises(InputError, match=message):
            rename(project, old, new)
        assert state(project) == before

    refuses("ghost", "b", "no video named 'ghost'")
    refuses("scene_1", "scene_2", "another video has this name")
    refuses("scene_1", "A b", "such as 'a_b'")
    refuses("scene_1", "none", "'none': not a key")
    project.paths.reviewed("scene_1").unlink()
    refuses("scene_1", "b", r"dvc pull data/reviewed/scene_1\.json\.dvc")
    intake.sync(Project(project.paths))


def test_a_video_that_is_not_pulled_can_be_renamed(copy: Callable[[str], Project]) -> None:
    project = copy("a")
    paths = project.paths
    project.raw("scene_2").unlink()
    rename(project, "scene_2", "scene_9")
    subprocess.run(["dvc", "pull", "-q", "data/raw/scene_9.mp4.dvc"], cwd=paths.root, check=True)
    assert Project(paths).raw("scene_9").exists()


def test_what_stands_in_the_way_of_a_restore_is_named(copy: Callable[[str], Project]) -> None:
    project = copy("a")
    paths = project.paths
    folder = remove(project, "scene_1")
    intake.sync(Project(paths))
    shutil.copyfile(Project(paths).raw("scene_2"), paths.raw / "scene_1.mp4")
    with pytest.raises(InputError, match="another video has this name now"):
        restore(Project(paths), folder.name)
    with pytest.raises(InputError, match=rf"no removed video is named 'x'; available: {folder.name}"):
        restore(Project(paths), "x")
    assert (folder / "data" / "raw" / "scene_1.mp4").exists()
