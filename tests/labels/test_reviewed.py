"""Whose word counts: what humans said against what the pipeline found, from tables to the dataset."""

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from gotowce_dagster.labels.export import read_objects
from gotowce_dagster.labels.reviewed import NO_OBJECT, is_usable, known_objects, precede, said_of
from gotowce_dagster.labels.reviews import Review, ReviewedObject, ReviewedVideo, frame_hash, write_reviewed
from gotowce_dagster.progress import silent
from gotowce_dagster.project import Project
from gotowce_dagster.stages import yolo_dataset
from gotowce_dagster.stages.yolo_dataset import reviews_in_force
from gotowce_dagster.tables import FRAMES, LABELS, MASKS, PROVENANCE, read_table, write_table
from tests.review.frames import change, label_row, review, reviewed, thing
from tests.worlds import HEIGHT, WIDTH, box_at, make_world

DRAWN = thing(100, 50, 130, 80, name="drone")


def _left(*objects: ReviewedObject, verdict: str = "fix", **more: Any) -> Review:
    """A review that leaves these objects, with an edit if its verdict says so."""
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


def test_objects_of_reviewers_stand_for_the_labels() -> None:
    rows = [label_row(n, index, verdict="review") for index in (0, 10, 20, 30) for n in (0, 1)]
    labels = pd.DataFrame(rows, columns=LABELS.names)
    moved = thing(12, 20, 50, 60, name="drone", label=1)
    said = {
        0: reviewed(_left(moved, DRAWN, DRAWN), index=0),
        10: reviewed(_left(verdict="accept"), index=10),
        20: reviewed(_left(moved, verdict="reject"), index=20),
    }
    rows = precede(labels, said, "duel")
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


def test_nobody_said_anything() -> None:
    labels = pd.DataFrame([label_row()], columns=LABELS.names)
    pd.testing.assert_frame_equal(precede(labels, {}, "duel"), labels)


def test_what_reviewers_know() -> None:
    said = {
        0: reviewed(_left(DRAWN, DRAWN), index=0),
        10: reviewed(_left(verdict="accept"), index=10),
        20: reviewed(_left(DRAWN, verdict="reject"), index=20),
    }
    truth = known_objects(said, "duel.mp4")
    assert list(zip(truth["frame_index"], truth["label"], strict=True)) == [
        (0, "object"),
        (0, "object"),
        (10, NO_OBJECT),
    ]
    assert truth.loc[0, ["x1", "y1", "x2", "y2"]].tolist() == [100, 50, 130, 80]
    assert known_objects({}, "duel.mp4").empty


@pytest.fixture
def world(tmp_path: Path) -> Project:
    return make_world(tmp_path, {"a": ["hostile"] * 40 + [None] * 8}, verdicts={("a", 50): "review"})


def _say(world: Project, index: int, *said: Review, digest: str = "") -> None:
    """Add a frame to the reviews of video a."""
    file = world.paths.reviewed("a")
    picture = world.paths.frames("a") / f"{index:06d}.jpg"
    frame = reviewed(*said, index=index).model_copy(
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


def test_the_dataset_has_what_reviewers_left(world: Project) -> None:
    before = _dataset(world)
    assert not before["reviewed"].any()
    inside, other, *_ = before.query("split == 'train' and objects == 1").index
    kept = thing(*box_at(inside // 10), name="hostile", label=0)
    _say(world, inside, _left(kept, thing(2, 2, 12, 10, name="hostile")))
    _say(world, other, _left(verdict="reject"))
    _say(world, 50, _left(thing(*box_at(5), name="hostile", label=0), verdict="accept"))
    after = _dataset(world)
    assert bool(after.loc[inside, "reviewed"])
    assert after.loc[inside, "annotator"] == 7
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
    assert yolo_dataset.preview(world).numbers["reviewed_images"] == after["reviewed"].sum()


def test_a_frame_confirmed_as_empty_is_a_true_negative(world: Project) -> None:
    before = _dataset(world)
    wrong = before.query("split == 'train' and objects == 1").index[3]
    _say(world, wrong, _left(verdict="accept"))
    after = _dataset(world)
    assert after.loc[wrong, "objects"] == 0
    assert _objects(world, after.loc[wrong, "image"]) == []


def test_a_reviewed_frame_vouches_for_what_was_lost(world: Project) -> None:
    index = _dataset(world).query("split == 'train' and objects == 1").index[0]
    masks = read_table(world.paths.masks("a"), MASKS)
    masks.loc[masks["frame_index"] == index, "state"] = "lost"
    write_table(masks, MASKS, world.paths.masks("a"))
    assert index not in _dataset(world).index
    _say(world, index, _left(thing(*box_at(index // 10), name="hostile", label=0), verdict="accept"))
    assert index in _dataset(world).index


@pytest.mark.parametrize(
    ("said", "digest"),
    [
        (review(state="skipped", verdict=None), ""),
        (review(state="withdrawn", verdict="reject"), ""),
        (review(verdict="reject"), "another picture"),
    ],
    ids=["skipped", "withdrawn", "of another picture"],
)
def test_what_is_no_judgement_of_this_picture_changes_nothing(
    world: Project, said: Review, digest: str
) -> None:
    before = _dataset(world)
    _say(world, 0, said, digest=digest)
    pd.testing.assert_frame_equal(_dataset(world), before)


def test_the_newest_judgement_decides(world: Project) -> None:
    early, late = "2026-01-01T00:00:00Z", "2026-02-01T00:00:00Z"
    _say(world, 10, _left(verdict="reject", at=early), _left(verdict="accept", name="2", at=late))
    (frame,) = reviews_in_force(world, "a").values()
    assert frame.decision is not None
    assert frame.decision.verdict == "accept"


def test_a_frame_that_is_no_longer_kept_is_passed_over(world: Project) -> None:
    _say(world, 0, _left(verdict="reject"))
    index = read_table(world.paths.frame_index("a"), FRAMES)
    index.loc[0, ["kept", "file"]] = [False, ""]
    reviews = ReviewedVideo.model_validate_json(world.paths.reviewed("a").read_text())
    assert said_of(reviews, index, world.paths.frames("a")) == {}
