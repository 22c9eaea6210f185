"""The stage on real files: samples, synthetic scenes, broken videos, and a kill in the middle."""

import json
import signal
import subprocess
import sys
from pathlib import Path

import cv2
import numpy as np
import pandas as pd
import pytest
import yaml

from gotowce_dagster.config.paths import Paths
from gotowce_dagster.config.project import Project
from gotowce_dagster.core.errors import InputError
from gotowce_dagster.core.files import fresh_dir
from gotowce_dagster.core.tables import FLY_BYS, FRAMES, read_table
from gotowce_dagster.previews.table import preview_of
from gotowce_dagster.stages import extracted_frames
from gotowce_dagster.video.decode import read_frames
from gotowce_dagster.video.encode import write_video
from tests.support.synthetic import Scene, Target, write_scene
from tests.video.films import write_sound

ROOT = Path(__file__).parents[2]
SAMPLES = ROOT / "data" / "samples"


def _project(root: Path, **files: bytes) -> Project:
    """A project whose videos are these bytes, by key."""
    paths = Paths(root)
    paths.raw.mkdir(parents=True)
    paths.params.write_bytes((ROOT / "params.yaml").read_bytes())
    for key, content in files.items():
        (paths.raw / f"{key}.mp4").write_bytes(content)
    videos = {key: {"file": f"{key}.mp4", "profile": "none"} for key in files}
    paths.videos.write_text(yaml.safe_dump({"videos": videos}), encoding="utf-8")
    return Project(paths)


def _about(project: Project, video: str) -> dict:
    return json.loads((project.paths.frames(video) / "video.json").read_text(encoding="utf-8"))


def _index(project: Project, video: str) -> pd.DataFrame:
    return read_table(project.paths.frame_index(video), FRAMES)


@pytest.fixture(scope="module")
def done(tmp_path_factory: pytest.TempPathFactory) -> Project:
    root = tmp_path_factory.mktemp("world")
    cut = Scene(
        (Target(start=(200, 150)),), frames=80, size=(640, 360), cuts=(50,), stalls=(range(15, 45),), seed=5
    )
    write_scene(root / "cut.mp4", cut)
    oolite = (SAMPLES / "oolite_red_sample.mp4").read_bytes()
    project = _project(root / "p", oolite=oolite, cut=(root / "cut.mp4").read_bytes())
    for video in ("oolite", "cut"):
        extracted_frames.run(project, video)
    return project


def test_the_index_keeps_every_sampled_frame(done: Project) -> None:
    index = _index(done, "oolite")
    assert index["frame_index"].tolist() == list(range(0, 584, 10))
    assert index["time_s"].tolist() == pytest.approx([i / 2 for i in range(59)])
    stalls = index.loc[index["reason"] == "stall", "time_s"]
    for start, end in ((7.9, 11.1), (14.4, 16.1), (23.9, 26.1)):
        assert stalls.between(start, end).sum() >= 4
    assert 35 <= index["kept"].sum() <= 48
    assert (index["sharpness"] > 0).all()
    assert index["phash"].str.fullmatch("[0-9a-f]{16}").all()


def test_pictures_are_those_of_the_kept_frames(done: Project) -> None:
    index = _index(done, "oolite").set_index("frame_index")
    folder = done.paths.frames("oolite")
    kept = index[index["kept"]]
    assert sorted(path.name for path in folder.glob("*.jpg")) == kept["file"].tolist()
    assert (index.loc[~index["kept"], "file"] == "").all()
    for frame in read_frames(done.raw("oolite"), kept.index[::8]):
        assert kept.loc[frame.index, "file"] == f"{frame.index:06d}.jpg"
        picture = cv2.imread(str(folder / f"{frame.index:06d}.jpg"), cv2.IMREAD_COLOR_RGB)
        assert picture is not None
        difference = np.abs(picture.astype(int) - frame.rgb())
        assert difference.mean() < 1.5
        red = (frame.rgb()[..., 0] > 60) & (frame.rgb()[..., 1:] < 20).all(axis=2)
        assert difference[red].mean() < 12, "thin red lines lose a tenth to the chroma of JPEG, no more"


def test_shots_stalls_and_numbers(done: Project) -> None:
    index = _index(done, "cut")
    assert index["shot"].tolist() == [0] * 5 + [1] * 3
    assert index["reason"].tolist() == ["", "", "", "stall", "stall", "", "", ""]
    about = _about(done, "cut")
    assert (about["width"], about["height"], about["frames"], about["codec"]) == (640, 360, 80, "h264")
    assert about["lost"] == {"frames": 0, "spans": [], "damaged": 0, "errors": []}


def test_what_flies_by_is_kept_beside_the_index(done: Project) -> None:
    for video in ("oolite", "cut"):
        index = _index(done, video)
        table = read_table(done.paths.fly_bys(video), FLY_BYS)
        assert set(table["frame_index"]) <= set(index.loc[index["kept"], "frame_index"])
    assert table.empty, "nothing in this scene is faster than its target"


def test_preview_tells_numbers_and_shows_frames(done: Project) -> None:
    preview = preview_of(done, "extracted_frames", "cut")
    assert preview.numbers == {
        "seconds": 4.0,
        "frames_sampled": 8,
        "frames_kept": 6,
        "dropped_stall": 2,
        "shots": 2,
        "frames_lost": 0,
    }
    assert preview.notes == []
    assert preview.picture is not None
    assert preview.picture.shape[1] > 1000


def _headless() -> bytes:
    return (SAMPLES / "oolite_red_sample.mp4").read_bytes()[40_000:90_000]


@pytest.mark.parametrize(
    ("content", "error"),
    [
        pytest.param(b"", "an empty file", id="zero bytes"),
        pytest.param(b"hello\n" * 300, "no video can be read", id="text"),
        pytest.param(_headless(), "no video can be read", id="without a header"),
    ],
)
def test_an_undecodable_file_ends_in_a_clear_result(tmp_path: Path, content: bytes, error: str) -> None:
    project = _project(tmp_path, bad=content)
    extracted_frames.run(project, "bad")
    assert _index(project, "bad").empty
    assert error in _about(project, "bad")["error"]
    assert str(tmp_path) not in _about(project, "bad")["error"], "outputs name no folders of this machine"
    preview = preview_of(project, "extracted_frames", "bad")
    assert preview.numbers["frames_kept"] == 0
    assert any("NO FRAME" in note and error in note for note in preview.notes)


def test_sound_alone_ends_in_a_clear_result(tmp_path: Path) -> None:
    write_sound(tmp_path / "sound.mp4")
    project = _project(tmp_path / "p", bad=(tmp_path / "sound.mp4").read_bytes())
    extracted_frames.run(project, "bad")
    assert "no video stream" in _about(project, "bad")["error"]


@pytest.mark.slow
def test_a_corrupt_middle_and_a_missing_end_are_recorded(tmp_path: Path) -> None:
    whole = bytearray((SAMPLES / "oolite_red_sample.mp4").read_bytes())
    middle, end = len(whole) // 2, len(whole) * 9 // 10
    whole[middle : middle + 60_000] = bytes(60_000)
    project = _project(tmp_path, broken=bytes(whole[:end]))
    extracted_frames.run(project, "broken")
    about, index = _about(project, "broken"), _index(project, "broken")
    spans = about["lost"]["spans"]
    assert spans[-1]["last"] == 583
    assert 10 < spans[0]["time_s"] < 20
    assert about["lost"]["frames"] == 584 - len(list(read_frames(project.raw("broken"))))
    assert set(index["reason"]) <= {"", "stall", "near-duplicate", "damaged"}
    assert index["kept"].sum() > 20
    written = sorted(path.name for path in project.paths.frames("broken").glob("*.jpg"))
    assert written == index.loc[index["kept"], "file"].tolist(), (
        "nothing is left of spans read before trouble"
    )
    notes = " ".join(preview_of(project, "extracted_frames", "broken").notes)
    assert f"{about['lost']['frames']} of 584 frames could not be decoded" in notes


def test_a_file_that_is_gone_is_an_error(tmp_path: Path) -> None:
    project = _project(tmp_path, a=b"")
    project.raw("a").unlink()
    with pytest.raises(InputError, match=r"a\.mp4: missing.*gotowce remove a"):
        extracted_frames.run(project, "a")
    (project.paths.raw / "a.mp4.dvc").touch()
    with pytest.raises(InputError, match=r"not pulled; run `dvc pull data/raw/a\.mp4\.dvc`"):
        extracted_frames.run(project, "a")


KILLED = """
import os, signal, sys
from pathlib import Path
from gotowce_dagster.config.project import Project
from gotowce_dagster.stages import extracted_frames

def progress(done, total):
    if done >= 300:
        os.kill(os.getpid(), signal.SIGKILL)

extracted_frames.run(Project.find(Path(sys.argv[1])), "a", progress)
"""


@pytest.mark.integration
@pytest.mark.parametrize("earlier", [False, True], ids=["first run", "over an earlier result"])
def test_a_killed_run_leaves_nothing_half_written(tmp_path: Path, earlier: bool) -> None:
    project = _project(tmp_path, a=(SAMPLES / "naev_hostile_sample.mp4").read_bytes())
    if earlier:
        extracted_frames.run(project, "a")
    folder = project.paths.frames("a")
    before = {path.name: path.read_bytes() for path in folder.glob("*")}
    killed = subprocess.run([sys.executable, "-c", KILLED, str(tmp_path)], check=False, cwd=ROOT)
    assert killed.returncode == -signal.SIGKILL
    assert folder.exists() == earlier
    assert {path.name: path.read_bytes() for path in folder.glob("*")} == before
    extracted_frames.run(project, "a")
    assert _index(project, "a")["frame_index"].tolist() == list(range(0, 540, 10))
    assert [path.name for path in folder.parent.iterdir()] == ["a"]


@pytest.mark.integration
def test_dvc_passes_over_what_a_killed_run_left(tmp_path: Path) -> None:
    def dvc(*arguments: str) -> str:
        command = [sys.executable, "-m", "dvc", *arguments]
        return subprocess.run(command, check=True, capture_output=True, text=True, cwd=tmp_path).stdout

    dvc("init", "--no-scm", "--quiet")
    (tmp_path / ".dvcignore").write_bytes((ROOT / ".dvcignore").read_bytes())
    frames = Paths(tmp_path).frames("a").parent
    with fresh_dir(frames / "a") as folder:
        (folder / "000000.jpg").write_bytes(b"whole")
    dvc(
        "stage",
        "add",
        "--name",
        "count",
        "--deps",
        str(frames.relative_to(tmp_path)),
        "--run",
        "echo counted",
    )
    leftover = frames / folder.parent.name / folder.name
    leftover.mkdir(parents=True)
    (leftover / "000000.jpg").write_bytes(b"half")
    assert json.loads(dvc("status", "--json")) == {}
    leftover.rename(frames / "b")
    assert "count" in json.loads(dvc("status", "--json")), "the same under a whole video's name counts"


def test_progress_counts_every_frame(tmp_path: Path) -> None:
    write_video(tmp_path / "a.mp4", [np.full((48, 64, 3), 5 * i, np.uint8) for i in range(30)])
    project = _project(tmp_path / "p", a=(tmp_path / "a.mp4").read_bytes())
    calls: list[tuple[int, int]] = []
    extracted_frames.run(project, "a", lambda done, total: calls.append((done, total)))
    assert calls == [(done, 30) for done in range(31)]
