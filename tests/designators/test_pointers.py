"""Pointers on a circle: learned from pieces that fill the box, distinguished from letters and each other."""

import cv2
import numpy as np
import pytest

from gotowce_dagster.core.colour import Colour
from gotowce_dagster.designators.base import Draft, Scene
from gotowce_dagster.designators.pointers import find_pointers
from gotowce_dagster.designators.profile import RadialLook
from gotowce_dagster.designators.radial import Radial

COLOUR = Colour(ycrcb=(128, 128, 128), tolerance=(9, 9, 9))


def drawn(count: int, radius: float, phase: float, text: str = "") -> tuple[np.ndarray, np.ndarray]:
    """A mask with one mark of triangles around (160, 120), and the mark's box."""
    mask = np.zeros((240, 320), np.uint8)
    for angle in phase + 2 * np.pi * np.arange(count) / count:
        out = np.array([np.cos(angle), np.sin(angle)])
        base, tip, across = (radius + 6) * out, (radius - 6) * out, 4 * np.array([-out[1], out[0]])
        corners = np.array([160.0, 120]) + np.array([tip, base + across, base - across])
        cv2.fillPoly(mask, [np.round(16 * corners).astype(np.int32)], 1, shift=4)
    x, y, width, height = cv2.boundingRect(mask)
    if text:
        place = (x + width + 3, 124)
        cv2.putText(mask, text, place, cv2.FONT_HERSHEY_SIMPLEX, 0.45, 1)
    return mask, np.array([x, y, x + width, y + height], float)


def look_of(count: int, text: str = "") -> RadialLook:
    """What five turns of a mark teach."""
    shown = [drawn(count, 40, phase, text) for phase in np.linspace(0.1, 2, 5)]
    scenes = [Scene(np.zeros((*mask.shape, 3), np.uint8), mask) for mask, _ in shown]
    looks = Radial().learn(scenes, [box for _, box in shown], Draft("mark", "ship", (COLOUR,)))
    [look] = [each for each in looks if isinstance(each, RadialLook) and each.shape == "pointers"]
    return look


@pytest.mark.parametrize("count", [2, 3, 4, 6])
@pytest.mark.parametrize("text", ["", "Viper 3 km"])
def test_all_pointers_are_learned_and_found_at_any_angle(count: int, text: str) -> None:
    look = look_of(count, text)
    assert look.pointers == count
    for phase in (0.0, 0.7, 1.4):
        mask, box = drawn(count, 50, phase, text)
        [found] = [s for s in find_pointers(mask, look) if s.confidence >= 0.5]
        assert np.abs(found.box - box).max() <= 2


@pytest.mark.parametrize("count", [3, 4])
def test_pointers_of_half_the_circle_are_found_if_they_keep_their_size(count: int) -> None:
    look = look_of(count)
    for phase in (0.2, 0.6, 1.3):
        mask, box = drawn(count, 46 / 2 - 6, phase)  # 46 px to the outer ends in the examples
        [found] = [s for s in find_pointers(mask, look) if s.confidence >= 0.5]
        assert np.abs(found.box - box).max() <= 2


@pytest.mark.parametrize(("count", "found"), [(3, 0), (4, 1)])
def test_a_hidden_pointer_is_missed_by_marks_of_more_than_three_only(count: int, found: int) -> None:
    look = look_of(count)
    mask, box = drawn(count, 40, 0.3)
    mask[:, 188:] = 0
    sightings = [s for s in find_pointers(mask, look) if s.confidence >= 0.5]
    assert len(sightings) == found
    assert all(np.abs(s.box - box).max() <= 4 for s in sightings)


def test_bars_across_the_radius_are_no_pointers_that_lie_along_it() -> None:
    look = look_of(3)
    mask = np.zeros((240, 320), np.uint8)
    for angle in 0.3 + 2 * np.pi * np.arange(3) / 3:
        out = np.array([np.cos(angle), np.sin(angle)])
        across = 7 * np.array([-out[1], out[0]])
        ends = np.array([160, 120]) + 40 * out + np.array([across, -across])
        cv2.polylines(mask, [np.round(ends).astype(np.int32)], False, 1, 4)
    assert find_pointers(mask, look) == []


@pytest.mark.parametrize(("lettered", "found"), [((), 1), ((0,), 1), ((0, 1, 2), 0)])
@pytest.mark.parametrize("hidden", [False, True])
def test_pieces_with_others_close_by_are_letters(lettered: tuple, found: int, hidden: bool) -> None:
    look = look_of(4)
    mask, _ = drawn(4, 40, 0.3)
    _, _, stats, _ = cv2.connectedComponentsWithStats(mask)
    order = np.argsort(stats[1:, cv2.CC_STAT_LEFT])
    for number in lettered:
        x, y, width, height = stats[1 + order[number], :4]
        mask[y : y + height, x + width + 3 : x + width + 6] = 1  # strokes of letters
        mask[y : y + height, x - 6 : x - 3] = 1
    if hidden:
        x, y, width, height = stats[1 + order[3], :4]
        mask[y : y + height, x : x + width] = 0
    assert len([s for s in find_pointers(mask, look) if s.confidence >= 0.5]) == found
