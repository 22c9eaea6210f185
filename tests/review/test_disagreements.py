"""What a model sees otherwise than the labels, and how that changes the queue."""

import itertools
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import supervision as sv

from gotowce_dagster.config.params import ReviewTasksParams
from gotowce_dagster.core.tables import LABELS, read_table, write_table
from gotowce_dagster.evaluation.scoring import Case
from gotowce_dagster.labels.followed import TrackedVideo, TrackReview, write_tracked
from gotowce_dagster.labels.reviews import ReviewedVideo, frame_hash, write_reviewed
from gotowce_dagster.review.disagreements import disagreements, rank_frames
from gotowce_dagster.review.frames import frames_to_review
from gotowce_dagster.review.tasks import content_digest, task_data
from tests.review.frames import AT, review, reviewed, tasks_params
from tests.worlds import COLOURS, HEIGHT, WIDTH, make_world

_PARAMS = tasks_params().ranking
LABEL = (10.0, 10.0, 30.0, 30.0)


def _boxes(*rows: tuple[tuple[float, ...], str, float]) -> sv.Detections:
    return sv.Detections(
        np.array([box for box, _, _ in rows], float).reshape(-1, 4),
        confidence=np.array([confidence for *_, confidence in rows]),
        data={"class_name": np.array([name for _, name, _ in rows], str)},
    )


@pytest.mark.parametrize(
    ("found", "kinds", "severity"),
    [
        ([(LABEL, "ship", 0.9)], [], 0.0),
        ([], ["missed"], 1.0),
        ([(LABEL, "ship", 0.2)], ["missed"], 0.8),
        ([(LABEL, "ship", 0.9), ((50, 50, 60, 60), "ship", 0.7)], ["extra"], 0.7),
        ([(LABEL, "ship", 0.9), ((50, 50, 60, 60), "ship", 0.1)], [], 0.0),
        ([(LABEL, "drone", 0.9)], ["class"], 0.9),
        ([((10, 10, 30, 20), "ship", 0.9)], ["box"], 0.5),
        ([((10, 10, 30, 20), "drone", 0.4)], ["box", "class"], 0.5),
        ([((50, 50, 60, 60), "ship", 0.6)], ["missed", "extra"], 1.0),
    ],
    ids=[
        "agrees",
        "sees nothing",
        "hardly sees it",
        "sees one more",
        "hardly sees one more",
        "another class",
        "half the box",
        "half the box and another class",
        "elsewhere",
    ],
)
def test_each_kind(found: list, kinds: list[str], severity: float) -> None:
    case = Case("duel", 0, _boxes(*found), _boxes((LABEL, "ship", 1.0)))
    found = disagreements(case, _PARAMS)
    assert [one.kind for one in found] == kinds
    assert max((one.severity for one in found), default=0.0) == pytest.approx(severity)
    assert all(one.hint.startswith("The model") for one in found)


def _by_colour(blind_to: str = "") -> Callable[[np.ndarray], sv.Detections]:
    """A model that sees every square but those of one class."""

    def predict(image: np.ndarray) -> sv.Detections:
        for name, colour in COLOURS.items():
            y, x = np.nonzero(np.abs(image.astype(int) - colour).max(axis=2) < 60)
            if len(x) > 50 and name != blind_to:
                return _boxes(((x.min(), y.min(), x.max() + 1, y.max() + 1), name, 0.9))
        return _boxes()

    return predict


def _params(**ranking: object) -> ReviewTasksParams:
    defaults = tasks_params(audit_share=0.0, doubtful=3).model_dump()
    return tasks_params(**defaults | {"ranking": defaults["ranking"] | ranking})


def test_disagreements_come_first_and_say_why(tmp_path: Path) -> None:
    shown = ["hostile", "hostile", "neutral", "hostile", None, "hostile"]
    world = make_world(tmp_path, {"duel": shown})
    params = _params()
    ranking = rank_frames(world.paths, ["duel"], _by_colour("neutral"), params)
    assert len(ranking) == 6
    assert ranking["frame_index"][0] == 20
    assert ranking["kinds"].tolist() == [["missed"], [], [], [], [], []]
    frames = frames_to_review(world.paths, ["duel"], params, ranking)
    assert frames[0].frame_index == 20
    assert len(frames) == 3
    assert frames[0].order < min(frame.order for frame in frames[1:])
    assert "misses the neutral" in task_data(frames[0], params, {})["context"]
    (plain,) = (f for f in frames_to_review(world.paths, ["duel"], params) if f.frame_index == 0)
    (same,) = (f for f in frames if f.frame_index == 0)
    assert content_digest(plain, params, {}) == content_digest(same, params, {})


def test_a_frame_without_a_label_is_asked_about_and_is_never_an_audit(tmp_path: Path) -> None:
    world = make_world(tmp_path, {"duel": ["hostile", "hostile", "hostile"]})
    labels = world.paths.labels("duel")
    frame = read_table(labels, LABELS)
    write_table(frame[frame["frame_index"] != 10], LABELS, labels)
    params = _params().model_copy(update={"audit_share": 1.0})
    ranking = rank_frames(world.paths, ["duel"], _by_colour(), params)
    assert (ranking["frame_index"][0], ranking["kinds"][0]) == (10, ["extra"])
    frames = {f.frame_index: f for f in frames_to_review(world.paths, ["duel"], params, ranking)}
    assert {index: f.sample for index, f in frames.items()} == {0: "audit", 10: "doubtful", 20: "audit"}
    assert not frames[10].labels
    assert "No labels here" in task_data(frames[10], params, {})["context"]


def test_frames_that_a_human_judged_make_way(tmp_path: Path) -> None:
    world = make_world(tmp_path, {"duel": ["neutral"] * 5})
    picture = world.paths.frames("duel") / "000020.jpg"
    given = reviewed(review(), index=20).model_copy(update={"frame_hash": frame_hash(picture)})
    write_reviewed(world.paths.reviewed("duel"), ReviewedVideo(video="duel", frames=(given,)))
    ranking = rank_frames(world.paths, ["duel"], _by_colour("neutral"), _params())
    assert 20 not in set(ranking["frame_index"])
    frames = frames_to_review(world.paths, ["duel"], _params(), ranking)
    assert {f.frame_index for f in frames} <= {0, 10, 30, 40}
    assert len(frames) == 3


@pytest.mark.parametrize(("audit_share", "asked"), [(0.0, {30, 40}), (1.0, {0, 10, 20, 30, 40})])
def test_frames_seen_with_their_video_make_way_but_for_the_audit(
    tmp_path: Path, audit_share: float, asked: set[int]
) -> None:
    world = make_world(tmp_path, {"duel": ["neutral"] * 5})
    given = TrackReview.model_validate(
        {"review_id": "v", "task": "1/1@t", "annotator": 1, "at": AT, "state": "done"}
    )
    seen = TrackedVideo(video="duel", frames=30, width=WIDTH, height=HEIGHT, fps=20, reviews=(given,))
    write_tracked(world.paths.reviewed_tracks("duel"), seen)
    params = _params().model_copy(update={"audit_share": audit_share})
    ranking = rank_frames(world.paths, ["duel"], _by_colour("neutral"), params)
    assert set(ranking["frame_index"]) == {30, 40}
    frames = frames_to_review(world.paths, ["duel"], params, ranking)
    assert {frame.frame_index for frame in frames} == asked


def test_it_ends_in_time_and_after_enough(tmp_path: Path) -> None:
    world = make_world(tmp_path, {"duel": ["hostile"] * 6})
    ticks = itertools.count()
    steps: list[tuple[int, int]] = []
    found = rank_frames(
        world.paths,
        ["duel"],
        _by_colour(),
        _params(seconds=3),
        progress=lambda done, total: steps.append((done, total)),
        clock=lambda: next(ticks),
    )
    assert len(found) == 3
    assert steps == [(0, 6), (1, 6), (2, 6), (3, 6), (6, 6)]
    assert len(rank_frames(world.paths, ["duel"], _by_colour(), _params(frames=2))) == 2
