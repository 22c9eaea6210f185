"""A project of the version before, with one dvc.lock for all videos, computes nothing again."""

import hashlib
import json
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from gotowce_dagster.config.paths import Paths
from gotowce_dagster.config.project import Project
from gotowce_dagster.core.errors import InputError
from gotowce_dagster.intake import videos as intake
from gotowce_dagster.intake.code_graph import EXEMPT, PACKAGE, CodeGraph
from gotowce_dagster.intake.dvc_lockfile import read_lock
from gotowce_dagster.intake.dvc_repo import DvcRepo
from gotowce_dagster.intake.migration import without_moved_stages
from gotowce_dagster.intake.removal import remove, restore
from gotowce_dagster.intake.renaming import rename
from gotowce_dagster.stages.table import STAGES
from tests.conftest import ROOT, make_clone, write_source
from tests.intake.test_videos import film

pytestmark = pytest.mark.integration

OF_VIDEOS = [stage.name for stage in STAGES.values() if stage.per_video]
STUDIES = [stage.name for stage in STAGES.values() if stage.is_study]
VIDEOS = ("08", "duel")
KEYS = ("v_08", "duel")


def listing_files(text: str, root: Path) -> str:
    """A dvc.yaml as it was when each stage named its source files, or a whole folder of them."""
    graph = CodeGraph(root, EXEMPT)

    def files(found: re.Match[str]) -> str:
        reached = sorted(path.as_posix() for path in graph.reached(f"{PACKAGE}.stages.{found[2]}"))
        folder = f"{PACKAGE}/video"
        names = dict.fromkeys(folder if name.startswith(f"{folder}/") else name for name in reached)
        return "".join(f"{found[1]}{name}\n" for name in names)

    return re.sub(r"(?m)^( *- )data/code/(\w+)\.txt\n", files, text)


def before(root: Path) -> str:
    """An early version's dvc.yaml: the stages of videos, each with a ``foreach``, all others, and studies."""
    template = yaml.safe_load(listing_files((root / "videos/template.yaml").read_text(), root))["stages"]
    blocks = []
    for name, spec in template.items():
        del spec["wdir"]
        text = yaml.safe_dump({"do": spec}, sort_keys=False)
        for part in ("file", "profile", "points"):
            text = text.replace(f"${{{part}}}", f"${{item.{part}}}")
        indented = "".join(f"    {line}\n" for line in text.splitlines())
        blocks.append(f"  # About {name}.\n  {name}:\n    foreach: ${{videos}}\n{indented}")
    head, own = listing_files((root / "dvc.yaml").read_text(), root).split("stages:\n")
    own, plots = own.split("plots:\n")
    studies = listing_files((root / "studies/dvc.yaml").read_text(), root).split("stages:\n")[1]
    studies = studies.replace("    wdir: ..\n", "")
    (root / "studies/dvc.yaml").unlink()
    stages = f"{''.join(blocks)}{own}{studies}\n"
    return f"{head}vars:\n  - data/videos.yaml\n\nstages:\n{stages}plots:\n{plots}"


def dvc(root: Path, *words: str) -> str:
    done = subprocess.run(["dvc", *words], cwd=root, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def made(template: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A project of the version before, two videos labelled: outputs are made up, the records are DVC's."""
    with pytest.MonkeyPatch.context() as patch:
        project = make_clone(template, tmp_path_factory.mktemp("made") / "clone", patch)
        _make_old(project)
    return project.paths.root


@pytest.fixture
def old(made: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Project:
    """A copy of it; commands run inside it."""
    root = tmp_path / "old"
    shutil.copytree(made, root, symlinks=True)
    monkeypatch.setenv("GOTOWCE_ROOT", str(root))
    monkeypatch.chdir(root)
    return Project(Paths(root))


def _make_old(clone: Project) -> None:
    paths = clone.paths
    for shade, name in enumerate(VIDEOS):
        film(paths.raw / f"{name}.mp4", shade=30 + 60 * shade)
    intake.sync(clone)
    assert list(Project(paths).videos) == sorted(KEYS)
    shutil.rmtree(paths.pipeline("v_08"))
    shutil.rmtree(paths.pipeline("duel"))
    for key in KEYS:
        for path in (paths.frames(key) / "0.jpg", paths.detections(key), paths.masks(key), paths.labels(key)):
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(f"{path.name} of {key}")
    for path in (paths.dataset, paths.model, paths.evaluation):
        path.mkdir()
        (path / "made").write_text("made")
    for name in ("metrics.json", "results.csv"):
        (paths.model / name).write_text("{}")
    for study in STUDIES:
        paths.study(study).mkdir(parents=True)
        (paths.study(study) / "report.html").write_text("made")
    # That version had no lists of source files.
    lists = paths.root / "code/dvc.yaml"
    text = lists.read_text()
    for path in (
        lists.parent,
        paths.code("masks").parent,
        paths.work("code"),
        paths.kept_lock("code").parent,
    ):
        shutil.rmtree(path)
    (paths.root / "dvc.yaml").write_text(before(paths.root))
    dvc(paths.root, "commit", "-f", "-q")
    assert "up to date" in dvc(paths.root, "status")
    shutil.copyfile(ROOT / "studies/dvc.yaml", paths.studies_pipeline)
    lists.parent.mkdir()
    lists.write_text(text)
    assert not list(paths.pipelines.glob("*/"))


def listed(entry: dict[str, Any], stage: str, root: Path) -> dict[str, Any]:
    """An entry with the list of the stage's source files instead of the files."""
    text = Paths(root).code(stage).read_bytes()
    digest = hashlib.md5(text, usedforsecurity=False).hexdigest()
    own = {"path": f"data/code/{stage}.txt", "hash": "md5", "md5": digest, "size": len(text)}
    others = [dep for dep in entry["deps"] if not dep["path"].startswith(f"{PACKAGE}/")]
    assert len(others) < len(entry["deps"])
    return entry | {"deps": sorted([own, *others], key=lambda dep: dep["path"])}


def recorded(root: Path) -> dict[str, Any]:
    """The entries of the dvc.lock in the root."""
    return dict(read_lock((root / "dvc.lock").read_text()))


def test_a_project_of_the_version_before_computes_nothing_again(
    old: Project, caplog: pytest.LogCaptureFixture
) -> None:
    root, repo = old.paths.root, DvcRepo(old.paths.root)
    entries = recorded(root)
    assert len(entries) == len(OF_VIDEOS) * len(KEYS) + 3 + len(STUDIES)
    assert intake.sync(old) == []
    assert "dvc.lock: what it recorded of 2 videos is in videos/VIDEO/dvc.lock now" in caplog.text
    assert "dvc.lock: what it recorded of studies is in studies/dvc.lock now" in caplog.text

    assert (root / "dvc.yaml").read_text() == (ROOT / "dvc.yaml").read_text()
    of_all = {stage.name for stage in STAGES.values() if not stage.per_video}
    assert set(recorded(root)) == of_all - set(STUDIES)
    assert repo.entries_in("studies") == {study: listed(entries[study], study, root) for study in STUDIES}
    for key in KEYS:
        assert repo.entries_in(f"videos/{key}") == {
            stage: listed(entries[f"{stage}@{key}"], stage, root) for stage in OF_VIDEOS
        }
        pipeline = root / "videos" / key / "dvc.yaml"
        assert pipeline.read_bytes() == (ROOT / "videos/template.yaml").read_bytes()
    assert "up to date" in dvc(root, "status")
    repro = dvc(root, "repro")
    assert "Running stage" not in repro
    assert "is cached" not in repro
    caplog.clear()
    assert intake.sync(Project(old.paths)) == []
    assert caplog.text == ""
    assert repo.repair() is None


def test_what_was_stale_stays_stale(old: Project) -> None:
    root, repo = old.paths.root, DvcRepo(old.paths.root)
    for name in ("labels/rules.py", "video/shots.py"):
        path = root / PACKAGE / name
        write_source(path, path.read_text(encoding="utf-8") + "# Changed.\n")
    reaching = {
        stage
        for stage in STAGES
        if {Path(PACKAGE, "labels/rules.py"), Path(PACKAGE, "video/shots.py")}
        & CodeGraph(root, EXEMPT).reached(f"{PACKAGE}.stages.{stage}")
    }
    assert {"cleaned_labels", "extracted_frames"} <= reaching
    assert "finetuned_model" not in reaching
    intake.sync(old)
    stale = {name.rpartition(":")[2] for name in repo.stale()}
    assert reaching <= stale
    assert "finetuned_model" not in stale
    intake.sync(Project(old.paths))
    assert {name.rpartition(":")[2] for name in repo.stale()} == stale


def test_a_migration_that_was_interrupted_goes_on_and_keeps_what_is_newer(old: Project) -> None:
    root, repo = old.paths.root, DvcRepo(old.paths.root)
    whole, entries = (root / "dvc.lock").read_bytes(), recorded(root)
    intake.sync(old)
    # As if it was killed before the last write; meanwhile a stage ran again, and one video has nothing yet.
    (root / "dvc.lock").write_bytes(whole)
    newer = repo.entry("videos/duel/dvc.yaml:masks") | {"cmd": "gotowce stage masks duel --newer"}
    repo.replace_entries("videos/duel", [], {"masks": newer})
    (root / "videos/v_08/dvc.lock").unlink()
    intake.sync(old)
    assert repo.entries_in("videos/duel")["masks"] == newer
    assert repo.entries_in("videos/v_08") == {
        stage: listed(entries[f"{stage}@v_08"], stage, root) for stage in OF_VIDEOS
    }
    assert not [name for name in recorded(root) if "@" in name]
    # Gone as by `git pull` after somebody removed the video; its copy for repairs is still here.
    shutil.rmtree(root / "videos/v_08")
    assert not [name for name in repo.stale() if "v_08/" in name]


def test_what_was_recorded_of_no_video_stays(old: Project) -> None:
    root = old.paths.root
    text = (root / "dvc.lock").read_text().replace("duel", "gone")
    (root / "dvc.lock").write_text(text)
    intake.sync(old)
    assert {name for name in recorded(root) if "@" in name} == {f"{stage}@gone" for stage in OF_VIDEOS}


def test_the_first_command_may_be_a_removal_or_a_rename(old: Project) -> None:
    root, repo = old.paths.root, DvcRepo(old.paths.root)
    entries = recorded(root)
    folder = remove(old, "v_08")
    assert repo.entries_in("videos/v_08") == {}
    assert list(repo.entries_in("videos/duel")) == OF_VIDEOS
    # A trash folder of the version before has the entries, by their names then, and no pipeline.
    shutil.rmtree(folder / "videos")
    state = folder / "removed.json"
    content = json.loads(state.read_text())
    content["lock"] = {f"{stage}@v_08": entry for stage, entry in content["lock"].items()}
    assert len(content["lock"]) == len(OF_VIDEOS)
    state.write_text(json.dumps(content))
    restore(Project(old.paths), folder.name)
    intake.sync(Project(old.paths))
    assert repo.entries_in("videos/v_08") == {
        stage: listed(entries[f"{stage}@v_08"], stage, root) for stage in OF_VIDEOS
    }
    assert "up to date" in dvc(root, "status", "--recursive", "videos")


def test_a_foreach_of_ones_own_stays_with_its_list() -> None:
    item = "    foreach: ${videos}\n    do:\n      cmd: run ${key}\n"
    own = f"vars:\n  - data/videos.yaml\n\nstages:\n  mine:\n{item}"
    masks = f"  masks:\n{item}"
    assert without_moved_stages(own) == own
    assert without_moved_stages(own + masks) == own
    assert without_moved_stages(own.replace("  mine:", "  # Of videos.\n  masks:")) == "stages:\n"


def test_a_pipeline_of_no_video_is_named(clone: Project) -> None:
    film(clone.paths.raw / "duel.mp4")
    intake.sync(clone)
    shutil.copytree(clone.paths.pipeline("duel"), clone.paths.pipeline("ghost"))
    assert intake.sync(Project(clone.paths)) == [
        "videos/ghost: the pipeline of no video of this project; remove the folder, or put ghost into "
        f"{clone.paths.raw}"
    ]


def test_a_missing_pipeline_or_template_is_named(clone: Project) -> None:
    film(clone.paths.raw / "duel.mp4")
    intake.sync(clone)
    shutil.rmtree(clone.paths.pipeline("duel"))
    with pytest.raises(
        InputError, match=r"videos/duel/dvc\.yaml: does not exist; write it with `gotowce sync`"
    ):
        DvcRepo(clone.paths.root).is_current("videos/duel/dvc.yaml:masks")
    clone.paths.template.unlink()
    with pytest.raises(InputError, match=r"template\.yaml: does not exist; restore it with `git checkout"):
        intake.sync(Project(clone.paths))


def test_a_rename_in_an_old_project(old: Project) -> None:
    entries = recorded(old.paths.root)
    # Made-up tables cannot be rewritten: those stages have no outputs here.
    for path in (old.paths.detections("duel"), old.paths.masks("duel"), old.paths.labels("duel")):
        path.unlink()
    done = rename(old, "duel", "rival")
    assert done.kept == ["extracted_frames@rival"]
    renamed = DvcRepo(old.paths.root).entries_in("videos/rival")
    assert renamed["extracted_frames"]["outs"][0]["md5"] == entries["extracted_frames@duel"]["outs"][0]["md5"]
    assert not old.paths.pipeline("duel").exists()
    assert not [name for name in recorded(old.paths.root) if "@" in name]
