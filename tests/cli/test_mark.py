import re
from pathlib import Path

import pytest

from gotowce_dagster.config.project import Project
from gotowce_dagster.core.truth import read_complete_truth
from tests.cli.running import run
from tests.intake.test_videos import film


def test_page_is_named_after_its_video_and_leaves_that_of_another(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    for name in ("one.mp4", "two.mp4"):
        assert run(monkeypatch, "mark", str(film(tmp_path / name)), "--count", "2") == 0
    pages = {path.name: path.read_text(encoding="utf-8") for path in tmp_path.glob("*.html")}
    assert sorted(pages) == ["one.mark.html", "two.mark.html"]
    assert all(name.replace(".mark.html", ".mp4") in page for name, page in pages.items())


@pytest.mark.parametrize(
    ("options", "frames"),
    [
        (["--frames", "3,1"], [1, 3]),
        (["--count", "2"], [2, 7]),
        (["--count", "2", "--start", "0.5"], [6, 8]),
        (["--count", "3", "--start", "0.2", "--end", "0.4"], [2, 3, 4]),
    ],
)
def test_frames_are_chosen(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, options: list[str], frames: list[int]
) -> None:
    monkeypatch.chdir(tmp_path)
    assert run(monkeypatch, "mark", str(film(tmp_path / "one.mp4")), *options) == 0
    page = (tmp_path / "one.mark.html").read_text(encoding="utf-8")
    assert [int(found) for found in re.findall(r'figure data-index="(\d+)"', page)] == frames


@pytest.mark.parametrize(
    ("options", "problem"),
    [
        (["--frames", "5,99"], "no readable frame 99 of 10"),
        (["--start", "30"], "--start and --end"),
        (["--start", "0.5", "--end", "0.1"], "--start and --end"),
    ],
)
def test_frames_that_do_not_exist_are_refused(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    options: list[str],
    problem: str,
) -> None:
    monkeypatch.chdir(tmp_path)
    assert run(monkeypatch, "mark", str(film(tmp_path / "one.mp4")), *options) == 2
    assert problem in capsys.readouterr().err
    assert not list(tmp_path.glob("*.html"))


def test_what_it_says_to_run_brings_complete_truth_in(
    clone: Project, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """For a video of the project, whose own file may be gone: its key."""
    assert run(monkeypatch, "add", str(film(tmp_path / "My Duel.mp4"))) == 0
    Path("my_duel").mkdir()  # a folder of this name is no video
    assert run(monkeypatch, "mark", "my_duel", "--complete", "--count", "1") == 0
    (command,) = re.findall(r"gotowce (add my_duel --truth CSV)", " ".join(capsys.readouterr().out.split()))
    saved = tmp_path / "my_duel.csv"
    saved.write_text("clip,frame_index,x1,y1,x2,y2,label,marked\nmy_duel.mp4,5,1,1,9,9,ship,no\n")
    assert run(monkeypatch, *command.replace("CSV", str(saved)).split()) == 0
    assert "my_duel: ground truth added" in capsys.readouterr().out
    assert read_complete_truth(clone.paths.complete_truth("my_duel"))["label"].tolist() == ["ship"]
    saved.with_name("bad.csv").write_text("clip,frame_index,x1,y1,x2,y2,label,marked\n")
    assert run(monkeypatch, "add", "my_duel", "--truth", str(saved.with_name("bad.csv"))) == 2
    assert "my_duel: ground truth not added: " in " ".join(capsys.readouterr().err.split())
    other = tmp_path / "Other Name.mp4"
    (tmp_path / "My Duel.mp4").rename(other)
    assert run(monkeypatch, "add", str(other), "--truth", str(saved)) == 2
    assert "only my_duel.mp4; name a video of the project by its key" in " ".join(
        capsys.readouterr().err.split()
    )
