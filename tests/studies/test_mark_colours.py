"""Colours of marks, on frames whose pixels are known."""

import tomllib

import numpy as np
import pandas as pd
import pytest

from gotowce_dagster.config.detector_settings import CHANNELS
from gotowce_dagster.core.boxes import BOX
from gotowce_dagster.designators.profile import Profile
from gotowce_dagster.studies.mark_colours import (
    ALL,
    Counts,
    count,
    movement,
    percentile_table,
    percentiles_of,
    threshold_table,
)
from gotowce_dagster.studies.mark_colours_report import conclusions, masked, report, threshold_of
from tests.support.small_project import PROFILE

RED, SKY = (210, 40, 40), (30, 60, 90)


def frame(red: tuple[int, int, int] = RED) -> np.ndarray:
    """A mark of 4 x 20 pixels in a box, in a plain sky."""
    image = np.full((60, 80, 3), SKY, np.uint8)
    image[20:24, 30:50] = red
    return image


def detections(name: str) -> pd.DataFrame:
    return pd.DataFrame([(30.0, 20.0, 50.0, 40.0, name)], columns=[*BOX, "prompt"])


@pytest.fixture
def profile() -> Profile:
    return Profile.model_validate(tomllib.loads(PROFILE))


def test_pixels_of_the_designator_and_of_what_is_around(profile: Profile) -> None:
    counts = count(frame(), detections("hostile"), profile, 1000)["hostile"]
    red = CHANNELS.index("red")
    assert counts.mark[red, 210] == counts.mark[red].sum() == 80
    assert counts.background[red, 30] == counts.background[red].sum() >= 1000
    # Found by a model: nothing says which pixels of its box are the mark's.
    (other,) = count(frame(), detections("a red box"), profile, 1000).values()
    assert other.mark[red].sum() == 22 * 22
    assert other.mark[red, 210] == 80


def test_percentiles_of_counted_values_are_those_of_the_values() -> None:
    values = np.random.default_rng(0).integers(0, 256, 999)
    counted = np.bincount(values, minlength=256)
    expected = np.percentile(values, [5, 50, 90], method="inverted_cdf")
    assert percentiles_of(counted, [5, 50, 90]) == expected.tolist()
    assert np.isnan(percentiles_of(np.zeros(256, int), [50])).all()


def test_a_threshold_that_moves_between_recordings(profile: Profile) -> None:
    groups = {
        ("game", "hostile", video): count(frame(red), detections("hostile"), profile, 1000)["hostile"]
        for video, red in (("a", (210, 40, 40)), ("b", (170, 40, 40)))
    }
    thresholds = threshold_table(groups)
    assert set(thresholds["video"]) == {ALL, "a", "b"}
    (move,) = movement(thresholds).to_dict("records")
    assert (move["channel"], move["side"], move["recordings"]) == ("red", "at_least", 2)
    assert (move["of_all"], move["lowest"], move["highest"]) == (100, 100, 120)
    percentiles = percentile_table(groups, [50, 90])
    of_red = percentiles[(percentiles["channel"] == "red") & (percentiles["of"] == "mark")]
    assert dict(zip(of_red["video"], of_red["p90"], strict=True)) == {ALL: 210, "a": 210, "b": 170}
    (sentence,) = conclusions(percentiles, thresholds, movement(thresholds))
    assert "hostile (game): red ≥ 100 keeps 100.0% of the mark and 0.00% of the background" in sentence
    assert "from 100 to 120" in sentence
    assert "the 90th percentile of red is 210" in sentence
    assert "threshold: {channel: red, at_least: 100}" in sentence
    assert threshold_of(thresholds.iloc[0]).at_least == 100


def test_what_does_not_pass_is_darkened() -> None:
    shown = masked(frame(), threshold_of(pd.Series({"channel": "red", "at_least": 100, "at_most": np.nan})))
    assert (shown[20:24, 30:50] == RED).all()
    assert (shown[:20] == (np.array(SKY) * 0.12).astype(np.uint8)).all()


def test_a_page_without_any_mark_says_so() -> None:
    thresholds = threshold_table({})
    page = report(percentile_table({}, [50]), thresholds, movement(thresholds), frame(), [])
    assert "No detection in any video" in page
    assert conclusions(percentile_table({}, [50]), thresholds, movement(thresholds)) == []
    assert (Counts(np.ones(2), np.ones(2)) + Counts(np.ones(2), np.zeros(2))).mark.tolist() == [2, 2]
