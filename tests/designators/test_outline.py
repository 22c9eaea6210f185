"""Outlines of other sizes than the examples', and with gaps that halved chroma makes."""

from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest

from gotowce_dagster.core.colour import Colour
from gotowce_dagster.designators.base import Draft, Scene
from gotowce_dagster.designators.choose import candidates
from gotowce_dagster.designators.evidence import mask_of
from gotowce_dagster.designators.examples import Example
from gotowce_dagster.designators.outline import Outline
from gotowce_dagster.designators.sightings import SURE
from tests.designators.accuracy import accuracy
from tests.marks_scenes import MarkScene, decoded, examples_at

COLOURS = (Colour(ycrcb=(180, 150, 70), tolerance=(40, 12, 20)),)
BOX = np.array([38.0, 38, 103, 83])


def framed(gap: tuple[int, int, int] = (180, 150, 70), width: int = 8) -> Scene:
    """A line around BOX, of whose upper side ``width`` pixels have the colour ``gap``, in YCrCb."""
    ycrcb = np.full((320, 400, 3), (90, 128, 128), np.uint8)
    cv2.rectangle(ycrcb, (39, 39), (101, 81), (180, 150, 70), 3)
    ycrcb[36:44, 60 : 60 + width] = np.where(
        ycrcb[36:44, 60 : 60 + width, :1] == 180, np.array(gap, np.uint8), ycrcb[36:44, 60 : 60 + width]
    )
    return Scene(ycrcb, mask_of(ycrcb, COLOURS))


@pytest.mark.parametrize(
    ("gap", "width", "count"),
    [((180, 150, 70), 8, 1), ((180, 144, 96), 7, 1), ((90, 128, 128), 4, 1), ((90, 128, 128), 7, 0)],
    ids=["closed", "paler", "narrow", "wide"],
)
def test_gaps_in_a_line_are_closed_where_they_are_narrow_or_nearly_of_its_colour(
    gap: tuple[int, int, int], width: int, count: int
) -> None:
    [look] = Outline().learn([framed()] * 3, [BOX] * 3, Draft("mark", "ship", COLOURS))
    found = [s for s in Outline().find(framed(gap, width), look) if s.confidence >= SURE]
    assert len(found) == count
    assert all(np.abs(s.box - BOX).max() <= 1 for s in found)


@pytest.mark.slow
def test_outlines_of_half_the_size_of_the_examples_are_found(tmp_path: Path) -> None:
    scene = MarkScene("outline", "outline", seed=4006, size=(1280, 720), frames=12, clutter=True)
    images, chosen = decoded(scene, tmp_path), examples_at(scene)
    examples = [Example(i, images[i], drawn.mark) for i in chosen for drawn in scene.truth(i)]
    designator = candidates(examples, "mark", "ship")[0].designator
    assert designator.family == "outline"
    half = replace(scene, zoom=0.5)
    ious, wrong = accuracy(half, designator, decoded(half, tmp_path), ())
    assert len(ious) == 12
    assert min(ious) >= 0.8
    assert wrong == 0
