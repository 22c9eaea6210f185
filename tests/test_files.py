from pathlib import Path

import pytest

from gotowce_dagster.files import fresh_dir, fresh_file


def test_fresh_file_replaces_only_when_whole(tmp_path: Path) -> None:
    target = tmp_path / "sub" / "out.txt"
    with fresh_file(target) as new:
        new.write_text("first")
        assert not target.exists()
    assert target.read_text() == "first"
    with pytest.raises(RuntimeError), fresh_file(target) as new:
        new.write_text("half")
        raise RuntimeError
    assert target.read_text() == "first"
    assert [file.name for file in target.parent.iterdir()] == ["out.txt"]


def test_fresh_file_leaves_hard_linked_twin_alone(tmp_path: Path) -> None:
    cached, target = tmp_path / "cached", tmp_path / "target"
    cached.write_text("cached")
    target.hardlink_to(cached)
    with fresh_file(target) as new:
        new.write_text("new")
    assert (cached.read_text(), target.read_text()) == ("cached", "new")


def test_fresh_dir_drops_old_content_and_leftovers_of_a_killed_run(tmp_path: Path) -> None:
    target = tmp_path / "out"
    target.mkdir()
    (target / "old").touch()
    (tmp_path / ".out.new").mkdir()
    (tmp_path / ".out.new" / "half").touch()
    with fresh_dir(target) as new:
        (new / "fresh").touch()
        assert (target / "old").exists()
    assert [file.name for file in target.iterdir()] == ["fresh"]
    assert [file.name for file in tmp_path.iterdir()] == ["out"]


def test_fresh_dir_keeps_old_content_when_the_block_fails(tmp_path: Path) -> None:
    target = tmp_path / "out"
    target.mkdir()
    (target / "old").touch()
    with pytest.raises(RuntimeError), fresh_dir(target):
        raise RuntimeError
    assert [file.name for file in tmp_path.rglob("*")] == ["out", "old"]
