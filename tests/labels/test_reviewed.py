"""Reviews take precedence over the pipeline's labels, from tables to the dataset."""

import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import yaml

from gotowce_dagster.config.paths import Paths
from gotowce_dagster.config.project import Project
from gotowce_dagster.core.boxes import BOX
from gotowce_dagster.core.errors import InputError
from gotowce_dagster.core.progress import silent
from gotowce_dagster.core.tables import FRAMES, LABELS, MASKS, PROVENANCE, read_table, write_table
from gotowce_dagster.labels.export import read_objects
from gotowce_dagster.labels.followed import KeyFrame, Track, TrackedVideo, TrackReview, write_tracked
from gotowce_dagster.labels.in_force import reviews_in_force
from gotowce_dagster.labels.reviewed import (
    NO_OBJECT,
    apply_reviews,
    current_reviews,
    current_video_reviews,
    decision_of,
    is_confirmed,
    is_usable,
    truth_from_reviews,
)
from gotowce_dagster.labels.reviews import Review, ReviewedObject, ReviewedVideo, frame_hash, write_reviewed
from gotowce_dagster.previews.table import preview_of
from gotowce_dagster.stages import yolo_dataset
from tests.review.frames import AT, change, label_row, review, reviewed, thing
from tests.worlds import HEIGHT, WIDTH, box_at, make_world

pytestmark = pytest.mark.slow

DRAWN = thing(100, 50, 130, 80, name="drone")


def _left(*objects: ReviewedObject, verdict: str = "fix", **more: Any) -> Review:
    """A review with these objects, and an edit if the verdict is `fix`."""
    edits = [change("added")] if verdict == "fix" else []
    return review(verdict=verdict, objects=objects, changes=edits, annotator=7, **more)


@pytest.mark.parametrize(
    ("verdict", "changes", "usable"),
    [
        ("accept", [], True),
        ("accept", [change("none")], True),
        ("fix", [change("none"), change("deleted")], True),
        ("fix", [change("none")], False),
        ("reject", [], False),
    ],
    ids=["accepted as empty", "accepted", "mended", "sent back unmended", "rejected"],
)
def test_is_usable(verdict: str, changes: list, usable: bool) -> None:
    assert is_usable(review(verdict=verdict, changes=changes)) == usable


def test_reviewed_objects_replace_labels() -> None:
    rows = [label_row(n, index, verdict="review") for index in (0, 10, 20, 30) for n in (0, 1)]
    labels = pd.DataFrame(rows, columns=LABELS.names)
    moved = thing(12, 20, 50, 60, name="drone", label=1)
    reviews = {
        0: reviewed(_left(moved, DRAWN, DRAWN), index=0),
        10: reviewed(_left(verdict="accept"), index=10),
        20: reviewed(_left(moved, verdict="reject"), index=20),
    }
    rows = apply_reviews(labels, reviews, "duel")
    assert list(rows.columns) == LABELS.names
    assert list(zip(rows["frame_index"], rows["detection_id"], strict=True)) == [
        (0, 1),
        (0, 2),
        (0, 3),
        (30, 0),
        (30, 1),
    ]
    first = rows.iloc[0]
    assert (first["class_name"], first["verdict"], first["x1"], first["rle"]) == (
        "drone",
        "accept",
        12,
        moved.rle,
    )
    assert first["object_id"] == "0/0"
    assert set(rows["video"]) == {"duel"}
    pd.testing.assert_frame_equal(
        rows[3:].reset_index(drop=True), labels[6:].reset_index(drop=True), check_dtype=False
    )


def test_without_reviews_labels_are_unchanged() -> None:
    labels = pd.DataFrame([label_row()], columns=LABELS.names)
    pd.testing.assert_frame_equal(apply_reviews(labels, {}, "duel"), labels)


def test_truth_from_reviews() -> None:
    reviews = {
        0: reviewed(_left(DRAWN, DRAWN), index=0),
        10: reviewed(_left(verdict="accept"), index=10),
        20: reviewed(_left(DRAWN, verdict="reject"), index=20),
    }
    truth = truth_from_reviews(reviews, "duel.mp4")
    assert list(zip(truth["frame_index"], truth["label"], strict=True)) == [
        (0, "object"),
        (0, "object"),
        (10, NO_OBJECT),
    ]
    assert truth.loc[0, BOX].tolist() == [100, 50, 130, 80]
    assert truth_from_reviews({}, "duel.mp4").empty


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Project:
    videos = {"a": ["hostile"] * 40 + [None] * 8}
    return make_world(tmp_path_factory.mktemp("made"), videos, verdicts={("a", 50): "review"})


@pytest.fixture
def world(made: Project, tmp_path: Path) -> Project:
    """A copy of it."""
    return Project(Paths(shutil.copytree(made.paths.root, tmp_path, dirs_exist_ok=True)))


def _review(world: Project, index: int, *reviews: Review, digest: str = "") -> None:
    """Add a frame to the reviews of video a."""
    file = world.paths.reviewed("a")
    picture = world.paths.frames("a") / f"{index:06d}.jpg"
    frame = reviewed(*reviews, index=index).model_copy(
        update={"frame_hash": digest or frame_hash(picture), "width": WIDTH, "height": HEIGHT}
    )
    known = ReviewedVideo.model_validate_json(file.read_text()).frames if file.exists() else ()
    write_reviewed(file, ReviewedVideo(video="a", frames=(*known, frame)))


def _dataset(world: Project) -> pd.DataFrame:
    yolo_dataset.run(world, silent)
    rows = read_table(world.paths.dataset / "provenance.parquet", PROVENANCE)
    return rows.set_index("frame_index")


def _objects(world: Project, image: str) -> list[tuple[str, list[float]]]:
    _, found = read_objects(world.paths.dataset, image)
    return [
        (str(name), np.round(box, 3).tolist())
        for name, box in zip(found.data["class_name"], found.xyxy, strict=True)
    ]


def test_the_dataset_has_reviewed_objects(world: Project) -> None:
    before = _dataset(world)
    assert not before["reviewed"].any()
    inside, other, *_ = before.query("split == 'train' and objects == 1").index
    kept = thing(*box_at(inside // 10), name="hostile", label=0)
    _review(world, inside, _left(kept, thing(2, 2, 12, 10, name="hostile")))
    _review(world, other, _left(verdict="reject"))
    _review(world, 50, _left(thing(*box_at(5), name="hostile", label=0), verdict="accept"))
    after = _dataset(world)
    assert bool(after.loc[inside, "reviewed"])
    assert after.loc[inside, "annotator"] == 7
    plain = pd.read_parquet(world.paths.dataset / "provenance.parquet")
    assert plain["annotator"].dtype == "Int64", "nobody's is null, and a number is whole"
    assert list(after.loc[inside, "detection_ids"]) == [0, 1]
    assert _objects(world, after.loc[inside, "image"]) == [
        ("hostile", box_at(inside // 10).tolist()),
        ("hostile", [2, 2, 12, 10]),
    ]
    assert other not in after.index
    assert 50 not in before.index
    left = pd.read_csv(world.paths.dataset / "left_out.csv").set_index("reason")["frames"]
    assert left["rejected"] == 1
    assert "doubtful" not in left.index
    assert preview_of(world, "yolo_dataset", None).numbers["reviewed_images"] == after["reviewed"].sum()


def test_a_frame_confirmed_as_empty_is_a_true_negative(world: Project) -> None:
    before = _dataset(world)
    wrong = before.query("split == 'train' and objects == 1").index[3]
    _review(world, wrong, _left(verdict="accept"))
    after = _dataset(world)
    assert after.loc[wrong, "objects"] == 0
    assert _objects(world, after.loc[wrong, "image"]) == []


def test_a_reviewed_frame_is_used_despite_lost_objects(world: Project) -> None:
    index = _dataset(world).query("split == 'train' and objects == 1").index[0]
    masks = read_table(world.paths.masks("a"), MASKS)
    masks.loc[masks["frame_index"] == index, "state"] = "lost"
    write_table(masks, MASKS, world.paths.masks("a"))
    assert index not in _dataset(world).index
    _review(world, index, _left(thing(*box_at(index // 10), name="hostile", label=0), verdict="accept"))
    assert index in _dataset(world).index


@pytest.mark.parametrize(
    ("ignored", "digest"),
    [
        (review(state="skipped", verdict=None), ""),
        (review(state="withdrawn", verdict="reject"), ""),
        (review(verdict="reject"), "another image"),
    ],
    ids=["skipped", "withdrawn", "of another image"],
)
def test_reviews_of_other_images_are_ignored(world: Project, ignored: Review, digest: str) -> None:
    before = _dataset(world)
    _review(world, 0, ignored, digest=digest)
    pd.testing.assert_frame_equal(_dataset(world), before)


def test_the_newest_verdict_decides(world: Project) -> None:
    early, late = "2026-01-01T00:00:00Z", "2026-02-01T00:00:00Z"
    _review(world, 10, _left(verdict="reject", at=early), _left(verdict="accept", name="2", at=late))
    (frame,) = reviews_in_force(world, "a").values()
    assert frame.decision is not None
    assert frame.decision.verdict == "accept"


def test_a_frame_that_is_no_longer_kept_is_ignored(world: Project) -> None:
    _review(world, 0, _left(verdict="reject"))
    index = read_table(world.paths.frame_index("a"), FRAMES)
    index.loc[0, ["kept", "file"]] = [False, ""]
    reviews = ReviewedVideo.model_validate_json(world.paths.reviewed("a").read_text())
    assert current_reviews(reviews, index, world.paths.frames("a")) == {}


def _track(*keys: tuple[int, tuple[float, ...], bool], name: str = "0/0", kind: str = "hostile") -> Track:
    frames = [KeyFrame.model_validate({"frame_index": i, "box": b, "goes_on": on}) for i, b, on in keys]
    return Track(object_id=name, class_name=kind, key_frames=tuple(frames))


def _followed(*tracks: Track, frames: int = 600, **changes: Any) -> TrackedVideo:
    """A video with these reviewed tracks."""
    fields = {"review_id": "v", "task": "2/1@t", "annotator": 9, "at": AT, "state": "done", "tracks": tracks}
    reviews = (TrackReview.model_validate(fields | changes),)
    return TrackedVideo(video="a", frames=frames, width=WIDTH, height=HEIGHT, fps=20, reviews=reviews)


def _kept(*indices: int, file: str = "") -> pd.DataFrame:
    return pd.DataFrame({"frame_index": indices, "kept": True, "file": file})


def test_a_reviewed_video_reviews_all_its_sampled_frames() -> None:
    """Frames within a track, between two tracks, at the end of the video, and beyond it."""
    labels = pd.DataFrame([label_row(0, 10)], columns=LABELS.names)
    moving = _track((0, (0, 0, 10, 10), True), (20, (20, 0, 30, 10), False), (40, (0, 0, 10, 10), True))
    reviews = current_video_reviews(
        _followed(moving, frames=51), _kept(10, 20, 21, 30, 40, 50, 51), labels, 1.0
    )
    boxes = {index: [thing.box for thing in decision_of(frame).objects] for index, frame in reviews.items()}
    assert boxes == {
        10: [(10, 0, 20, 10)],
        20: [(20, 0, 30, 10)],
        21: [],
        30: [],
        40: [(0, 0, 10, 10)],
        50: [(0, 0, 10, 10)],
    }
    assert all(is_usable(decision_of(frame)) for frame in reviews.values())
    judged = [decision_of(frame) for frame in reviews.values()]
    assert {(review.annotator, review.at.year) for review in judged} == {(9, 2026)}
    # Only the frame whose label was deleted, and those with boxes without a label, were corrected.
    assert [index for index, frame in reviews.items() if is_confirmed(frame)] == [10, 20, 40, 50]


@pytest.mark.parametrize("state", ["skipped", "withdrawn"])
def test_a_video_without_a_decision_has_no_reviews(state: str) -> None:
    assert (
        current_video_reviews(_followed(state=state), _kept(0), pd.DataFrame(columns=LABELS.names), 1.0) == {}
    )


@pytest.mark.parametrize(
    ("box", "kind", "verdict", "expected", "what"),
    [
        ((10.75, 20, 50.75, 60), "ship", "accept", (10.25, True, 3, ["none"]), "left where it was"),
        ((10.75, 20, 50.75, 60), "ship", "review", (10.25, False, 3, ["none"]), "its mask was in doubt"),
        ((10.75, 20, 50.75, 60), "tug", "accept", (10.25, True, 3, ["changed"]), "another class"),
        ((12, 20, 50.75, 60), "ship", "accept", (12, False, None, ["added", "deleted"]), "moved"),
        ((12, 20, 50.75, 60), "ship", "reject", (12, False, None, ["added"]), "there was nothing before"),
    ],
)
def test_an_unmoved_box_keeps_its_label(
    box: tuple, kind: str, verdict: str, expected: tuple, what: str
) -> None:
    labels = pd.DataFrame([label_row(3, verdict=verdict)], columns=LABELS.names)
    (frame,) = current_video_reviews(
        _followed(_track((0, box, False), kind=kind)), _kept(0), labels, 1.0
    ).values()
    review = decision_of(frame)
    (left,) = review.objects
    kinds = [change.kind for change in review.changes]
    assert (left.box[0], left.rle is not None, left.detection_id, kinds) == expected, what
    assert left.class_name == kind


def test_boxes_are_clipped_to_the_frame() -> None:
    outside = _track((0, (-5, -5, 10, 10), False)), _track((0, (WIDTH, 0, WIDTH + 9, 9), False), name="r")
    (frame,) = current_video_reviews(
        _followed(*outside), _kept(0), pd.DataFrame(columns=LABELS.names), 1.0
    ).values()
    assert [thing.box for thing in decision_of(frame).objects] == [(0, 0, 10, 10)]


def _follow(world: Project, *tracks: Track, **more: Any) -> None:
    write_tracked(world.paths.reviewed_tracks("a"), _followed(*tracks, **more))


def _still(first: int, last: int, **more: Any) -> Track:
    """An object at the centre of these sampled frames, where there is no label."""
    box = (70.0, 40.0, 84.0, 52.0)
    return _track((first, box, True), (last, box, False), name="drawn", **more)


def test_the_dataset_has_reviewed_tracks(world: Project) -> None:
    """Tracks take precedence over labels, and reviews of frames over tracks; other frames are empty."""
    before = _dataset(world)
    first, second, third = before.query("split == 'train' and objects == 1").index[:3]
    _follow(world, _still(0, 300), annotator=9)
    _review(world, first, _left(thing(2, 2, 12, 10, name="hostile")))
    _review(world, second, review(state="skipped", verdict=None))
    _review(world, third, _left(verdict="reject"))
    reviews = reviews_in_force(world, "a")
    assert len(reviews) == 48
    assert {index: decision_of(reviews[index]).annotator for index in (first, second)} == {
        first: 7,
        second: 9,
    }
    after = _dataset(world)
    assert after["reviewed"].all()
    assert _objects(world, after.loc[first, "image"]) == [("hostile", [2, 2, 12, 10])]
    assert _objects(world, after.loc[second, "image"]) == [("hostile", [70, 40, 84, 52])]
    assert third not in after.index
    assert (after.loc[[first, second], "annotator"].tolist()) == [7, 9]
    # Labelled frames without a reviewed object are empty now, and all of them stay.
    mended = after[(after.index > 300) & (after.index < 400)]
    assert len(mended)
    assert (mended["objects"] == 0).all()
    nothing = {index for index, frame in reviews.items() if not decision_of(frame).objects}
    assert nothing == {third, *range(310, 480, 10)}


def test_empty_frames_of_a_reviewed_video_keep_their_share(tmp_path: Path) -> None:
    """Hundreds of empty frames would outnumber the objects; those that lost a wrong label all stay."""
    world = make_world(tmp_path, {"a": ["hostile"] * 40 + [None] * 200}, yolo_dataset={"negative_share": 0.1})
    tracks = [_track((n * 10, tuple(box_at(n)), False), name=str(n)) for n in range(40)]
    write_tracked(world.paths.reviewed_tracks("a"), _followed(*tracks, frames=2400))
    after = _dataset(world)
    assert after["reviewed"].all()
    assert 0 < (after["objects"] == 0).sum() <= 5


def test_tracks_hold_when_a_video_is_sampled_again(tmp_path: Path) -> None:
    """With other sampled frames, reviews of single images are ignored, but tracks are still used."""
    world = make_world(tmp_path, {"a": ["hostile"] * 48})
    _follow(world, _still(0, 470))
    _review(world, 20, _left(verdict="reject"))
    assert decision_of(reviews_in_force(world, "a")[20]).verdict == "reject"
    index = read_table(world.paths.frame_index("a"), FRAMES)
    index["frame_index"] += 5
    index["file"] = [f"{number:06d}.jpg" for number in index["frame_index"]]
    for file in sorted(world.paths.frames("a").glob("*.jpg")):
        file.rename(file.with_name(f"{int(file.stem) + 5:06d}.jpg"))
    write_table(index, FRAMES, world.paths.frame_index("a"))
    reviews = reviews_in_force(world, "a")
    assert sorted(reviews) == list(range(5, 480, 10))
    assert decision_of(reviews[25]).objects[0].box == (70, 40, 84, 52)
    assert decision_of(reviews[475]).objects == ()


@pytest.mark.parametrize(
    ("tracks", "more", "classes", "words"),
    [
        ([_still(0, 300, kind="target")], {}, [], r"a.json: has the class target, but labels have hostile"),
        ([_still(0, 300)], {}, ["neutral"], r"has the class hostile, but labels have neutral"),
        ([_still(0, 300)], {"width": 99}, [], r"of a video of 99 x 96 pixels, but a has 160 x 96"),
    ],
    ids=["a class no label has", "a class that is not wanted", "another video's"],
)
def test_tracks_of_another_video_are_refused(
    world: Project, tracks: list[Track], more: dict, classes: list[str], words: str
) -> None:
    params = yaml.safe_load(world.paths.params.read_text())
    params["review"]["tasks"]["classes"] = classes
    world.paths.params.write_text(yaml.safe_dump(params))
    write_tracked(world.paths.reviewed_tracks("a"), _followed(*tracks).model_copy(update=more))
    with pytest.raises(InputError, match=words):
        yolo_dataset.run(Project(world.paths), silent)


def test_reviewed_tracks_are_ground_truth() -> None:
    reviews = current_video_reviews(
        _followed(_still(0, 5)), _kept(0, 10), pd.DataFrame([label_row()], columns=LABELS.names), 1.0
    )
    truth = truth_from_reviews(reviews, "a.mp4")
    assert truth[["frame_index", "label"]].values.tolist() == [[0, "object"], [10, NO_OBJECT]]
    assert truth.loc[0, "x1"] == 70
