"""A dvc.lock that a killed DVC left is made whole, and never seen otherwise; against the installed DVC."""

import json
import logging
import shutil
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from gotowce_dagster.config.paths import Paths
from gotowce_dagster.core.errors import InputError
from gotowce_dagster.intake.dvc_lock_repair import torn_sources
from gotowce_dagster.intake.dvc_lockfile import read_lock
from gotowce_dagster.intake.dvc_repo import DvcRepo, LockBusyError
from tests.support.warm import commands

pytestmark = pytest.mark.integration

ITEMS = "abcd"
PIPELINE = """
stages:
  double:
    foreach: [a, b, c, d]
    do:
      cmd: cat in_${item} in_${item} > out_${item}
      deps: ["in_${item}"]
      outs: ["out_${item}"]
"""
COPY = Path("data/.work/dvc/dvc.lock.good")


def dvc(root: Path, *arguments: str) -> str:
    command = [commands() / "dvc", *arguments]
    return subprocess.run(command, cwd=root, check=True, capture_output=True, text=True).stdout


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A repository whose four stages a plain `dvc repro` has run."""
    root = tmp_path_factory.mktemp("made")
    dvc(root, "init", "--no-scm", "-q")
    (root / "dvc.yaml").write_text(PIPELINE)
    for item in ITEMS:
        (root / f"in_{item}").write_text(item)
    dvc(root, "repro", "-q")
    return root


@pytest.fixture
def repo(made: Path, tmp_path: Path) -> DvcRepo:
    """A copy of it."""
    root = tmp_path / "project"
    shutil.copytree(made, root, symlinks=True)
    return DvcRepo(root)


def lock(repo: DvcRepo) -> Path:
    return repo.root / "dvc.lock"


def starts(text: str) -> list[int]:
    """Where each stage begins in the file."""
    return [text.index(f"  double@{item}:") for item in ITEMS]


CUTS = {
    "empty": lambda text: 0,
    "in the header": lambda text: 9,
    "between two stages": lambda text: starts(text)[2],
    "between two lines, still valid": lambda text: text.index("    outs:", starts(text)[2]),
    "in a digest": lambda text: text.index("md5: ", starts(text)[1]) + 12,
    "in the last line": lambda text: len(text) - 2,
}


@pytest.mark.parametrize("copy", ["up to date", "a stage behind", "none"])
@pytest.mark.parametrize("cut", CUTS.values(), ids=CUTS)
def test_a_cut_lock_is_repaired_to_what_it_was(
    repo: DvcRepo, cut, copy: str, caplog: pytest.LogCaptureFixture
) -> None:
    whole = lock(repo).read_text()
    if copy == "up to date":
        repo.lock_entries()
    elif copy == "a stage behind":
        lock(repo).write_text(whole[: starts(whole)[3]])
        repo.lock_entries()
    lock(repo).write_text(whole[: cut(whole)])
    is_seen = not (copy == "none" and cut(whole) == starts(whole)[2])
    with caplog.at_level(logging.WARNING):
        repaired = repo.repair()
    assert (repaired is not None) == is_seen
    if repaired is None:
        # Nothing tells that stages are missing but DVC itself: it takes them from its run cache.
        dvc(repo.root, "repro", "-q")
    else:
        assert "dvc.lock was truncated" in caplog.text
        assert len(repaired.kept) + len(repaired.from_copy) + len(repaired.from_run_cache) == 4
        assert repaired.missing == []
        assert (repo.root / "data/.work/dvc/dvc.lock.cut").read_text() == whole[: cut(whole)]
    assert lock(repo).read_text() == whole
    assert repo.repair() is None


@pytest.mark.parametrize("call", ["is_current", "stale", "lock_entries", "commit", "restore"])
def test_every_call_repairs_by_itself(repo: DvcRepo, call: str) -> None:
    whole = lock(repo).read_text()
    lock(repo).write_text(whole[: len(whole) // 2])
    method = getattr(repo, call)
    method() if call in {"stale", "lock_entries"} else method("double@a")
    assert lock(repo).read_text() == whole


def test_an_entry_that_went_on_purpose_does_not_come_back(repo: DvcRepo) -> None:
    whole = lock(repo).read_text()
    repo.lock_entries()
    shorter = whole[: starts(whole)[3]]
    # Its outputs are gone: nothing to record.
    (repo.root / "out_d").unlink()
    lock(repo).write_text(shorter)
    assert repo.repair() is None
    assert list(repo.lock_entries()) == ["double@a", "double@b", "double@c"]


def test_an_entry_whose_stage_is_gone_does_not_come_back(repo: DvcRepo) -> None:
    whole = lock(repo).read_text()
    repo.lock_entries()
    (repo.root / "dvc.yaml").write_text(PIPELINE.replace(", d]", "]"))
    lock(repo).write_text(whole[: starts(whole)[3]])
    assert repo.repair() is None


def test_the_file_that_git_has_is_whole(repo: DvcRepo) -> None:
    whole = lock(repo).read_text()
    repo.lock_entries()
    lock(repo).write_text(whole[: starts(whole)[2]])
    for command in (
        ["init", "-q"],
        ["add", "dvc.lock"],
        ["-c", "user.name=t", "-c", "user.email=t@t.test", "commit", "-qm", "an older state"],
    ):
        subprocess.run(["git", *command], cwd=repo.root, check=True)
    assert repo.repair() is None
    # And where nothing else is left, it is the copy to repair from.
    shutil.rmtree(repo.root / "data")
    shutil.rmtree(repo.root / ".dvc" / "cache" / "runs")
    lock(repo).write_text("")
    repaired = repo.repair()
    assert repaired is not None
    assert repaired.from_copy == ["double@a", "double@b"]
    assert repaired.missing == ["double@c", "double@d"]


def test_a_removed_lock_is_no_cut_one(repo: DvcRepo) -> None:
    repo.lock_entries()
    lock(repo).unlink()
    assert repo.lock_entries() == {}
    assert not lock(repo).exists()
    assert not (repo.root / COPY).exists()


def test_a_merge_conflict_is_not_repaired(repo: DvcRepo) -> None:
    text = lock(repo).read_text() + "<<<<<<< HEAD\n"
    lock(repo).write_text(text)
    with pytest.raises(InputError, match="conflict"):
        repo.lock_entries()
    assert lock(repo).read_text() == text


def test_a_stage_of_dvc_repro_keeps_a_copy_first(repo: DvcRepo) -> None:
    repo.remember("double@a")
    assert (repo.root / COPY).read_bytes() == lock(repo).read_bytes()


def test_dvc_in_our_process_writes_beside_and_renames(repo: DvcRepo, monkeypatch: pytest.MonkeyPatch) -> None:
    (repo.root / "in_a").write_text("A")
    (repo.root / "out_a").unlink()
    (repo.root / "out_a").write_text("AA")
    before, inode = lock(repo).read_text(), lock(repo).stat().st_ino
    lock(repo).chmod(0o640)

    def half(data: object, stream) -> None:
        stream.write("schema: '2.0'\nstages:\n  double@a:\n")
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as full, pytest.raises(OSError, match="No space"):
        full.setattr("dvc.utils.serialize._yaml._dump", half)
        repo.commit("double@a")
    assert lock(repo).read_text() == before

    repo.commit("double@a")
    assert lock(repo).stat().st_ino != inode, "a new file took its place"
    assert lock(repo).stat().st_mode & 0o777 == 0o640
    assert (repo.root / COPY).read_bytes() == lock(repo).read_bytes()


WRITER = """
import sys
from dvc.lock import make_lock
from dvc.utils.serialize import dump_yaml, load_yaml

both = [load_yaml(path) for path in sys.argv[2:]]
print("writing", flush=True)
for turn in range(int(sys.argv[1])):
    with make_lock(".dvc/tmp/lock", wait=True):
        dump_yaml("dvc.lock", both[turn % 2])
"""


def test_a_reader_beside_a_writer_sees_a_whole_file(repo: DvcRepo) -> None:
    """DVC writes in place 40 times while we read 40 times; today's plain read failed in 19 of 32."""
    whole = lock(repo).read_text()
    entries = read_lock(whole)
    big = {f"double@{i}{item}": entries[f"double@{item}"] for i in range(100) for item in ITEMS}
    for name, stages in (("one.yaml", entries | big), ("two.yaml", entries)):
        (repo.root / name).write_text(json.dumps({"schema": "2.0", "stages": stages}))
    writer = subprocess.Popen(
        [sys.executable, "-c", WRITER, "40", "one.yaml", "two.yaml"],
        cwd=repo.root,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert writer.stdout is not None
    writer.stdout.readline()
    sizes = [len(repo.lock_entries()) for _ in range(40)]
    assert writer.wait() == 0
    assert set(sizes) <= {4, 404}


HOLDER = """
import sys, time
from dvc.lock import make_lock

with make_lock(".dvc/tmp/lock"):
    print("held", flush=True)
    sys.stdin.read()
"""


def test_a_caller_that_must_not_wait_gets_an_error_if_the_lock_is_busy(
    repo: DvcRepo, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("dvc.lock.DEFAULT_TIMEOUT", 0.5)
    holder = subprocess.Popen(
        [sys.executable, "-c", HOLDER],
        cwd=repo.root,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert holder.stdout is not None
    holder.stdout.readline()
    with pytest.raises(LockBusyError, match="being written"):
        repo.lock_entries(wait=False)
    repo.remember("double@a")  # the stage that calls it goes on
    assert holder.stdin is not None
    threading.Timer(1, holder.stdin.close).start()
    assert len(repo.lock_entries()) == 4, "waited for it"
    holder.wait()
    assert len(repo.lock_entries(wait=False)) == 4


def test_a_torn_list_of_files_in_use_does_not_stop_dvc_for_ever(
    repo: DvcRepo, caplog: pytest.LogCaptureFixture
) -> None:
    (repo.root / ".dvc" / "tmp" / "rwlock").write_text('{"read": {')
    assert repo.is_current("double@a")
    assert "rwlock was truncated" in caplog.text


@pytest.mark.parametrize("content", ["", "outs:\n- md5: 0cc175b9", "outs:\n- md5: 0cc1\n  size: 1\n"])
def test_a_torn_dvc_file_is_written_anew(
    repo: DvcRepo, content: str, caplog: pytest.LogCaptureFixture
) -> None:
    video = Paths(repo.root).raw / "duel.mp4"
    video.parent.mkdir(parents=True)
    video.write_text("a video")
    repo.track(video)
    tracked = video.with_name("duel.mp4.dvc")
    whole = tracked.read_text()
    assert torn_sources(repo.root) == []
    tracked.write_text(content)
    repo.repair()
    assert tracked.read_text() == whole
    assert "duel.mp4.dvc was truncated and is written again" in caplog.text
    assert video.read_text() == "a video"

    video.unlink()
    tracked.write_text(content)
    repo.repair()
    assert "restore it with `git checkout`" in caplog.text
    assert repo.stale() == [], "DVC works again"


@pytest.mark.parametrize("left", ["a file", "a file alone", "an empty folder"])
@pytest.mark.parametrize("by", ["restore", "repair"])
def test_an_unfinished_entry_of_the_run_cache_does_not_stop_dvc_for_ever(
    repo: DvcRepo, by: str, left: str, caplog: pytest.LogCaptureFixture
) -> None:
    whole = lock(repo).read_text()
    (entry,) = (path for path in (repo.root / ".dvc/cache/runs").glob("*/*/*") if "out_a" in path.read_text())
    # DVC writes beside the entry and renames: a kill in between leaves the beginning, as the newest file.
    unfinished = entry.with_name(".Zk3.tmp")
    if left != "an empty folder":
        unfinished.write_text(entry.read_text().split("outs:")[0])
    if left != "a file":
        entry.unlink()
    lock(repo).unlink()
    (repo.root / "out_a").unlink()
    with pytest.raises(subprocess.CalledProcessError):
        dvc(repo.root, "repro", "-q", "double@a")
    if by == "restore":
        assert repo.restore("double@a") == (left == "a file")
    else:
        assert repo.repair(run_cache=True) is None
        dvc(repo.root, "repro", "-q")
        assert lock(repo).read_text() == whole
    assert not unfinished.exists()
    assert "left unfinished" in caplog.text
    if by == "repair" or left == "a file":
        assert (repo.root / "out_a").read_text() == "aa"
