from typing import Any

import numpy as np
import pandas as pd
import pytest

from gotowce_dagster.core.tables import LABELS, empty
from gotowce_dagster.review.choose import choose, doubts
from tests.review.frames import label_row, tasks_params

_SURE = {"agreement": 1.0, "steady": 1.0}


def _labels(count: int = 400, seed: int = 0) -> pd.DataFrame:
    rng = np.random.default_rng(seed)
    return pd.DataFrame(
        [
            label_row(frame_index=10 * n, quality=float(q), scores=_SURE)
            for n, q in enumerate(rng.random(count))
        ]
    )


def test_the_most_doubtful_come_first() -> None:
    rows = choose(_labels(), tasks_params(doubtful=50, audit_share=0.0))
    assert len(rows) == 50
    assert set(rows["sample"]) == {"doubtful"}
    quality = _labels().set_index("frame_index")["quality"]
    assert set(rows["frame_index"]) == set(quality.nsmallest(50).index)
    assert rows.sort_values("order")["frame_index"].tolist() == quality.nsmallest(50).index.tolist()


@pytest.mark.parametrize(
    ("change", "part"),
    [
        ({"verdict": "review"}, "verdict"),
        ({"quality": 0.0}, "quality"),
        ({"scores": {"agreement": 0.0}}, "disagreement"),
        ({"scores": {"steady": 0.0, "usual_size": 1.0}}, "temporal"),
    ],
    ids=["verdict", "quality", "disagreement", "temporal outlier"],
)
def test_each_component_of_doubt_counts_by_its_weight(change: dict, part: str) -> None:
    sure: dict[str, Any] = {"quality": 1.0, "scores": _SURE}
    labels = pd.DataFrame([label_row(0, **sure), label_row(1, **(sure | change))])
    weights = {"verdict": 0.0, "quality": 0.0, "disagreement": 0.0, "temporal": 0.0}
    for other in weights:
        found = doubts(labels, tasks_params(doubt=weights | {other: 2.0}))["doubt"]
        assert found.tolist() == [1.0 if other == part else 0.0]


def test_the_audit_sample_does_not_depend_on_doubt() -> None:
    params = tasks_params(audit_share=0.2, doubtful=30)
    labels = _labels()
    audit = choose(labels, params).query("sample == 'audit'").set_index("frame_index")["order"]
    otherwise = choose(labels.assign(quality=1 - labels["quality"], verdict="review"), params)
    pd.testing.assert_series_equal(
        audit, otherwise.query("sample == 'audit'").set_index("frame_index")["order"]
    )
    assert 50 <= len(audit) <= 110
    assert audit.between(0, 1).all()
    assert abs(np.corrcoef(audit, labels.set_index("frame_index")["quality"][audit.index])[0, 1]) < 0.35


def test_a_sampled_frame_stays_sampled_when_videos_are_added() -> None:
    params = tasks_params(audit_share=0.2, doubtful=0)
    before = choose(_labels(), params)
    more = pd.concat([_labels(seed=5).assign(video="another"), _labels()], ignore_index=True)
    after = choose(more, params).query("video == 'duel'")
    assert after["frame_index"].tolist() == before["frame_index"].tolist()
    assert choose(_labels(), tasks_params(audit_share=0.2, doubtful=0, seed=2))["frame_index"].tolist() != (
        before["frame_index"].tolist()
    )


def test_all_frames_with_shown_labels() -> None:
    labels = _labels(20).assign(verdict=["reject"] * 5 + ["accept"] * 15)
    rows = choose(labels, tasks_params(select="all", audit_share=0.1))
    assert rows["frame_index"].tolist() == [10 * n for n in range(5, 20)]
    assert set(rows["sample"]) <= {"all", "audit"}


def test_no_labels_no_frames() -> None:
    assert choose(empty(LABELS), tasks_params()).empty


def test_frames_asked_for_come_first_and_the_others_follow_by_their_doubt() -> None:
    """Also those of the very greatest doubt, though the asked ones were not as doubtful."""
    qualities = {0: 0.05, 10: 0.0, 20: 0.4, 30: 0.9, 40: 1.0}
    doubt = {"verdict": 0.0, "quality": 1.0, "disagreement": 0.0, "temporal": 0.0}
    labels = pd.DataFrame(
        [label_row(frame_index=n, quality=q, scores=_SURE) for n, q in reversed(qualities.items())]
    )
    ranking = pd.DataFrame(
        {"video": "duel", "frame_index": [30, 50, 20, 40], "severity": [0.6, 0.9, 0.0, 0.7]}
    )
    rows = choose(labels, tasks_params(audit_share=0.0, doubt=doubt), ranking)
    assert rows.sort_values("order")["frame_index"].tolist() == [50, 40, 30, 10, 0, 20]
    assert rows["order"].between(0, 1).all()
    few = choose(labels, tasks_params(audit_share=0.0, doubt=doubt, doubtful=4), ranking)
    assert few.sort_values("order")["frame_index"].tolist() == [50, 40, 30, 10], "none is sent in its place"
