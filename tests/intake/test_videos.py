import errno
import os
import stat
from pathlib import Path

import av
import numpy as np
import pytest
import yaml
from PIL import Image

from gotowce_dagster.config.project import Project
from gotowce_dagster.core.errors import InputError, PartlyDoneError
from gotowce_dagster.core.truth import read_complete_truth, read_truth
from gotowce_dagster.intake import videos as intake
from gotowce_dagster.intake.dvc_repo import DvcRepo
from gotowce_dagster.intake.videos import keep_reviews
from gotowce_dagster.labels.reviews import ReviewedVideo, write_reviewed
from gotowce_dagster.previews.table import preview_of
from gotowce_dagster.stages import extracted_frames
from tests.review.frames import review, reviewed

pytestmark = pytest.mark.integration


def film(path: Path, shade: int = 90, kind: str = "mp4") -> Path:
    """A real video of ten grey frames."""
    with av.open(f"file:{path}", "w", format=kind) as container:
        stream = container.add_stream("libx264", rate=10)
        stream.width, stream.height, stream.pix_fmt = 64, 48, "yuv420p"
        for index in range(10):
            image = np.full((48, 64, 3), shade + index, np.uint8)
            container.mux(stream.encode(av.VideoFrame.from_ndarray(image, format="rgb24")))
        container.mux(stream.encode(None))
    return path


def videos_of(project: Project) -> dict:
    return yaml.safe_load(project.paths.videos.read_text(encoding="utf-8"))["videos"]


def profile(project: Project, name: str, *patterns: str) -> None:
    listed = ", ".join(f'"{pattern}"' for pattern in patterns)
    project.paths.profile(name).write_text(f'name = "{name}"\nvideos = [{listed}]\n', encoding="utf-8")


def test_added_video_is_named_copied_tracked_and_listed(clone: Project, tmp_path: Path) -> None:
    source = film(tmp_path / "Zażółć Gęślą (1).MP4")
    profile(clone, "poem", "zazolc*")
    assert intake.add(clone, source) == "zazolc_gesla_1"
    intake.sync(clone)
    raw = clone.paths.raw / "zazolc_gesla_1.mp4"
    assert raw.read_bytes() == source.read_bytes()
    assert not [name for name in DvcRepo(clone.paths.root).stale() if name.startswith("data/raw")]
    listed = {"file": "zazolc_gesla_1.mp4", "profile": "poem", "points": "none"}
    assert videos_of(clone) == {"zazolc_gesla_1": listed}
    assert set(yaml.safe_load(clone.paths.engines.read_text())) == {"masks", "propagation", "finetuned_model"}


def test_the_same_file_twice_is_one_video_and_another_of_the_same_name_is_two(
    clone: Project, tmp_path: Path
) -> None:
    first = film(tmp_path / "duel.mp4")
    (tmp_path / "other").mkdir()
    second = film(tmp_path / "other" / "duel.mp4", shade=30)
    assert [intake.add(clone, path) for path in (first, first, second, second)] == [
        "duel",
        "duel",
        "duel_2",
        "duel_2",
    ]


def test_link_leaves_the_file_to_its_owner(clone: Project, tmp_path: Path) -> None:
    source = film(tmp_path / "duel.mp4")
    source.chmod(0o644)
    intake.add(clone, source, link=True)
    raw = clone.paths.raw / "duel.mp4"
    assert raw.read_bytes() == source.read_bytes()
    state = source.stat()
    assert (stat.S_IMODE(state.st_mode), state.st_nlink) == (0o644, 1), "DVC's cache is read-only"
    assert not raw.samefile(source)


def test_no_video_is_refused_and_leaves_nothing(clone: Project, tmp_path: Path) -> None:
    text = tmp_path / "notes.mp4"
    text.write_text("no video at all")
    with pytest.raises(InputError, match=r"notes\.mp4"):
        intake.add(clone, text)
    assert [file.name for file in clone.paths.raw.iterdir()] == [".keep"]


def test_complete_truth_lies_beside_other_truth(clone: Project, tmp_path: Path) -> None:
    complete, truth = tmp_path / "complete.csv", tmp_path / "truth.csv"
    complete.write_text(
        "clip,frame_index,x1,y1,x2,y2,label,marked\nduel.mp4,2,1,1,9,9,ship,no\nother.mp4,2,1,1,9,9,ship,no\n"
    )
    truth.write_text("clip,frame_index,x1,y1,x2,y2,label\nduel.mp4,2,1,1,9,9,object\n")
    for file in (truth, complete):
        key = intake.add(clone, film(tmp_path / "duel.mp4"), truth=file)
    assert key == "duel"
    assert read_truth(clone.paths.truth("duel"))["label"].tolist() == ["object"]
    assert read_complete_truth(clone.paths.complete_truth("duel"))["marked"].tolist() == ["no"]


def test_further_truth_keeps_that_of_other_frames(clone: Project, tmp_path: Path) -> None:
    rows = {
        "first": "duel.mp4,2,1,1,9,9,ship,no\nduel.mp4,3,1,1,9,9,ship,no\n",
        "second": "duel.mp4,3,2,2,9,9,ship,yes\nduel.mp4,1,,,,,none,no\n",
    }
    for name, text in rows.items():
        (tmp_path / name).write_text(f"clip,frame_index,x1,y1,x2,y2,label,marked\n{text}")
    intake.add(clone, film(tmp_path / "duel.mp4"), truth=tmp_path / "first")
    intake.sync(clone)
    intake.add_truth(Project(clone.paths), "duel", tmp_path / "second")
    kept = read_complete_truth(clone.paths.complete_truth("duel"))
    assert kept[["frame_index", "x1", "marked"]].fillna(0).to_numpy().tolist() == [
        [1, 0, "no"],
        [2, 1, "no"],
        [3, 2, "yes"],
    ]


def test_a_profile_says_which_videos_are_negative(clone: Project, tmp_path: Path) -> None:
    for name in ("duel.mp4", "duel_menu.mp4"):
        # Equal files would be one video.
        intake.add(clone, film(tmp_path / name, shade=50 + 2 * len(name)))
    clone.paths.profile("mine").write_text(
        'name = "mine"\nvideos = ["duel*"]\nnegative = ["*_menu"]\ndesignators = []\n'
    )
    intake.sync(clone)
    videos = Project(clone.paths).videos
    assert {name: video.negative for name, video in videos.items()} == {"duel": False, "duel_menu": True}


def test_truth_of_the_clip_comes_along(clone: Project, tmp_path: Path) -> None:
    truth = tmp_path / "truth.csv"
    truth.write_text(
        "clip,frame_index,x1,y1,x2,y2,label\nduel.mp4,2,1,1,9,9,object\nother.mp4,2,1,1,9,9,object\n"
    )
    intake.add(clone, film(tmp_path / "duel.mp4"), truth=truth)
    assert clone.paths.truth("duel").read_text().splitlines()[1:] == ["duel.mp4,2,1.0,1.0,9.0,9.0,object"]
    with pytest.raises(InputError, match="no row has the clip stranger"):
        intake.add(clone, film(tmp_path / "stranger.mp4"), truth=truth)


def test_sync_takes_in_what_was_dropped_into_the_folder(clone: Project) -> None:
    film(clone.paths.raw / "Dropped In.mp4")
    (clone.paths.raw / "readme.txt").touch()
    intake.sync(clone)
    assert videos_of(clone) == {"dropped_in": {"file": "dropped_in.mp4", "profile": "none", "points": "none"}}
    clone.paths.points("dropped_in").write_text("frame_index,object_id,x,y,label\n")
    intake.sync(clone)
    assert videos_of(clone)["dropped_in"]["points"] == "dropped_in"
    assert DvcRepo(clone.paths.root).is_tracked(clone.paths.raw / "dropped_in.mp4")


def test_the_profile_made_for_one_video_beats_the_one_for_many(clone: Project) -> None:
    film(clone.paths.raw / "duel_1.mp4")
    film(clone.paths.raw / "duel_2.mp4")
    profile(clone, "many", "duel*")
    profile(clone, "one", "duel_2")
    intake.sync(clone)
    assert {key: video["profile"] for key, video in videos_of(clone).items()} == {
        "duel_1": "many",
        "duel_2": "one",
    }


def test_sync_without_news_writes_nothing(clone: Project) -> None:
    film(clone.paths.raw / "duel.mp4")
    intake.sync(clone)
    before = [path.stat().st_mtime_ns for path in (clone.paths.videos, clone.paths.engines)]
    intake.sync(Project(clone.paths))
    assert [path.stat().st_mtime_ns for path in (clone.paths.videos, clone.paths.engines)] == before


@pytest.mark.parametrize(
    ("arrange", "message"),
    [
        (
            lambda p: (film(p.paths.raw / "duel.mp4"), profile(p, "one", "due*"), profile(p, "two", "d*el")),
            "profiles one and two both match the video duel",
        ),
    ],
    ids=["two profiles for one video"],
)
def test_sync_refuses_what_is_ambiguous(clone: Project, arrange, message: str) -> None:
    arrange(clone)
    with pytest.raises(InputError, match=message):
        intake.sync(clone)


def test_an_ambiguous_video_does_not_stop_the_others(clone: Project) -> None:
    film(clone.paths.raw / "duel.mp4")
    film(clone.paths.raw / "other.mp4", shade=30)
    profile(clone, "one", "due*")
    profile(clone, "two", "d*el")
    (clone.paths.profiles / "broken.toml").write_text("name = ", encoding="utf-8")
    profile(clone, "three", "oth*")
    with pytest.raises(PartlyDoneError, match=r"broken\.toml: not valid TOML.*both match the video duel"):
        intake.sync(clone)
    assert {key: video["profile"] for key, video in videos_of(clone).items()} == {
        "duel": "none",
        "other": "three",
    }


@pytest.mark.parametrize("kind", ["mp4", "matroska"])
def test_a_recording_in_another_container_is_the_same_video(
    clone: Project, tmp_path: Path, kind: str
) -> None:
    assert intake.add(clone, film(tmp_path / "rec.mp4")) == "rec"
    assert intake.add(clone, film(tmp_path / "rec.mkv", kind=kind)) == "rec"
    assert intake.add(clone, film(tmp_path / "rec.mov", shade=30)) == "rec_2"
    assert sorted(file.name for file in clone.paths.raw.glob("*.m*v")) == ["rec_2.mov"]


@pytest.mark.parametrize(
    ("name", "kind", "key"),
    [
        ("anim.gif", "gif", "anim"),
        ("x.mts", "mpegts", "x"),
        ("x.m2ts", "mpegts", "x"),
        ("noext", "mp4", "noext"),
        ("duel:1.mp4", "mp4", "duel_1"),
        ("[win] boss.mp4", "mp4", "win_boss"),
        ("08.mp4", "mp4", "v_08"),
        ("v1.2", "mp4", "v1_2"),
        ("clip.dvc", "mp4", "clip_dvc"),
        ("x" * 240 + ".mp4", "mp4", "x" * 100),
        (os.fsdecode(b"\xff\xfe.mp4"), "mp4", "video"),
    ],
    ids=ascii,
)
def test_whatever_decodes_goes_through_add_sync_and_extraction(
    clone: Project, tmp_path: Path, name: str, kind: str, key: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    source = Path(name)
    if kind == "gif":
        pictures = [Image.new("L", (64, 48), 20 * number) for number in range(10)]
        pictures[0].save(source, save_all=True, append_images=pictures[1:], duration=100)
    else:
        film(source, kind=kind)
    assert intake.add(clone, source) == key
    assert intake.sync(clone) == []
    assert list(videos_of(clone)) == [key]
    fresh = Project(clone.paths)
    assert DvcRepo(clone.paths.root).is_tracked(fresh.raw(key))
    extracted_frames.run(fresh, key)
    numbers = preview_of(fresh, "extracted_frames", key).numbers
    assert (numbers["frames_sampled"], numbers["frames_lost"]) == (2, 0)


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (lambda p: p.paths.params.write_text("a: [", encoding="utf-8"), "params.yaml: not valid YAML"),
        (lambda p: (p.paths.root / "dvc.yaml").unlink(), "dvc.yaml: does not exist"),
        (lambda p: p.paths.engines.write_text("- a", encoding="utf-8"), "engines.yaml: expected a mapping"),
    ],
    ids=["params.yaml", "dvc.yaml", "engines.yaml"],
)
def test_an_invalid_project_is_refused_before_anything_is_copied(
    clone: Project, tmp_path: Path, spoil, message: str
) -> None:
    spoil(clone)
    with pytest.raises(InputError, match=message):
        intake.add(clone, film(tmp_path / "duel.mp4"))
    assert [file.name for file in clone.paths.raw.iterdir()] == [".keep"]


@pytest.mark.parametrize(
    "error", [OSError(errno.ENOSPC, "No space"), InputError("DVC: no"), KeyboardInterrupt()]
)
def test_what_cannot_be_tracked_leaves_nothing(
    clone: Project, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: BaseException
) -> None:
    def refuse(self: DvcRepo, path: Path) -> None:
        raise error

    truth = tmp_path / "truth.csv"
    truth.write_text("clip,frame_index,x1,y1,x2,y2,label\nduel.mp4,2,1,1,9,9,object\n")
    monkeypatch.setattr(DvcRepo, "track", refuse)
    with pytest.raises(type(error)):
        intake.add(clone, film(tmp_path / "duel.mp4"), truth=truth)
    assert [file.name for file in clone.paths.raw.iterdir()] == [".keep"]
    assert not clone.paths.truth("duel").exists()


def test_a_damaged_file_of_reviews_is_not_tracked_and_the_others_are(clone: Project) -> None:
    paths = clone.paths
    frame = reviewed(review())
    for video in ("broken", "duel"):
        write_reviewed(paths.reviewed(video), ReviewedVideo(video=video, frames=(frame,)))
    keep_reviews(paths)
    kept = paths.reviewed("broken").with_suffix(".json.dvc").read_text()
    paths.reviewed("broken").unlink()
    paths.reviewed("broken").write_text('{"video": "other"}')
    write_reviewed(paths.reviewed("last"), ReviewedVideo(video="last", frames=(frame,)))
    with pytest.raises(InputError, match=r"broken\.json: holds reviews of the video 'other'"):
        keep_reviews(paths)
    assert paths.reviewed("broken").with_suffix(".json.dvc").read_text() == kept
    assert paths.reviewed("last").with_suffix(".json.dvc").exists()
