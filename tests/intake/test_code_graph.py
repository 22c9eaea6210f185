"""DVC and Dagster watch exactly the files that a stage's code reaches."""

import json
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from gotowce_dagster.assets.versions import code_version, pipeline
from gotowce_dagster.cli import main as cli
from gotowce_dagster.config import params
from gotowce_dagster.config.params import Section
from gotowce_dagster.config.paths import Paths
from gotowce_dagster.config.project import Project
from gotowce_dagster.core.errors import InputError
from gotowce_dagster.intake import code_digests, code_graph
from gotowce_dagster.intake import videos as intake
from gotowce_dagster.intake.code_graph import EXEMPT, PACKAGE, CodeGraph
from gotowce_dagster.intake.dvc_repo import DvcRepo
from gotowce_dagster.intake.pipelines import CODE, address, stage_address, write_pipelines
from gotowce_dagster.stages.table import STAGES
from tests.conftest import ROOT, write_source

GRAPH = CodeGraph(ROOT, EXEMPT)
SPECS = pipeline(Paths(ROOT))
CODE_STAGE = address(CODE, CODE)


@pytest.mark.parametrize("stage", list(STAGES))
def test_a_stage_depends_on_its_own_list_and_on_no_other(stage: str) -> None:
    deps = SPECS[stage]["deps"]
    assert [dep for dep in deps if dep.startswith(("data/code", PACKAGE))] == [f"data/code/{stage}.txt"]


@pytest.mark.parametrize("stage", list(STAGES))
def test_nothing_that_draws_previews_or_serves_people_is_reached(stage: str) -> None:
    reached = {path.as_posix() for path in GRAPH.reached(f"{PACKAGE}.stages.{stage}")}
    people = ("previews/", "assets/", "cli", "console", "demo", "doctor", "intake", "segment.py", "review/")
    wrong = [path for path in reached if path.startswith(tuple(f"{PACKAGE}/{name}" for name in people))]
    assert sorted(set(wrong) - {f"{PACKAGE}/review/__init__.py", f"{PACKAGE}/review/measures.py"}) == []
    helpers = {"calibrate.py", "ask.py", "clicks.py", "synthetic.py", "trials.py"}
    assert {Path(path).name for path in reached} & helpers == set()


@pytest.mark.slow
def test_every_data_file_is_reached_by_a_module() -> None:
    used = {path for module in GRAPH.modules for path in GRAPH.reached(module) if module not in EXEMPT}
    # py.typed is for type checkers.
    files = [path for some in GRAPH.data.values() for path in some if path.name != "py.typed"]
    assert [path for path in files if path not in used] == []


def test_every_exemption_is_a_module_and_has_a_reason() -> None:
    assert set(EXEMPT) <= set(GRAPH.modules)
    assert [name for name, reason in EXEMPT.items() if len(reason.split()) < 5] == []


def test_params_have_no_defaults() -> None:
    """The reason why params.py is exempt: every value stands in params.yaml, which dvc.yaml names."""
    sections = [
        kind for kind in vars(params).values() if isinstance(kind, type) and issubclass(kind, Section)
    ]
    given = [
        f"{kind.__name__}.{name}"
        for kind in sections
        for name, field in kind.model_fields.items()
        if not field.is_required()
    ]
    assert len(sections) > 20
    assert given == []


@pytest.fixture
def package(tmp_path: Path) -> Path:
    """A package in which one stage reaches some files, each in another way."""
    files = {
        "__init__.py": "import gotowce_dagster.unseen",
        "unseen.py": "",
        "errors.py": "import gotowce_dagster.unseen",
        "stages/__init__.py": "",
        "stages/one.py": "from gotowce_dagster.parts import plain\nfrom gotowce_dagster.errors import X\n",
        "parts/__init__.py": "from gotowce_dagster import at_start",
        "parts/plain.py": "def run():\n    from gotowce_dagster.parts.lazy import thing\n",
        "parts/lazy.py": "TEMPLATE = 'page.jinja'\nCOMMAND = ['-m', 'gotowce_dagster.worker']\n",
        "parts/page.jinja": "",
        "parts/other.jinja": "",
        "parts/typed.py": "",
        "at_start.py": "import typing\nif typing.TYPE_CHECKING:\n    import gotowce_dagster.parts.typed",
        "worker.py": "import os, gotowce_dagster.whole.a",
        "whole/__init__.py": "from gotowce_dagster.whole import b",
        "whole/a.py": "",
        "whole/b.py": "",
        "whole/deep/__init__.py": "",
    }
    for name, content in files.items():
        (tmp_path / PACKAGE / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / PACKAGE / name).write_text(content, encoding="utf-8")
    return tmp_path


EXEMPT_HERE = {PACKAGE: "", f"{PACKAGE}.errors": ""}


def test_what_a_module_reaches(package: Path) -> None:
    reached = {path.as_posix() for path in CodeGraph(package, EXEMPT_HERE).reached(f"{PACKAGE}.stages.one")}
    assert reached == {
        f"{PACKAGE}/{name}"
        for name in (
            "at_start.py", "parts/__init__.py", "parts/lazy.py", "parts/page.jinja", "parts/plain.py",
            "stages/__init__.py", "stages/one.py", "whole/__init__.py", "whole/a.py", "whole/b.py",
            "worker.py",
        )
    }  # fmt: skip


def test_what_cannot_be_read_is_named(package: Path) -> None:
    (package / PACKAGE / "worker.py").write_text("import os\nimport (\n")
    with pytest.raises(InputError, match=r"gotowce_dagster/worker\.py: line 2"):
        CodeGraph(package, EXEMPT_HERE).reached(f"{PACKAGE}.stages.one")
    with pytest.raises(InputError, match=r"has no module gotowce_dagster\.stages\.two"):
        CodeGraph(package, EXEMPT_HERE).reached(f"{PACKAGE}.stages.two")


@pytest.mark.integration
def test_a_caption_makes_no_stage_stale_and_code_does(
    clone: Project, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    root = clone.paths.root
    intake.sync(clone)
    assert code_digests.write(clone.paths) == {}
    stages = list(STAGES)
    _as_if_made(root, stages)
    assert _stale(root) == set()
    versions = {stage: code_version(Paths(root), stage) for stage in stages}

    _replace(root, "previews/masks.py", "agreement {row", "alike {row")
    _replace(root, "previews/extracted_frames.py", "_SHOWN = 12", "_SHOWN = 8")
    _replace(root, "cli/console.py", '"""', '"""Changed. ')
    assert _stale(root) == {CODE_STAGE}, "to be listed again"
    code_digests.refresh(clone.paths)
    assert _stale(root) == set()
    assert {stage: code_version(Paths(root), stage) for stage in stages} == versions

    _replace(root, "labels/rules.py", '"""', '"""Changed. ')
    assert _stale(root) == {CODE_STAGE}
    code_digests.refresh(clone.paths)
    assert _stale(root) == {stage_address("cleaned_labels", "a"), "evaluation"}
    _replace(root, "pictures/report.html.jinja", "<h1>", "<h1 >")
    _replace(root, "core/tables.py", '"""', '"""Changed. ')
    changed = {stage for stage in stages if code_version(Paths(root), stage) != versions[stage]}
    assert changed == set(stages), "all read or write tables"

    write_source(root / PACKAGE / "stages/masks.py", "import gotowce_dagster.cli.console\n")
    monkeypatch.setattr(sys, "argv", ["gotowce", "sync", "--code", "--json"])
    with pytest.raises(SystemExit) as end:
        cli.main()
    assert not end.value.code
    masks = json.loads(capsys.readouterr().out)["masks"]
    assert masks["added"] == [
        f"{PACKAGE}/{name}.py" for name in ("cli/__init__", "cli/console", "core/background")
    ]
    assert f"{PACKAGE}/segmenters/choose.py" in masks["removed"]
    assert f"{PACKAGE}/stages/masks.py" in masks["changed"]
    assert code_digests.write(clone.paths) == {}


def test_sync_counts_the_files_of_each_stage(
    clone: Project, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    shutil.rmtree(clone.paths.code("masks").parent, ignore_errors=True)
    monkeypatch.setattr(sys, "argv", ["gotowce", "sync", "--code"])
    with pytest.raises(SystemExit):
        cli.main()
    lists = code_digests.listings(clone.paths)
    rows = [re.findall(r"\w+", line) for line in capsys.readouterr().out.splitlines()]
    for stage, files in lists.items():
        count = str(len(files.splitlines()))
        assert [stage, count, count, "0", "0"] in rows
    assert len(rows) < len(lists) + 8, "counts, no names of files"
    with pytest.raises(SystemExit):
        cli.main()
    assert "lists exactly" in capsys.readouterr().out


def test_a_copy_of_a_project_reads_no_source_again(clone: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    lists = code_digests.listings(clone.paths)

    def read(source: str) -> None:
        raise AssertionError(source)

    monkeypatch.setattr(code_graph, "_named", read)
    root = clone.paths.root.rename(clone.paths.root.with_name("moved"))
    assert code_digests.listings(Paths(root)) == lists
    _replace(root, "labels/rules.py", '"""', '"""Changed. ')
    with pytest.raises(AssertionError):
        code_digests.listings(Paths(root))


@pytest.mark.integration
def test_a_plain_dvc_repro_lists_the_code_first_and_a_stage_refuses_old_lists(clone: Project) -> None:
    root = clone.paths.root
    intake.sync(clone)
    _as_if_made(root, list(STAGES))
    masks = stage_address("masks", "a")
    assert "up to date" in _dvc(root, "repro", masks).stdout
    _replace(root, "segmenters/choose.py", '"""', '"""Changed. ')
    done = _dvc(root, "repro", "--single-item", masks)
    assert "up to date" in done.stdout, "the answer to a user who asks for one stage alone"
    with pytest.raises(InputError, match=r"not of the code of masks.*segmenters/choose\.py.*sync --code"):
        code_digests.require(clone.paths, "masks")
    code_digests.require(clone.paths, "extracted_frames")
    # The stage itself fails here, because its inputs are made up.
    done = _dvc(root, "repro", masks)
    assert "Running stage 'code/dvc.yaml:code'" in done.stdout
    assert f"Running stage '{masks}'" in done.stdout
    assert "Running stage 'videos/a/dvc.yaml:extracted_frames'" not in done.stdout
    assert done.returncode
    code_digests.require(clone.paths)


def _dvc(root: Path, *words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(["dvc", *words], cwd=root, check=False, capture_output=True, text=True)


def _as_if_made(root: Path, stages: list[str]) -> None:
    """Inputs and outputs of every stage for one video, committed to dvc.lock."""
    (root / "data/videos.yaml").write_text("videos:\n  a: {file: a.mp4, points: none, profile: none}\n")
    write_pipelines(Paths(root), Project(Paths(root)).videos)
    (root / "data/engines.yaml").write_text("masks: grabcut\npropagation: none\nfinetuned_model: a.yaml\n")
    for spec in SPECS.values():
        for path in (*spec["deps"], *spec["outs"]):
            filled = path.replace("${key}", "a").replace("${file}", "a.mp4")
            made = root / filled.replace("${profile}", "none").replace("${points}", "none")
            if not made.exists() and made.suffix:
                made.parent.mkdir(parents=True, exist_ok=True)
                made.write_text(path, encoding="utf-8")
            elif not made.exists():
                made.mkdir(parents=True)
    names = [stage_address(stage, "a" if STAGES[stage].per_video else None) for stage in stages]
    subprocess.run(["dvc", "commit", "-f", "-q", *names], cwd=root, check=True)


def _stale(root: Path) -> set[str]:
    return set(DvcRepo(root).stale())


def _replace(root: Path, name: str, old: str, new: str) -> None:
    path = root / PACKAGE / name
    text = path.read_text(encoding="utf-8")
    assert old in text
    write_source(path, text.replace(old, new, 1))
