"""What lies in data/raw: one bad entry never keeps the others out."""

import os
from pathlib import Path

import pytest

from gotowce_dagster.config.paths import Paths
from gotowce_dagster.intake import raw_folder
from gotowce_dagster.intake.raw_folder import look
from gotowce_dagster.video.encode import write_video
from tests.video.films import shades, write_sound


@pytest.fixture
def paths(tmp_path: Path) -> Paths:
    paths = Paths(tmp_path)
    paths.raw.mkdir(parents=True)
    return paths


def film(path: Path, kind: str = "mp4", first: int = 0) -> Path:
    write_video(path, shades(4 + first)[first:], container_format=kind)
    return path


def fifo(path: Path) -> None:
    os.mkfifo(path)


BAD = {
    "broken.mp4": (
        lambda path: path.symlink_to("nowhere.mp4"),
        "a link to nowhere.mp4, which does not exist",
    ),
    "circle.mp4": (lambda path: path.symlink_to(path), "circle"),
    "sub.mp4": (Path.mkdir, "a folder, not a file"),
    "empty.mp4": (Path.touch, "an empty file"),
    "text.mp4": (lambda path: path.write_text("no video"), "no video can be read"),
    "zeros.mp4": (lambda path: path.write_bytes(bytes(9000)), "no video can be read"),
    "notes.txt": (lambda path: path.write_text("a line\n" * 50), "no"),
    "readme": (lambda path: path.write_text("# read me\n" * 50), "no"),
    "sound.mp4": (write_sound, "no video stream"),
    "pipe.mp4": (fifo, "not a file"),
    "half.mp4.part": (film, "still being copied or downloaded"),
    "list.m3u8": (lambda path: path.write_text("#EXTM3U\n#EXTINF:9,\nhttp://127.0.0.1:9/a.ts\n"), "no video"),
    "[b] {x} ${y}.mp4": (lambda path: path.write_text("no video"), "no video can be read"),
    "d\n e.mp4": (Path.touch, "an empty file"),
}


@pytest.mark.parametrize("name", list(BAD), ids=ascii)
def test_a_bad_entry_is_reported_by_name_and_the_rest_goes_on(paths: Paths, name: str) -> None:
    make, message = BAD[name]
    make(paths.raw / name)
    film(paths.raw / "duel.mp4")
    found = look(paths)
    assert list(found.videos) == ["duel"]
    (problem,) = found.problems
    assert str(paths.raw / name) in problem
    assert message in problem
    assert (paths.raw / name).is_symlink() or (paths.raw / name).exists(), "nothing is renamed or removed"


def test_all_bad_entries_at_once(paths: Paths) -> None:
    for name, (make, _) in BAD.items():
        make(paths.raw / name)
    film(paths.raw / "duel.mp4")
    found = look(paths)
    assert list(found.videos) == ["duel"]
    assert len(found.problems) == len(BAD)


@pytest.mark.parametrize(
    ("other", "kept", "problems"),
    [
        pytest.param(
            0, {"rec": "rec.mkv"}, ["rec.mp4: the same recording as rec.mkv"], id="a remux, as OBS does"
        ),
        pytest.param(3, {"rec": "rec.mkv", "rec_2": "rec_2.mp4"}, [], id="another recording"),
    ],
)
def test_two_files_of_one_name(paths: Paths, other: int, kept: dict[str, str], problems: list[str]) -> None:
    film(paths.raw / "rec.mkv", "matroska")
    film(paths.raw / "rec.mp4", first=other)
    film(paths.raw / "duel.mp4", first=5)
    for _ in range(2):
        found = look(paths)
        assert {key: file.name for key, file in found.videos.items()} == {"duel": "duel.mp4", **kept}
        assert all(expected in problem for expected, problem in zip(problems, found.problems, strict=True))


def test_what_dvc_tracks_keeps_its_name(paths: Paths) -> None:
    for name in ("08.mp4", "rec.mp4", "rec.mkv", "My Clip.mp4"):
        film(paths.raw / name, first=len(name))
        (paths.raw / f"{name}.dvc").touch()
    film(paths.raw / "Rec.mov", "mov", first=9)
    found = look(paths)
    assert {key: file.name for key, file in found.videos.items()} == {
        "08": "08.mp4",
        "rec": "rec.mkv",
        "rec_2": "rec_2.mov",
    }
    assert ["My Clip.mp4" in found.problems[0], "rec.mp4" in found.problems[1]] == [True, True]
    assert (paths.raw / "My Clip.mp4").exists()


def test_the_name_of_a_tracked_video_that_is_not_here_is_taken(paths: Paths) -> None:
    (paths.raw / "duel.mp4.dvc").touch()
    film(paths.raw / "Duel.mkv", "matroska")
    assert {key: file.name for key, file in look(paths).videos.items()} == {"duel_2": "duel_2.mkv"}


def test_a_known_video_that_broke_stays_and_is_reported(paths: Paths) -> None:
    (paths.raw / "duel.mp4").write_text("no video any more")
    (paths.raw / "duel.mp4.dvc").touch()
    assert list(look(paths, known=["duel"]).videos) == ["duel"]
    assert list(look(paths).videos) == []
    assert len(look(paths, known=["duel"]).problems) == 1


def test_files_are_opened_once_until_they_change(paths: Paths, monkeypatch: pytest.MonkeyPatch) -> None:
    opened = []
    monkeypatch.setattr(raw_folder, "check", lambda path: opened.append(path.name))
    film(paths.raw / "a.mp4")
    film(paths.raw / "b.mp4")
    look(paths)
    look(paths)
    assert opened == ["a.mp4", "b.mp4"]
    film(paths.raw / "b.mp4", first=2)
    look(paths)
    assert opened == ["a.mp4", "b.mp4", "b.mp4"]


@pytest.mark.parametrize("content", [b"", b"[1]", b'{"problem a.mp4": 1}', b"\xff", b"[" * 100_000])
def test_damaged_memory_of_what_was_checked_only_costs_time(paths: Paths, content: bytes) -> None:
    film(paths.raw / "a.mp4")
    memory = paths.work("raw_videos.json")
    memory.parent.mkdir(parents=True)
    memory.write_bytes(content)
    assert list(look(paths).videos) == ["a"]


def test_a_file_still_written_is_passed_over(paths: Paths) -> None:
    film(paths.raw / "a.mp4")
    film(paths.raw / "B c.mp4")
    assert list(look(paths, leave=["B c.mp4"]).videos) == ["a"]
    assert (paths.raw / "B c.mp4").exists()


def test_no_folder_no_videos(tmp_path: Path) -> None:
    assert look(Paths(tmp_path)).videos == {}
