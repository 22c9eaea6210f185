"""Bad input and a bad system at the door: one sentence with the name, exit code 2, nothing half-made."""

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from gotowce_dagster.config.project import Project
from tests.cli.running import run
from tests.conftest import ROOT, make_clone
from tests.intake.test_videos import film, videos_of

pytestmark = pytest.mark.integration

SAMPLE = "data/samples/naev_hostile_sample.mp4"
PARAMS = (ROOT / "params.yaml").read_text(encoding="utf-8")
BOXES = "clip,frame_index,x1,y1,x2,y2,label\n"


def error_of(capsys: pytest.CaptureFixture) -> str:
    err = capsys.readouterr().err
    assert "Traceback" not in err
    return " ".join(err.split())


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (PARAMS.replace("fps: 2.0", "fps: yes", 1), "extracted_frames.fps: expected a number, got 'yes'"),
        (PARAMS.replace("fps: 2.0", 'fps: "2"', 1), "extracted_frames.fps: expected a number, got '2'"),
        (PARAMS.replace("fps: 2.0", "fps: .nan", 1), "extracted_frames.fps: expected "),
        (PARAMS.replace("fps: 2.0", "fps: 2.0\n  fps: 3.0", 1), "the key fps occurs twice"),
        (PARAMS.replace("polygons: ", "polygons: yes #", 1), "yolo_dataset.polygons: expected true or false"),
        (PARAMS + "evaluation: {}\n", "the key evaluation occurs twice"),
        (PARAMS + "colour: red\n", "colour: there is no such field"),
        (PARAMS.replace("{kind: bracket}", "{kind: magic}", 1), "detectors.bracket.kind: expected one of"),
        ((PARAMS + "# caf\xe9\n").encode("latin-1"), "byte 0xe9 is not UTF-8; save the file as UTF-8"),
        ("[" * 100_000, "nested more than 100 levels deep"),
        ("", "extracted_frames: is missing"),
        ("- a\n", "params.yaml: expected a table of names and values"),
        ("a: *b\n", "line 1, column 4: found undefined alias"),
        (b"\x00\x01\x02", "params.yaml: not valid YAML"),
        (None, "params.yaml: a folder, expected a file"),
    ],
    ids=[
        "yes for a number",
        "text for a number",
        "not a number",
        "a key twice",
        "yes for true",
        "a section twice",
        "unknown section",
        "unknown kind",
        "Latin-1",
        "nested",
        "empty",
        "a list",
        "alias",
        "binary",
        "a folder",
    ],
)
def test_wrong_params(
    clone: Project, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture, content, words: str
) -> None:
    path = clone.paths.params
    path.unlink()
    if content is None:
        path.mkdir()
    else:
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
    before = clone.paths.videos.read_bytes()
    assert run(monkeypatch, "add", SAMPLE) == 2
    assert words in (sentence := error_of(capsys))
    assert "params.yaml" in sentence
    assert [file.name for file in clone.paths.raw.iterdir()] == [".keep"]
    assert clone.paths.videos.read_bytes() == before


@pytest.mark.parametrize(
    "words", ["a: 1\na: 2\n", "x: [", "fps: !!binary x"], ids=["a key twice", "syntax", "tag"]
)
def test_what_we_refuse_dvc_refuses(clone: Project, monkeypatch: pytest.MonkeyPatch, words: str) -> None:
    clone.paths.params.write_text(words, encoding="utf-8")
    assert run(monkeypatch, "sync") == 2
    dvc = [sys.executable, "-m", "dvc", "status"]
    assert subprocess.run(dvc, cwd=clone.paths.root, capture_output=True, check=False).returncode


DETECT = ["detect", SAMPLE, "--out", "o.csv", "--profile"]
CALIBRATE = ["calibrate", SAMPLE, "--out", "p.toml", "--boxes"]
OUTSIDE = BOXES + "".join(f"naev_hostile_sample,{n},-500,0,9999,9,designator\n" for n in (1, 2, 3))
TWICE = "name = 'a'\nname = 'b'"
NESTED = "a = " + "[" * 5000
LONG = "n" * 251


@pytest.mark.parametrize(
    ("arrange", "command", "words"),
    [
        (None, ["add", LONG + ".mp4.mp4"], "its name is too long"),
        (None, ["add", "."], "a folder, not a file"),
        (None, ["add", "data/samples"], "a folder, not a file"),
        (None, ["add", "nowhere:1.mp4"], "nowhere:1.mp4: not added: not found"),
        (None, ["add", "[/b] [red]x.mp4"], "[/b] [red]x.mp4: not added: not found"),
        (None, ["add", ":smile:.mp4"], ":smile:.mp4: not added: not found"),
        (None, ["add", "\udcff.mp4"], "\\udcff.mp4: not added: not found"),
        (("l.mp4", "link"), ["add", "l.mp4"], "a link to nowhere, which does not exist"),
        (("s.mp4", "self"), ["add", "s.mp4"], "s.mp4: not added: "),
        (None, ["mark", SAMPLE, "--out", LONG + ".html"], "its name is too long"),
        (None, ["mark", SAMPLE, "--out", "data"], "data: "),
        (None, ["mark", SAMPLE, "--out", "params.yaml/x.html"], "params.yaml"),
        (("p.toml", NESTED), [*DETECT, "p.toml"], "nested too deeply"),
        (("p.toml", b"name = '\xe9'"), [*DETECT, "p.toml"], "not UTF-8"),
        (("p.toml", TWICE), [*DETECT, "p.toml"], "not valid TOML"),
        (None, [*DETECT, "data"], "data: a folder, expected a file"),
        (("b.csv", b"\xff\xfe\x00"), [*CALIBRATE, "b.csv"], "b.csv"),
        (("b.csv", BOXES), [*CALIBRATE, "b.csv"], "0 boxes labelled"),
        (("b.csv", OUTSIDE), [*CALIBRATE, "b.csv"], "row 2: the box exceeds the image of 1280 x 720 pixels"),
        (None, ["compare", "[b]", "--out", "c"], "no video named '[b]'"),
    ],
    ids=lambda value: None if callable(value) else ascii(str(value))[:40],
)  # fmt: skip
def test_wrong_files(
    clone: Project,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture,
    arrange,
    command,
    words: str,
) -> None:
    if arrange:
        path, content = Path(arrange[0]), arrange[1]
        if content in ("link", "self"):
            path.symlink_to("nowhere" if content == "link" else path)
        else:
            path.write_bytes(content if isinstance(content, bytes) else content.encode())
    assert run(monkeypatch, *command) == 2
    assert words in error_of(capsys)
    assert [file.name for file in clone.paths.raw.iterdir()] == [".keep"]


def test_names_are_printed_as_they_are(
    clone: Project, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
) -> None:
    names = ["[win] boss.mp4", "[/b].mp4", "[link=x]y.mp4", ":fire:.mp4", "[bold red]z\\.mp4"]
    (tmp_path / "[").mkdir()
    for number, name in enumerate(names):
        film(tmp_path / name, shade=20 + 20 * number)
    assert run(monkeypatch, "add", *(str(tmp_path / name) for name in names)) == 0
    out = capsys.readouterr().out
    assert all(str(tmp_path / name) in out for name in names)


def test_bad_entries_of_the_folder_do_not_stop_add_and_sync(
    clone: Project, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
) -> None:
    (clone.paths.raw / "broken.mp4").symlink_to("nowhere")
    (clone.paths.raw / "sub.mp4").mkdir()
    (clone.paths.raw / "[b].txt").write_text("text")
    film(clone.paths.raw / "rec.mp4")
    film(clone.paths.raw / "rec.mkv", kind="matroska")
    for command in (["add", str(film(tmp_path / "other.mp4", shade=30))], ["sync"]):
        assert run(monkeypatch, *command) == 0
        sentence = error_of(capsys)
        assert all(name in sentence for name in ("broken.mp4", "sub.mp4", "[b].txt", "rec.mp4"))
        assert list(videos_of(clone)) == ["other", "rec"]
    assert run(monkeypatch, "sync", "--json") == 0
    assert len(json.loads(capsys.readouterr().out)["notes"]) == 4


# A system that refuses. Root may do everything, so another user, or a file system of its own, is needed.

needs_root = pytest.mark.skipif(
    os.geteuid() != 0, reason="only root can mount a small disk or become another user"
)


@pytest.fixture
def mounted(
    template: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[tuple[Project, Callable[..., None]]]:
    """A clone on a small disk of its own, and how to mount it otherwise."""
    disk = tmp_path / "disk"
    disk.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=40m", "tmpfs", disk]
    if subprocess.run(mount, capture_output=True, check=False).returncode:
        pytest.skip("this machine lets nobody mount a disk")

    def remount(options: str) -> None:
        subprocess.run(["mount", "-o", f"remount,{options}", disk], check=True)

    try:
        yield make_clone(template, disk / "clone", monkeypatch), remount
    finally:
        monkeypatch.undo()
        os.chdir(ROOT)
        subprocess.run(["umount", "-l", disk], check=True)


@needs_root
@pytest.mark.parametrize("room", [0.0, 0.5, 1.2, 1.7])
def test_a_full_disk_leaves_no_half_of_a_video(
    mounted, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture, room: float
) -> None:
    """Room for so many times the video: the copy fails, or DVC's own copy into its cache does."""
    clone, _ = mounted
    assert run(monkeypatch, "sync") == 0
    size = Path(SAMPLE).stat().st_size
    free = shutil.disk_usage(clone.paths.root).free
    (clone.paths.root / "fill").write_bytes(bytes(int(free - room * size - 60_000)))
    assert run(monkeypatch, "add", SAMPLE) == 2
    assert "no space left on the disk" in error_of(capsys)
    assert [file.name for file in clone.paths.raw.iterdir()] == [".keep"]
    cache = clone.paths.root / ".dvc" / "cache"
    assert [file for file in cache.rglob("*") if file.is_file() and file.stat().st_size > 100_000] == []
    (clone.paths.root / "fill").unlink()
    assert run(monkeypatch, "add", SAMPLE) == 0
    assert list(videos_of(clone)) == ["naev_hostile_sample"]


@needs_root
@pytest.mark.parametrize(
    "command",
    [["add", SAMPLE], ["sync", "--refresh"], ["mark", SAMPLE], ["segment", SAMPLE]],
    ids=lambda c: c[0],
)
def test_a_read_only_project(
    mounted, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture, command: list[str]
) -> None:
    clone, remount = mounted
    clone.paths.engines.unlink(missing_ok=True)
    remount("ro")
    assert run(monkeypatch, *command) == 2
    assert "lies on a read-only file system" in error_of(capsys)


@needs_root
@pytest.mark.parametrize("command", [["add", SAMPLE], ["sync"], ["mark", SAMPLE]], ids=lambda c: c[0])
def test_another_user_without_permission(clone: Project, command: list[str]) -> None:
    if shutil.which("setpriv") is None:
        pytest.skip("no setpriv on the PATH")
    # Nobody may reach the project but not write to it; pytest's folders are for their owner alone.
    for folder in clone.paths.root.parents:
        if folder.is_relative_to("/tmp") and folder != Path("/tmp"):
            folder.chmod(0o755)
    gotowce = [str(Path(sys.executable).with_name("gotowce")), *command]
    nobody = ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", *gotowce]
    environment = {**os.environ, "HOME": "/nonexistent", "GOTOWCE_ROOT": str(clone.paths.root)}
    done = subprocess.run(
        nobody, cwd=clone.paths.root, env=environment, capture_output=True, text=True, check=False
    )
    if "Permission denied" in done.stderr and str(sys.executable) in done.stderr:
        pytest.skip("another user cannot run this Python")
    assert done.returncode == 2, done.stderr
    assert "no permission" in done.stderr
    assert "Traceback" not in done.stderr
    assert [file.name for file in clone.paths.raw.iterdir()] == [".keep"]
