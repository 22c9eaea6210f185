from typing import Any

import pytest

from gotowce_dagster.labels.reviews import Review
from gotowce_dagster.review.tasks import Neighbour, prediction, read_task, task_data
from tests.review.frames import AT, frame, label_row, tasks_params

_WHY = {"steady": "it <jumps> & flickers"}


def _data(shown: Any = None, **changes: object) -> dict[str, Any]:
    return task_data(shown or frame(), tasks_params(**changes), _WHY)


def _task(annotations: list[dict], **changes: object) -> dict[str, Any]:
    shown = frame()
    return {
        "id": 5,
        "project": 2,
        "created_at": AT,
        "data": _data(shown),
        "predictions": [{"id": 9, **prediction(shown, tasks_params())}],
        "annotations": annotations,
    } | changes


def _annotation(result: list[dict], verdict: str | None = "accept", **changes: object) -> dict[str, Any]:
    choices = [
        {"id": "c", "from_name": "verdict", "to_name": "image", "type": "choices", "value": {"choices": [v]}}
        for v in [verdict]
        if v
    ]
    return {
        "id": 11,
        "created_at": AT,
        "updated_at": AT,
        "completed_by": 3,
        "lead_time": 2.5,
        "was_cancelled": False,
        "parent_prediction": 9,
        "result": result + choices,
    } | changes


def _review(task: dict[str, Any]) -> Review:
    seen = read_task(task)
    assert seen is not None
    assert not seen.problems
    return seen.frame.reviews[-1]


def test_the_digest_changes_only_with_shown_content() -> None:
    same = _data()["content"]
    assert _data()["content"] == same
    others = [
        _data(frame(label_row(x1=10.26))),
        _data(frame(label_row(quality=0.7))),
        _data(frame(label_row(rle=None))),
        _data(frame(neighbours=[])),
        _data(masks="polygon"),
    ]
    assert len({same, *(other["content"] for other in others)}) == 6


def test_names_are_quoted_in_urls_and_escaped_in_html() -> None:
    neighbour = Neighbour(frame().file.with_name('ä "b"&c.jpg'), 0.5)
    rows = frame(label_row(class_name="<b>x", reasons=["steady"]), neighbours=[neighbour], video="łódź")
    context = _data(rows)["context"]
    assert "d=frames/duel/%C3%A4%20%22b%22%26c.jpg" in context
    assert "&lt;b&gt;x" in context
    assert "it &lt;jumps&gt; &amp; flickers" in context
    assert _data(rows)["uid"] == "łódź/30/0123456789abcdef"


def test_audit_frames_have_no_hints() -> None:
    label = label_row(reasons=["steady"])
    assert "flickers" in _data(frame(label))["context"]
    assert "flickers" not in _data(frame(label, sample="audit"))["context"]


def test_accepted_without_changes() -> None:
    task = _task([])
    review = _review(task | {"annotations": [_annotation(task["predictions"][0]["result"])]})
    assert (review.verdict, review.state, review.annotator, review.seconds) == ("accept", "done", 3, 2.5)
    assert [change.kind for change in review.changes] == ["none"]
    assert review.objects[0].box == pytest.approx((10.25, 20.5, 50.75, 60.125), abs=1e-9)
    assert review.objects[0].rle == label_row()["rle"]


@pytest.mark.parametrize("parent", [9, None, 8], ids=["its own", "none", "deleted since"])
def test_changes_are_relative_to_the_parent_prediction(parent: int | None) -> None:
    review = _review(_task([_annotation([], "fix", parent_prediction=parent)]))
    assert [change.kind for change in review.changes] == ["deleted"]


def test_skipped_stays_skipped() -> None:
    review = _review(_task([_annotation([], None, was_cancelled=True)]))
    assert (review.state, review.verdict, review.objects) == ("skipped", None, ())


def test_two_reviewers_are_both_kept_the_newest_last() -> None:
    first = _annotation([], "reject", completed_by={"id": 4}, updated_at=AT.replace("2026", "2027"))
    seen = read_task(_task([first, _annotation([], "accept", id=12)]))
    assert seen is not None
    assert [(r.annotator, r.verdict) for r in seen.frame.reviews] == [(3, "accept"), (4, "reject")]
    assert seen.frame.decision == seen.frame.reviews[-1]


@pytest.mark.parametrize(
    ("annotation", "message"),
    [
        (_annotation([], "maybe"), "the verdict is maybe"),
        (_annotation([], updated_at="yesterday"), "annotation 11"),
        (
            _annotation(
                [{"id": "m", "type": "bitmasklabels", "value": {"bitmasklabels": ["s"], "imageDataURL": "x"}}]
            ),
            "annotation 11",
        ),
    ],
    ids=["unknown verdict", "no time", "no picture"],
)
def test_an_unreadable_annotation_is_reported_and_others_are_read(annotation: dict, message: str) -> None:
    seen = read_task(_task([annotation, _annotation([], id=12)]))
    assert seen is not None
    assert [review.review_id for review in seen.frame.reviews] == [f"12@{AT}"]
    assert len(seen.problems) == 1
    assert message in seen.problems[0]


@pytest.mark.parametrize(
    "data",
    [{}, {"uid": "nonsense", "sample": "all"}],
    ids=["somebody's own", "no uid of ours"],
)
def test_other_tasks_are_ignored(data: dict) -> None:
    assert read_task(_task([], data=data | {"width": 1, "height": 1})) is None


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"uid": "../../x/1/h"}, "is a path"),
        ({"uid": ".hidden/1/h"}, "begins with a dot"),
        ({"uid": f"duel/{10**30}/h"}, "frame_index: expected"),
        ({"width": 0}, "width: expected at least 1"),
        ({"height": None}, "height: expected a whole number, got nothing"),
        ({"width": 10**9}, "width: expected at most 65536"),
    ],
    ids=["a way out of the folder", "hidden", "a frame beyond tables", "no width", "no height", "too wide"],
)
def test_invalid_task_data_is_refused_by_name(changed: dict, message: str) -> None:
    task = _task([])
    with pytest.raises(ValueError, match=rf"task 5.*{message}"):
        read_task({**task, "data": task["data"] | changed})
