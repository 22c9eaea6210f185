import os
import signal
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from gotowce_dagster.core.files import fresh_dir, fresh_file, remove_leftovers


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


@pytest.mark.parametrize("durable", [False, True])
def test_fresh_file_replaces_only_when_whole(tmp_path: Path, durable: bool) -> None:
    target = tmp_path / "sub" / "out.txt"
    with fresh_file(target, durable=durable) as new:
        new.write_text("first")
        assert not target.exists()
    assert target.read_text() == "first"
    with pytest.raises(RuntimeError), fresh_file(target, durable=durable) as new:
        new.write_text("half")
        raise RuntimeError
    assert target.read_text() == "first"
    assert names(target.parent) == ["out.txt"]


def test_fresh_file_leaves_hard_linked_twin_alone(tmp_path: Path) -> None:
    cached, target = tmp_path / "cached", tmp_path / "target"
    cached.write_text("cached")
    target.hardlink_to(cached)
    with fresh_file(target) as new:
        new.write_text("new")
    assert (cached.read_text(), target.read_text()) == ("cached", "new")


@pytest.mark.parametrize("name", ["x" * 255, "ż" * 127, "[win] a*b", "two\nlines"])
def test_any_name_that_the_disk_takes_can_be_written(tmp_path: Path, name: str) -> None:
    with fresh_file(tmp_path / name) as new:
        new.write_text("whole")
    assert names(tmp_path) == [name]
    with fresh_dir(tmp_path / name) as folder:
        (folder / "fresh").touch()
    assert names(tmp_path / name) == ["fresh"]


def test_fresh_dir_drops_old_content(tmp_path: Path) -> None:
    target = tmp_path / "out"
    target.mkdir()
    (target / "old").touch()
    with fresh_dir(target) as new:
        (new / "fresh").touch()
        assert (target / "old").exists()
    assert names(target) == ["fresh"]
    assert names(tmp_path) == ["out"]


def test_fresh_dir_keeps_old_content_when_the_block_fails(tmp_path: Path) -> None:
    target = tmp_path / "out"
    target.mkdir()
    (target / "old").touch()
    with pytest.raises(RuntimeError), fresh_dir(target):
        raise RuntimeError
    assert [file.name for file in tmp_path.rglob("*")] == ["out", "old"]


WRITER = """
import sys, time
from pathlib import Path
from gotowce_dagster.core.files import fresh_dir, fresh_file

with globals()[sys.argv[1]](Path(sys.argv[2])) as new:
    (new / "half" if new.is_dir() else new).write_text("half")
    print("writing", flush=True)
    time.sleep(60)
"""


@pytest.mark.integration
@pytest.mark.parametrize("kind", ["fresh_dir", "fresh_file"])
def test_leftovers_of_the_dead_are_removed_and_the_living_are_left_alone(tmp_path: Path, kind: str) -> None:
    target = tmp_path / "out"
    writer = subprocess.Popen(
        [sys.executable, "-c", WRITER, kind, str(target)], stdout=subprocess.PIPE, text=True
    )
    assert writer.stdout is not None
    assert writer.stdout.readline() == "writing\n"
    (scratch,) = names(tmp_path)
    remove_leftovers(tmp_path)
    assert names(tmp_path) == [scratch], "its process lives"

    with fresh_file(target) as new:
        new.write_text("whole, though another is writing the same")
    assert names(tmp_path) == [scratch, "out"]

    writer.send_signal(signal.SIGKILL)
    writer.wait()
    remove_leftovers(tmp_path)
    assert names(tmp_path) == ["out"]


def test_what_is_no_leftover_of_ours_stays(tmp_path: Path) -> None:
    (tmp_path / ".mine.new").mkdir()
    (tmp_path / ".mine.0123abcd.new").touch()
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / ".link.0123abcd.new").symlink_to(tmp_path / "elsewhere")
    before = names(tmp_path)
    remove_leftovers(tmp_path)
    assert names(tmp_path) == before


HAMMER = """
import sys
from pathlib import Path
from gotowce_dagster.core.files import fresh_dir, fresh_file

target, who = Path(sys.argv[1]), sys.argv[2]
for turn in range(100):
    with fresh_file(target / "file") as new:
        new.write_text(who * 20_000)
    with fresh_dir(target / "folder") as new:
        for number in range(5):
            (new / str(number)).write_text(who)
"""


@pytest.mark.integration
def test_processes_that_write_the_same_neither_fail_nor_mix(tmp_path: Path) -> None:
    def hammer(who: str) -> subprocess.CompletedProcess:
        command = [sys.executable, "-c", HAMMER, str(tmp_path), who]
        return subprocess.run(command, check=False, capture_output=True, text=True)

    with ThreadPoolExecutor(4) as pool:
        for done in pool.map(hammer, "abcd"):
            assert done.returncode == 0, done.stderr
    assert names(tmp_path) == ["file", "folder"]
    text = (tmp_path / "file").read_text()
    assert (len(text), len(set(text))) == (20_000, 1)
    assert names(tmp_path / "folder") == ["0", "1", "2", "3", "4"]
    assert len({path.read_text() for path in (tmp_path / "folder").iterdir()}) == 1


def test_a_file_system_without_locks_still_writes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        raise OSError(os.strerror(95))

    monkeypatch.setattr("fcntl.flock", refuse)
    with fresh_file(tmp_path / "out") as new:
        new.write_text("whole")
        remove_leftovers(tmp_path)
        assert new.exists(), "nothing tells that it is dead"
    assert names(tmp_path) == ["out"]
