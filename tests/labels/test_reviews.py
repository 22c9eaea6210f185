from pathlib import Path

import pytest

from gotowce_dagster.errors import InputError
from gotowce_dagster.labels.reviews import ReviewedVideo, merged, read_reviewed, write_reviewed
from tests.review.frames import AT, change, review, reviewed, thing

_LATER = AT.replace("2026", "2027")


def _home(*reviews) -> ReviewedVideo:
    return ReviewedVideo(video="duel", frames=(reviewed(*reviews),))


def test_a_file_tells_what_was_written(tmp_path: Path) -> None:
    path = tmp_path / "reviewed" / "duel.json"
    known = _home(
        review(
            objects=(thing(1.123456789012345, 2, 3, 4),), changes=(change(moved_px=0.1),), quality=("blur",)
        )
    )
    assert read_reviewed(path) == ReviewedVideo(video="duel")
    write_reviewed(path, known)
    assert read_reviewed(path) == known
    before = path.read_bytes()
    write_reviewed(path, read_reviewed(path))
    assert path.read_bytes() == before


def test_a_damaged_file_is_named(tmp_path: Path) -> None:
    path = tmp_path / "duel.json"
    path.write_text('{"video": "duel", "frames": [{}]}')
    with pytest.raises(InputError, match=r"duel.json: not readable as reviews"):
        read_reviewed(path)


@pytest.mark.parametrize(
    ("seen_task", "seen", "states"),
    [
        ("1/1@t", [review("1")], {"1": "done"}),
        ("1/1@t", [review("1", verdict="reject")], {"1": "done"}),
        ("1/1@t", [review("2", at=_LATER)], {"1": "withdrawn", "2": "done"}),
        ("1/1@t", [], {"1": "withdrawn"}),
        ("2/9@u", [], {"1": "done"}),
        ("2/9@u", [review("7", task="2/9@u", at=_LATER)], {"1": "done", "7": "done"}),
    ],
    ids=[
        "seen again",
        "said otherwise",
        "deleted and said anew",
        "deleted in Label Studio",
        "another project, nothing said there",
        "another project, said there too",
    ],
)
def test_nothing_that_a_human_said_is_dropped(seen_task: str, seen: list, states: dict[str, str]) -> None:
    (frame,) = merged(_home(review("1")), [(seen_task, reviewed(*seen))]).frames
    assert {one.review_id: one.state for one in frame.reviews} == states


def test_frames_nobody_spoke_of_stay_and_empty_ones_are_not_written() -> None:
    known = _home(review())
    assert merged(known, [("1/2@t", reviewed(index=99))]) == known
    added = merged(known, [("1/2@t", reviewed(review("5", task="1/2@t"), index=10))])
    assert [frame.frame_index for frame in added.frames] == [10, 30]


def test_the_newest_judgement_decides() -> None:
    skipped = review("3", at=AT.replace("2026", "2028"), state="skipped", verdict=None)
    both = reviewed(review("1"), review("2", at=_LATER, verdict="reject"), skipped)
    assert both.decision is not None
    assert both.decision.review_id == "2"
    assert reviewed(skipped, review("4", state="withdrawn")).decision is None
