"""A tracked file exists even where its content is absent."""

import hashlib
from pathlib import Path

import pytest

from gotowce_dagster.core import sources
from gotowce_dagster.core.errors import InputError


def track(path: Path, content: bytes) -> None:
    md5 = hashlib.md5(content, usedforsecurity=False).hexdigest()
    sources.pointer(path).write_text(
        f"outs:\n- md5: {md5}\n  size: {len(content)}\n  hash: md5\n  path: {path.name}\n"
    )


@pytest.fixture
def raw(tmp_path: Path) -> Path:
    folder = tmp_path / "data" / "raw"
    folder.mkdir(parents=True)
    return folder


@pytest.mark.parametrize(
    ("here", "tracked", "expected"),
    [
        (True, True, "here"),
        (True, False, "here"),
        (False, True, "not pulled"),
        (False, False, "gone"),
    ],
)
def test_state(raw: Path, here: bool, tracked: bool, expected: str) -> None:
    path = raw / "a.mp4"
    if here:
        path.touch()
    if tracked:
        track(path, b"")
    assert sources.state(path) == expected


def test_a_dangling_link_is_not_here(raw: Path) -> None:
    (raw / "a.mp4").symlink_to(raw / "elsewhere.mp4")
    track(raw / "a.mp4", b"film")
    assert sources.state(raw / "a.mp4") == "not pulled"


def test_the_sentence_names_every_file_and_one_command(raw: Path) -> None:
    for name in ("a.mp4", "noext"):
        track(raw / name, b"x")
    (raw / "c.mp4").touch()
    with pytest.raises(InputError) as error:
        sources.require_pulled([raw / "a.mp4", raw / "noext", raw / "c.mp4"])
    assert str(error.value) == (
        "data/raw/a.mp4, data/raw/noext: not pulled; run `dvc pull data/raw/a.mp4.dvc data/raw/noext.dvc`"
    )
    sources.require_pulled([raw / "c.mp4"])


def test_tracked_files_are_found_below_too(raw: Path) -> None:
    (raw / "tracks").mkdir()
    for path in (raw / "b.json", raw / "tracks" / "a.json"):
        track(path, b"x")
    (raw / ".dvc").mkdir()
    assert sources.tracked_files(raw) == [raw / "b.json", raw / "tracks" / "a.json"]


@pytest.mark.parametrize(
    ("content", "expected"), [(b"film", True), (b"film!", False), (b"mlif", False), (b"", False)]
)
def test_a_file_is_compared_with_what_was_recorded(raw: Path, content: bytes, expected: bool) -> None:
    track(raw / "a.mp4", b"film")
    other = raw.parent / "other.mp4"
    other.write_bytes(content)
    assert sources.is_tracked_content(other, raw / "a.mp4") is expected


@pytest.mark.parametrize(
    "text", ["", "outs: []", "outs: 3", "outs:\n- [", "[]", "outs:\n- 7\n", "outs:\n- md5: a\n- md5: b\n"]
)
def test_a_damaged_pointer_is_named(raw: Path, text: str) -> None:
    sources.pointer(raw / "a.mp4").write_text(text)
    with pytest.raises(InputError, match=r"a\.mp4\.dvc: .*git checkout data/raw/a\.mp4\.dvc"):
        sources.read_pointer(raw / "a.mp4")
