import pytest

from gotowce_dagster.labels.reviews import ReviewedVideo
from gotowce_dagster.review.measures import error_rate, is_wrong, summary
from tests.review.frames import change, review, reviewed
from tests.shipped import params

_PARAMS = params().review.audit


@pytest.mark.parametrize(
    ("verdict", "changes", "wrong"),
    [
        ("accept", [change("none")], False),
        ("accept", [change(moved_px=1.0, mask_iou=0.95)], False),
        ("accept", [change(moved_px=20.0)], True),
        ("fix", [change(mask_iou=0.3)], True),
        ("fix", [change(class_before="drone")], True),
        ("fix", [change("added")], True),
        ("fix", [change("none"), change("deleted")], True),
        ("fix", [change("none")], True),
        ("fix", [change(moved_px=1.0)], False),
        ("reject", [change("none")], True),
    ],
    ids=[
        "accepted",
        "accepted, retouched",
        "accepted, moved far",
        "mask painted anew",
        "renamed",
        "drawn",
        "deleted",
        "sent back unmended",
        "retouched",
        "rejected",
    ],
)
def test_what_counts_as_wrong(verdict: str, changes: list, wrong: bool) -> None:
    assert is_wrong(review(verdict=verdict, changes=tuple(changes)), _PARAMS) is wrong


def test_error_rate_of_the_audit_sample_has_a_wilson_interval() -> None:
    wrong = [reviewed(review(verdict="reject"), index=n) for n in range(3)]
    right = [reviewed(review(), index=n) for n in range(3, 30)]
    doubtful = [reviewed(review(verdict="reject"), index=n, sample="doubtful") for n in range(30, 90)]
    skipped = [reviewed(review(state="skipped", verdict=None), index=90)]
    found = error_rate(wrong + right + doubtful + skipped, _PARAMS)
    assert found is not None
    assert (found.frames, found.wrong, found.rate) == (30, 3, 0.1)
    # Wilson's interval of 3 in 30 at 95 %, as in Newcombe (1998).
    assert (found.low, found.high) == pytest.approx((0.0346, 0.2562), abs=5e-5)
    assert error_rate(doubtful + skipped, _PARAMS) is None


def test_summary() -> None:
    frames = (
        reviewed(review(verdict="fix", changes=(change(), change("added")), seconds=4.0), index=0),
        reviewed(review(seconds=2.0), index=10, sample="doubtful"),
        reviewed(review(state="skipped", verdict=None), index=20),
    )
    labelled = {("duel", index) for index in (0, 10, 20, 30)}
    numbers = summary([ReviewedVideo(video="duel", frames=frames)], labelled, _PARAMS)
    assert numbers["share_reviewed"] == 0.5
    assert numbers["edits_per_100_frames"] == 100
    assert numbers["median_seconds_a_frame"] == 3
    assert (numbers["frames_reviewed"], numbers["frames_skipped"], numbers["reviewers"]) == (2, 1, 1)
    assert (numbers["audit_frames"], numbers["error_rate"]) == (1, 1.0)


def test_summary_without_reviews_has_no_rates() -> None:
    numbers = summary([], set(), _PARAMS)
    assert not {"share_reviewed", "error_rate", "edits_per_100_frames"} & set(numbers)
