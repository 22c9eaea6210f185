"""Thresholds of one channel, on pixels whose best threshold is known."""

import cv2
import numpy as np
import pytest

from gotowce_dagster.config.detector_settings import CHANNELS, Threshold
from gotowce_dagster.core.colour import Colour
from gotowce_dagster.designators.thresholds import (
    automatic,
    channels_of,
    histograms,
    passing,
    separations,
    thresholded,
)


def greys(*levels: int) -> np.ndarray:
    return np.repeat(np.array(levels, np.uint8)[:, None], 3, axis=1)


def test_channels_are_those_of_opencv() -> None:
    image = np.random.default_rng(0).integers(0, 256, (5, 7, 3), np.uint8)
    spaces = (image, cv2.cvtColor(image, cv2.COLOR_RGB2HSV), cv2.cvtColor(image, cv2.COLOR_RGB2YCrCb))
    assert (channels_of(image) == np.concatenate(spaces, axis=2)).all()


def test_the_best_threshold_of_a_channel() -> None:
    mark, rest = histograms(greys(200, 210, 220, 90)), histograms(greys(10, 20, 100, 205))
    best = {one.threshold.channel: one for one in separations(mark, rest)}
    assert set(best) == set(CHANNELS)
    assert best["red"].threshold == Threshold(channel="red", at_least=55), "the middle of the first gap"
    assert (best["red"].mark_kept, best["red"].background_kept) == (1, 0.5)
    assert best["saturation"].score == 0  # greys have none

    darker = {one.threshold.channel: one for one in separations(rest, mark)}["red"]
    assert darker.threshold == Threshold(channel="red", at_most=54)
    assert (darker.mark_kept, darker.background_kept) == (0.5, 0)
    assert separations(mark, np.zeros_like(rest)) == []


def test_the_threshold_that_is_found_separates_as_it_says() -> None:
    random = np.random.default_rng(1)
    mark = np.clip(random.normal([200, 60, 60], 25, (400, 3)), 0, 255).astype(np.uint8)
    rest = np.clip(random.normal([90, 80, 100], 40, (4000, 3)), 0, 255).astype(np.uint8)
    for found in separations(histograms(mark), histograms(rest)):
        kept = [passing(pixels[None], found.threshold).mean() for pixels in (mark, rest)]
        assert kept == pytest.approx([found.mark_kept, found.background_kept])
        # No other level of this side is better.
        side = "at_least" if found.threshold.at_least is not None else "at_most"
        for level in range(0, 256, 5):
            other = Threshold.model_validate({"channel": found.threshold.channel, side: level})
            scores = [passing(pixels[None], other).mean() for pixels in (mark, rest)]
            assert scores[0] - scores[1] <= found.score + 1e-9


def test_the_threshold_of_one_frame() -> None:
    image = np.full((40, 60, 3), (40, 70, 90), np.uint8)
    image[10:14, 10:30] = (220, 30, 30)
    y, cr, cb = cv2.cvtColor(image[10:11, 10:11], cv2.COLOR_RGB2YCrCb)[0, 0].tolist()
    colours = [Colour(ycrcb=(y, cr, cb), tolerance=(10, 10, 10))]
    threshold = automatic(image, colours)
    assert threshold is not None
    seen = thresholded(image, threshold)
    assert (seen[10:14, 10:30] == (220, 30, 30)).all()
    assert seen.any(axis=2).sum() == 80
    assert automatic(image[20:], colours) is None
    assert automatic(image, []) is None
