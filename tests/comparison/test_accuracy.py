"""Boxes of 10 x 10 pixels moved sideways: IoU 0.818 for 1 pixel, 0.667 for 2, 0.538 for 3, 0.429 for 4."""

import numpy as np
import pytest
import supervision as sv
from supervision.metrics import MeanAveragePrecision

from gotowce_dagster.comparison.accuracy import (
    MEASURES,
    Bootstrap,
    Tally,
    agreement,
    best_threshold,
    differences,
    with_intervals,
)
from gotowce_dagster.evaluation.scoring import Case, scores

DRAW = Bootstrap(400, 0.95, 1)


def boxes(*left: float, confidence: list[float] | None = None) -> sv.Detections:
    xyxy = np.array([[x, 0, x + 10, 10] for x in left], float).reshape(-1, 4)
    return sv.Detections(xyxy, confidence=None if confidence is None else np.array(confidence))


def case(number: int, found: sv.Detections, truth: sv.Detections, *ignored: float) -> Case:
    return Case("v", number, found, truth, boxes(*ignored).xyxy)


MIXED = [
    case(0, boxes(0, confidence=[0.9]), boxes(1)),
    case(1, boxes(0, 50, confidence=[0.8, 0.3]), boxes(2)),
    case(2, boxes(confidence=[]), boxes(0)),
    case(3, boxes(70, confidence=[0.2]), boxes(), 70),
]


@pytest.mark.parametrize(
    ("measure", "value"),
    [
        ("precision_50", 2 / 3),
        ("recall_50", 2 / 3),
        ("f1_50", 2 / 3),
        ("precision_75", 1 / 3),
        ("recall_75", 1 / 3),
        ("f1_75", 1 / 3),
        ("mean_iou", (9 / 11 + 8 / 12) / 2),
        ("ap_50", 2 / 3),
        ("ap_75", 1 / 3),
    ],
)
def test_scores_by_hand(measure: str, value: float) -> None:
    assert Tally.of(MIXED).scores()[measure] == pytest.approx([value])


def _random_cases(seed: int) -> list[Case]:
    """Some truth hit closely, some missed, some false alarms; far apart, so there is one way to pair."""
    rng = np.random.default_rng(seed)
    cases = []
    for number in range(30):
        truth = 100.0 * np.arange(rng.integers(0, 4))
        hit = truth[rng.random(len(truth)) < 0.7] + rng.choice([0, 1, 2], 1)
        found = [*hit, *(1000 + 100.0 * np.arange(rng.integers(0, 3)))]
        cases.append(case(number, boxes(*found, confidence=rng.random(len(found)).tolist()), boxes(*truth)))
    return cases


@pytest.mark.parametrize("seed", range(4))
def test_scores_are_those_of_scoring_and_average_precision_that_of_supervision(seed: int) -> None:
    cases = _random_cases(seed)
    ours, theirs = Tally.of(cases).scores(), scores(cases)
    for measure in set(MEASURES) - {"ap_50", "ap_75"}:
        assert ours[measure] == pytest.approx([theirs[measure]])
    metric = MeanAveragePrecision()
    for one in cases:
        for part in (one.found, one.truth):
            part.class_id = np.zeros(len(part), int)
        metric.update(one.found, one.truth)
    # Theirs is read at 101 points, ours is the whole area.
    assert ours["ap_50"] == pytest.approx([metric.compute().map50], abs=0.012)


def test_drawing_every_frame_twice_changes_nothing() -> None:
    tally = Tally.of(MIXED)
    once, twice = tally.scores(), tally.scores(np.full((1, 4), 2))
    assert all(once[name] == pytest.approx(twice[name]) for name in MEASURES)


def test_drawing_one_frame_gives_its_own_scores() -> None:
    drawn = Tally.of(MIXED).scores(np.array([[0, 5, 0, 0], [0, 0, 3, 0], [0, 0, 0, 2]]))
    assert drawn["precision_50"] == pytest.approx([0.5, np.nan, np.nan], nan_ok=True)
    assert drawn["recall_50"] == pytest.approx([1, 0, np.nan], nan_ok=True)
    assert drawn["ap_50"] == pytest.approx([1, 0, np.nan], nan_ok=True)


@pytest.mark.slow
@pytest.mark.parametrize("recall", [0.3, 0.7])
def test_intervals_cover_the_known_value(recall: float) -> None:
    """95 % intervals of 200 worlds with a known recall: at least 90 % of them hold it, and not all."""
    covered = 0
    for seed in range(200):
        hits = np.random.default_rng(seed).random(60) < recall
        cases = [case(n, boxes(*([0] if hit else [])), boxes(0)) for n, hit in enumerate(hits)]
        result = with_intervals(Tally.of(cases), DRAW)
        covered += result["recall_50_low"] <= recall <= result["recall_50_high"]
    assert 180 <= covered <= 199


def test_intervals_are_repeatable_and_around_the_value() -> None:
    tally = Tally.of(_random_cases(5))
    result = with_intervals(tally, DRAW)
    assert result == with_intervals(tally, DRAW)
    for name in MEASURES:
        assert result[f"{name}_low"] < result[name] < result[f"{name}_high"]


@pytest.mark.parametrize(("frames", "truths"), [(1, 1), (0, 0)], ids=["one frame", "none"])
def test_too_little_for_an_interval(frames: int, truths: int) -> None:
    result = with_intervals(Tally.of([case(n, boxes(0), boxes(0)) for n in range(frames)]), DRAW)
    assert np.isnan(result["f1_50_low"])
    assert result["f1_50"] == pytest.approx(1 if truths else np.nan, nan_ok=True)


@pytest.mark.parametrize(
    ("found", "confidence", "expected"),
    [
        ([0, 50], [0.9, 0.4], (0.9, 1.0)),
        ([50, 0], [0.9, 0.4], (0.4, 2 / 3)),
        ([0, 50], [0.4, 0.4], (0.4, 2 / 3)),
        ([], [], (np.nan, np.nan)),
    ],
    ids=["the surer is right", "the surer is wrong", "of one confidence", "nothing found"],
)
def test_best_threshold(found: list[float], confidence: list[float], expected: tuple[float, float]) -> None:
    result = best_threshold([case(0, boxes(*found, confidence=confidence), boxes(0))])
    assert result == pytest.approx(expected, nan_ok=True)


def test_differences_are_paired() -> None:
    """Each misses what the other misses, but one frame: apart their intervals overlap, paired they differ."""
    rng = np.random.default_rng(0)
    hard = rng.random(80) < 0.5
    better = [case(n, boxes(*([] if bad and n % 4 else [0])), boxes(0)) for n, bad in enumerate(hard)]
    worse = [case(n, boxes(*([] if bad else [0])), boxes(0)) for n, bad in enumerate(hard)]
    tallies = {"better": Tally.of(better), "worse": Tally.of(worse)}
    apart = {name: with_intervals(tally, DRAW) for name, tally in tallies.items()}
    assert apart["better"]["f1_50_low"] < apart["worse"]["f1_50_high"]
    (row,) = differences(tallies, DRAW).to_dict("records")
    assert (row["first"], row["second"], row["frames"]) == ("better", "worse", 80)
    assert row["difference"] == pytest.approx(apart["better"]["f1_50"] - apart["worse"]["f1_50"])
    assert 0 < row["low"] < row["difference"] < row["high"]
    assert row["first_better"] == 1


def test_differences_are_over_the_frames_that_both_saw() -> None:
    a = Tally.of([case(n, boxes(0), boxes(0)) for n in range(6)])
    b = Tally.of([case(n, boxes(*([0] if n < 8 else [])), boxes(0)) for n in range(4, 12)])
    (row,) = differences({"a": a, "b": b}, DRAW).to_dict("records")
    assert (row["frames"], row["difference"], row["first_better"]) == (2, 0, 0.5)
    assert differences({"a": a, "b": Tally.of([])}, DRAW).empty


def test_agreement() -> None:
    frames = [("v", 0), ("v", 1)]
    a = dict(zip(frames, [boxes(0, 50).xyxy, boxes().xyxy], strict=True))
    b = dict(zip(frames, [boxes(2).xyxy, boxes(30).xyxy], strict=True))
    nothing = dict.fromkeys(frames, boxes().xyxy)
    matrix = agreement({"a": a, "b": b, "nothing": nothing})
    assert matrix.loc["a", "a"] == 1
    assert matrix.loc["a", "b"] == matrix.loc["b", "a"] == 2 * 1 / 4
    assert matrix.loc["a", "nothing"] == 0
    assert np.isnan(matrix.loc["nothing", "nothing"])
