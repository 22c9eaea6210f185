"""`gotowce init` and `gotowce upgrade`: projects of one's own, with the package of this repository."""

import subprocess
import tomllib
from pathlib import Path

import pytest

from gotowce_dagster.config.paths import Paths
from gotowce_dagster.config.project import Project
from gotowce_dagster.core.errors import InputError
from gotowce_dagster.intake import code_digests, shipped
from gotowce_dagster.intake import videos as intake
from gotowce_dagster.intake.new_project import create, original
from gotowce_dagster.intake.upgrade import plan, upgrade
from gotowce_dagster.stages.table import STAGES
from tests.conftest import ROOT
from tests.intake.test_videos import film

pytestmark = pytest.mark.integration


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Project:
    """A new project without the source code; commands run inside it."""
    root = tmp_path / "ships"
    create(root)
    monkeypatch.setenv("GOTOWCE_ROOT", str(root))
    monkeypatch.chdir(root)
    return Project(Paths(root))


def test_every_shipped_file_is_one_of_this_repository_and_in_the_wheel() -> None:
    settings = tomllib.loads((ROOT / "pyproject.toml").read_text())
    packed = settings["tool"]["hatch"]["build"]["targets"]["wheel"]["hooks"]["custom"]["files"]
    assert [name for name in packed if not name.startswith("data/samples/")] == list(shipped.FILES)
    samples = sorted(path.relative_to(ROOT).as_posix() for path in (ROOT / "data/samples").iterdir())
    assert [name for name in packed if name.startswith("data/samples/")] == samples
    assert shipped.root() == ROOT
    for name in shipped.FILES:
        content, own = shipped.content(name), (ROOT / name).read_bytes()
        assert (content == own) == (name not in {"README.md", ".gitignore"})


def test_a_new_project(project: Project) -> None:
    root = project.paths.root
    for name in shipped.FILES:
        assert (root / name).read_bytes() == original(root, name).read_bytes() == shipped.content(name)
    assert project.params.masks
    readme = (root / "README.md").read_text()
    assert all(f"\n{number}. **" in readme for number in range(1, 6))
    assert "make " not in readme
    subprocess.run(["git", "add", "-A"], cwd=root, check=True)
    listed = subprocess.run(["git", "ls-files"], cwd=root, check=True, capture_output=True, text=True)
    files = listed.stdout.splitlines()
    assert {f"data/code/{stage}.txt" for stage in STAGES} <= set(files)
    assert {".dvc/config", "data/videos.yaml", "data/reviewed/.keep"} <= set(files)
    assert ".env" not in files
    assert not (root / "code").exists()
    with pytest.raises(InputError, match="a project already"):
        create(root / "another")


def test_nothing_is_overwritten(tmp_path: Path) -> None:
    (tmp_path / "README.md").write_text("mine")
    with pytest.raises(InputError, match=r"has README\.md already"):
        create(tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["README.md"]


def test_a_project_below_a_git_repository_has_its_own_dvc(tmp_path: Path) -> None:
    subprocess.run(["git", "init", "-q"], cwd=tmp_path, check=True)
    create(tmp_path / "ships")
    assert not (tmp_path / "ships/.git").exists()
    film(tmp_path / "duel.mp4")
    assert intake.add(Project(Paths(tmp_path / "ships")), tmp_path / "duel.mp4") == "duel"


def test_other_code_than_that_of_the_project_is_refused_until_it_is_upgraded(project: Project) -> None:
    paths = project.paths
    text = paths.code("masks").read_text()
    gone = "0" * 32 + "  gotowce_dagster/gone.py\n"
    paths.code("masks").write_text(text.replace(text[:32], "1" * 32, 1) + gone)
    with pytest.raises(InputError, match=r"runs other code in masks than .*and 1 more.*gotowce upgrade"):
        code_digests.refresh(paths)
    code_digests.require(paths, "cleaned_labels")
    assert any("gotowce upgrade" in note for note in intake.sync(Project(paths)))
    assert paths.code("masks").read_text() != text, "only an upgrade writes it"

    planned = plan(paths)
    (why,) = planned.reasons["masks"]
    assert why.startswith("code: ")
    assert "gone.py (gone)" in why
    assert planned.reasons["cleaned_labels"] == ["if masks gives another result"]
    assert "extracted_frames" not in planned.reasons
    assert planned.files == {}
    upgrade(paths, planned)
    assert paths.code("masks").read_text() == text
    assert plan(paths).reasons == {}


def _as_of_before(paths: Paths, name: str, new: str, old: str) -> str:
    """Let a project be of a version that had another text in a shipped file; returns that file."""
    text = (paths.root / name).read_text()
    assert text.count(new) == 1
    for path in (paths.root / name, original(paths.root, name)):
        path.write_text(text.replace(new, old))
    return text


def test_an_upgrade_keeps_your_settings_and_says_what_its_own_compute_again(project: Project) -> None:
    paths = project.paths
    lines = paths.params.read_text().splitlines()
    quality = next(line for line in lines if line.startswith("  jpeg_quality:"))
    seed = next(line for line in lines if line.startswith("  epochs:"))
    shipped_text = _as_of_before(paths, "params.yaml", quality, "  jpeg_quality: 17 # of before")
    mine = paths.params.read_text().replace(seed, "  epochs: 3 # mine")
    assert mine != paths.params.read_text()
    paths.params.write_text(mine)

    planned = plan(paths)
    assert list(planned.files) == ["params.yaml"]
    assert planned.reasons["extracted_frames"] == ["params.yaml: extracted_frames"]
    assert "params.yaml: extracted_frames.jpeg_quality" in planned.reasons["yolo_dataset"]
    assert all(why.startswith("if ") for why in planned.reasons["finetuned_model"])
    assert paths.params.read_text() == mine, "planned, not done"
    upgrade(paths, planned)
    assert paths.params.read_text() == shipped_text.replace(seed, "  epochs: 3 # mine")
    assert plan(paths).files == {}


def test_studies_of_before_move_to_a_pipeline_of_their_own(project: Project) -> None:
    paths = project.paths
    text = (paths.root / "dvc.yaml").read_text()
    studies = paths.studies_pipeline.read_text().partition("stages:\n")[2].replace("    wdir: ..\n", "")
    _as_of_before(paths, "dvc.yaml", "plots:\n", f"{studies}\nplots:\n")
    for path in (paths.studies_pipeline, original(paths.root, "studies/dvc.yaml")):
        path.unlink()
    with pytest.raises(InputError, match=r"studies/dvc\.yaml: does not exist; .*gotowce upgrade"):
        intake.sync(Project(paths))
    _as_of_before(paths, "dvc.yaml", "plots:\n", f"{studies}\nplots:\n")

    planned = plan(paths)
    assert list(planned.files) == ["dvc.yaml", "studies/dvc.yaml"]
    assert planned.reasons == {}
    upgrade(paths, planned)
    assert (paths.root / "dvc.yaml").read_text() == text
    assert paths.studies_pipeline.read_bytes() == shipped.content("studies/dvc.yaml")
    assert intake.sync(Project(paths)) == []


def test_lines_that_both_changed_stop_it_before_anything_is_written(project: Project) -> None:
    paths = project.paths
    lines = paths.params.read_text().splitlines()
    quality = next(line for line in lines if line.startswith("  jpeg_quality:"))
    _as_of_before(paths, "params.yaml", quality, "  jpeg_quality: 17")
    mine = paths.params.read_text().replace("jpeg_quality: 17", "jpeg_quality: 18")
    paths.params.write_text(mine)
    with pytest.raises(InputError, match=r"params\.yaml: you and the package changed the same lines"):
        plan(paths)
    assert plan(paths, keep_mine=True).files == {}
    assert paths.params.read_text() == mine


def test_a_clone_of_the_source_code_is_not_upgraded(clone: Project) -> None:
    with pytest.raises(InputError, match="git pull"):
        plan(clone.paths)
