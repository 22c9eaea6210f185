"""Who vouches for a file: the published table, the project's list, git, or a training on this machine."""

import json
import os
import subprocess
from dataclasses import replace
from pathlib import Path

import pytest
from typer.testing import CliRunner

from gotowce_dagster.cli.main import app
from gotowce_dagster.config.project import Project
from gotowce_dagster.core import digests, trust, weights
from gotowce_dagster.core.errors import InputError

COMMIT = ["git", "-c", "user.name=t", "-c", "user.email=t@t.test", "commit", "-qm", "more"]


@pytest.fixture
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "project"
    (folder / "data").mkdir(parents=True)
    (folder / "params.yaml").touch()
    monkeypatch.setenv("GOTOWCE_ROOT", str(folder))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return folder


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "best.pt"
    path.write_bytes(b"a whole model")
    return path


def test_an_unknown_file_is_refused_with_what_to_do(root: Path, file: Path) -> None:
    with pytest.raises(
        InputError, match=r"best\.pt: not trusted \(SHA-256 [0-9a-f]{16}.*gotowce trust .*best\.pt"
    ):
        trust.require_trusted(file)


def test_what_the_list_names_is_trusted_by_its_content(root: Path, file: Path, tmp_path: Path) -> None:
    entry = trust.add(file, root)
    assert entry.file == "best.pt"
    assert trust.add(file, root).sha256 == entry.sha256
    assert len(trust.read_trusted(root)) == 1
    copy = tmp_path / "renamed.pt"
    copy.write_bytes(file.read_bytes())
    trust.require_trusted(copy)
    file.write_bytes(b"another model")
    with pytest.raises(InputError, match="not trusted"):
        trust.require_trusted(file)


def test_a_folder_is_its_names_and_contents(root: Path, tmp_path: Path) -> None:
    folder = tmp_path / "model"
    folder.mkdir()
    (folder / "code.py").write_text("a = 1\n", encoding="utf-8")
    trust.add(folder, root)
    assert trust.untrusted(folder) is None
    (folder / "more.py").write_text("", encoding="utf-8")
    assert "not trusted" in (trust.untrusted(folder) or "")
    (folder / "more.py").unlink()
    (folder / "code.py").rename(folder / "edoc.py")
    assert "not trusted" in (trust.untrusted(folder) or "")


def test_published_weights_need_no_entry(root: Path, file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    known = replace(weights.WEIGHTS["yolo26n.pt"], sha256=digests.sha256(file))
    monkeypatch.setitem(weights.WEIGHTS, "yolo26n.pt", known)
    trust.require_trusted(file)


def test_what_was_trained_here_is_trusted_here_alone(root: Path, file: Path, tmp_path: Path) -> None:
    trust.note_trained(file, root)
    trust.require_trusted(file)
    (tmp_path / "other").mkdir()
    with pytest.raises(InputError, match="not trusted"):
        trust.require_trusted(file, tmp_path / "other")


@pytest.mark.parametrize(
    "text",
    [
        "trusted: best.pt\n",
        "trusted:\n- {file: a.pt, sha256: '12', added: '2026-01-01'}\n",
        "trusted:\n- {file: a.pt, added: '2026-01-01'}\n",
        "anything: [\n",
        "- best.pt\n",
    ],
)
def test_a_malformed_list_is_an_error_and_no_empty_one(root: Path, file: Path, text: str) -> None:
    (root / trust.TRUSTED).write_text(text, encoding="utf-8")
    with pytest.raises(InputError, match=r"trusted_weights\.yaml: .*expected `trusted:`"):
        trust.require_trusted(file)
    assert (root / trust.TRUSTED).read_text(encoding="utf-8") == text


def test_no_list_inside_data_that_dvc_brings_counts(root: Path) -> None:
    """A file that lists its own folder as trusted does not make it trusted."""
    inner = root / "data" / "dataset"
    (inner / "data").mkdir(parents=True)
    (inner / "params.yaml").touch()
    (inner / "best.pt").write_bytes(b"a whole model")
    trust.add(inner / "best.pt", inner)
    with pytest.raises(InputError, match="not trusted"):
        trust.require_trusted(inner / "best.pt")


def test_a_digest_is_read_once_and_again_when_the_file_changes(
    root: Path, file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = digests.sha256(file)
    read = []
    original = digests.hashlib.file_digest
    monkeypatch.setattr(digests.hashlib, "file_digest", lambda *a: read.append(a) or original(*a))
    assert digests.sha256(file) == before
    assert not read
    times = file.stat()
    file.write_bytes(b"b whole model")
    os.utime(file, ns=(times.st_atime_ns, times.st_mtime_ns))
    assert file.stat().st_size == times.st_size
    assert digests.sha256(file) != before, "equal in size and mtime, and still another file"
    assert len(read) == 1


def test_an_unwritable_or_damaged_note_only_costs_time(
    root: Path, file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = digests.sha256(file)
    (note,) = (tmp_path / "cache" / "gotowce" / "digests").iterdir()
    note.write_text("[", encoding="utf-8")
    assert digests.sha256(file) == found
    (tmp_path / "no_folder").touch()
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "no_folder"))
    assert digests.sha256(file) == found


@pytest.fixture
def repository(clone: Project) -> Path:
    root = clone.paths.root
    stage = "stages:\n  m:\n    cmd: mkdir -p data/model && cp a b data/model && cp a data/model/best.pt\n"
    (root / "dvc.yaml").write_text(f"{stage}    outs: [data/model]\n", encoding="utf-8")
    for name in "ab":
        (root / name).write_text(f"{name}\n", encoding="utf-8")
    return root


def _run(root: Path, *command: str) -> None:
    subprocess.run(command, cwd=root, check=True, capture_output=True)


@pytest.mark.integration
def test_a_committed_lock_vouches_and_one_on_disk_does_not(
    repository: Path,
) -> None:
    """The owner of a remote can change files and the run cache, and so dvc.lock, but not git's files."""
    root = repository
    best = root / "data" / "model" / "best.pt"
    _run(root, "dvc", "repro", "-q", "m")
    assert "not trusted" in (trust.untrusted(best, root) or "")
    _run(root, "git", "add", "-Af", "dvc.lock", "dvc.yaml")
    _run(root, *COMMIT)
    assert trust.untrusted(best, root) is None
    copy = root / "elsewhere.pt"
    copy.write_bytes(best.read_bytes())
    assert "not trusted" in (trust.untrusted(copy, root) or "")
    _run(root, "dvc", "unprotect", "data/model")
    (root / "data" / "model" / "b").write_text("changed\n", encoding="utf-8")
    assert "not trusted" in (trust.untrusted(best, root) or ""), "the folder is not the committed one"
    (root / "a").write_text("rogue\n", encoding="utf-8")
    _run(root, "dvc", "repro", "-q", "m")
    assert "not trusted" in (trust.untrusted(best, root) or "")


@pytest.mark.integration
@pytest.mark.parametrize("links", ["copy", "symlink"])
def test_a_fresh_clone_that_pulls_may_use_the_model(links: str, repository: Path, tmp_path: Path) -> None:
    root = repository
    weight = root / "data" / "weights" / "round1.pt"
    weight.parent.mkdir()
    weight.write_bytes(b"of an earlier round")
    remote = tmp_path / "remote"
    _run(root, "dvc", "remote", "add", "-d", "there", str(remote))
    _run(root, "dvc", "config", "cache.type", links)
    _run(root, "dvc", "repro", "-q", "m")
    _run(root, "dvc", "add", "-q", str(weight))
    _run(root, "dvc", "push", "-q")
    _run(root, "git", "add", "-Af", "dvc.lock", "dvc.yaml", "a", "b", ".dvc/config", f"{weight}.dvc")
    _run(root, *COMMIT)
    fresh = tmp_path / "fresh"
    _run(tmp_path, "git", "clone", "-q", str(root), str(fresh))
    _run(fresh, "dvc", "pull", "-q", "m", "data/weights/round1.pt.dvc")
    best, again = fresh / "data" / "model" / "best.pt", fresh / "data" / "weights" / "round1.pt"
    assert best.is_symlink() == (links == "symlink")
    assert trust.untrusted(best, fresh) is None
    assert trust.untrusted(again, fresh) is None
    again.unlink()
    again.write_bytes(b"of somebody else")
    assert "not trusted" in (trust.untrusted(again, fresh) or "")


def test_the_command_warns_asks_and_writes(root: Path, file: Path) -> None:
    run = CliRunner().invoke(app, ["trust", str(file)], input="n\n")
    assert isinstance(run.exception, InputError)
    assert "can run arbitrary code" in run.stderr
    assert not (root / trust.TRUSTED).exists()
    assert CliRunner().invoke(app, ["trust", str(file)], input="y\n").exit_code == 0
    trust.require_trusted(file)
    run = CliRunner().invoke(app, ["trust", "--yes", "--json", str(file)])
    assert json.loads(run.stdout)[0]["sha256"] == digests.sha256(file)
    missing = CliRunner().invoke(app, ["trust", "--yes", str(file.with_name("no.pt"))])
    assert isinstance(missing.exception, InputError)
    assert "no.pt: no such file" in str(missing.exception)
