"""What we rely on of DVC's Repo class, which is no public API."""

import json
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from gotowce_dagster.core.errors import InputError
from gotowce_dagster.intake.dvc_lockfile import fingerprint, output_digest
from gotowce_dagster.intake.dvc_repo import DvcRepo
from gotowce_dagster.intake.pipelines import split_address, stage_address, stage_name
from tests.support.warm import commands

pytestmark = pytest.mark.integration

PIPELINE = """
stages:
  double:
    foreach: [a, b]
    do:
      cmd: cat in_${item} in_${item} > out_${item}
      deps: ["in_${item}"]
      outs: ["out_${item}"]
"""


@pytest.fixture
def repo(tmp_path: Path) -> DvcRepo:
    """A small repository; the tests run outside it, as Dagster does."""
    subprocess.run([commands() / "dvc", "init", "--no-scm", "-q"], cwd=tmp_path, check=True)
    (tmp_path / "dvc.yaml").write_text(PIPELINE)
    for name in "ab":
        (tmp_path / f"in_{name}").write_text(name)
    return DvcRepo(tmp_path)


def double(repo: DvcRepo, item: str) -> None:
    (repo.root / f"out_{item}").unlink(missing_ok=True)
    (repo.root / f"out_{item}").write_text((repo.root / f"in_{item}").read_text() * 2)


def test_committed_stage_is_current_until_its_input_changes(repo: DvcRepo) -> None:
    assert not repo.is_current("double@a")
    double(repo, "a")
    digest = repo.commit("double@a")
    assert repo.is_current("double@a")
    assert not repo.is_current("double@b")
    assert output_digest(repo.lock_entries()["double@a"]) == digest
    (repo.root / "in_a").write_text("A")
    assert not repo.is_current("double@a")


@pytest.mark.parametrize("comment", ["", "# Ours.\n"], ids=["as DVC writes it", "with a comment"])
def test_an_entry_is_replaced_in_a_lock_that_dvc_goes_on_with(repo: DvcRepo, comment: str) -> None:
    for item in "ab":
        double(repo, item)
        repo.commit(f"double@{item}")
    path = repo.root / "dvc.lock"
    path.write_text(comment + path.read_text())
    entries = repo.lock_entries()
    assert repo.is_current("double@a")
    repo.replace_entries(".", ["double@a"], {"double@b": entries["double@b"]})
    assert path.read_text().startswith(comment)
    assert repo.lock_entries() == {"double@b": entries["double@b"]}
    assert not repo.is_current("double@a")
    assert repo.is_current("double@b")


def test_missing_or_changed_output_is_not_current(repo: DvcRepo) -> None:
    double(repo, "a")
    repo.commit("double@a")
    (repo.root / "out_a").unlink()
    assert not repo.is_current("double@a")
    (repo.root / "out_a").write_text("something else")
    assert not repo.is_current("double@a")


def test_earlier_result_is_restored(repo: DvcRepo) -> None:
    double(repo, "a")
    first = repo.commit("double@a")
    (repo.root / "in_a").write_text("A")
    assert not repo.restore("double@a")
    double(repo, "a")
    repo.commit("double@a")
    (repo.root / "in_a").write_text("a")
    assert repo.restore("double@a")
    assert (repo.root / "out_a").read_text() == "aa"
    assert repo.commit("double@a") == first


def test_repro_finds_nothing_to_do_after_commits(repo: DvcRepo) -> None:
    for item in "ab":
        double(repo, item)
        repo.commit(f"double@{item}")
    assert repo.stale() == []
    output = subprocess.run(
        [commands() / "dvc", "repro"], cwd=repo.root, check=True, capture_output=True, text=True
    ).stdout
    assert "Running stage" not in output


def test_another_input_gives_another_fingerprint_even_with_the_same_output(repo: DvcRepo) -> None:
    double(repo, "a")
    repo.commit("double@a")
    entry = repo.lock_entries()["double@a"]
    other = entry | {"deps": [entry["deps"][0] | {"md5": "0" * 32}]}
    assert output_digest(entry) == output_digest(other)
    assert fingerprint(entry) != fingerprint(other)


def test_tracking_a_source(repo: DvcRepo) -> None:
    source = repo.root / "in_a"
    with pytest.raises(InputError, match="gotowce sync"):
        repo.tracked_digest(source)
    repo.track(source)
    assert repo.is_tracked(source)
    assert repo.tracked_digest(source) == "0cc175b9c0f1b6a831c399e269772661"  # md5 of "a"


def test_no_lock_file_has_no_entries(repo: DvcRepo) -> None:
    assert repo.lock_entries() == {}


def test_files_that_a_running_stage_writes_are_waited_for(
    repo: DvcRepo, caplog: pytest.LogCaptureFixture
) -> None:
    double(repo, "a")
    repo.commit("double@a")
    busy = subprocess.Popen([sys.executable, "-c", "import sys; sys.stdin.read()"], stdin=subprocess.PIPE)
    assert busy.stdin is not None
    held = {"read": {}, "write": {str(repo.root / "out_a"): {"pid": busy.pid, "cmd": "dvc repro"}}}
    (repo.root / ".dvc" / "tmp" / "rwlock").write_text(json.dumps(held))
    assert not repo.is_current("double@b"), "another stage's files are free"

    def end() -> None:
        busy.communicate(b"")

    threading.Timer(2, end).start()
    assert repo.is_current("double@a")
    assert busy.poll() is not None, "it was waited for"
    assert "waiting for DVC" in caplog.text


@pytest.mark.parametrize(
    ("video", "name", "address", "folder"),
    [
        (None, "evaluation", "evaluation", "."),
        ("duel", "evaluation@duel", "videos/duel/dvc.yaml:evaluation", "videos/duel"),
    ],
)
def test_stage_names(video: str | None, name: str, address: str, folder: str) -> None:
    assert stage_name("evaluation", video) == name
    assert stage_address("evaluation", video) == address
    assert split_address(address) == (folder, "evaluation")


def test_an_undefined_name_is_refused_with_the_remedy(repo: DvcRepo) -> None:
    (repo.root / "dvc.yaml").write_text(PIPELINE.replace("[a, b]", "${videos}"))
    with pytest.raises(InputError, match=r"(?s)Could not find 'videos'.*gotowce sync"):
        repo.stale()
