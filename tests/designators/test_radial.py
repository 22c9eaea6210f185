"""Rings of about the smallest size that a profile allows, beside a HUD of the mark's colour."""

import cv2
import numpy as np
import pytest

from gotowce_dagster.core.colour import Colour
from gotowce_dagster.designators.base import Draft, Scene, smallest
from gotowce_dagster.designators.ground import Ground
from gotowce_dagster.designators.profile import Look
from gotowce_dagster.designators.radial import Radial

COLOURS = (Colour(ycrcb=(128, 128, 128), tolerance=(9, 9, 9)),)


def ringed(size: int, flat: float, hud: bool = False) -> tuple[Scene, np.ndarray]:
    """A ring with a line of 2 px around (300, 200), as wide as ``size``, and its box."""
    mask = np.zeros((400, 640), np.uint8)
    axes = np.array([size, round(size * flat)]) / 2 - 1
    cv2.ellipse(
        mask, (300 * 16, 200 * 16), np.round(16 * axes).astype(int).tolist(), 0, 0, 360, 1, 2, shift=4
    )
    x, y, width, height = cv2.boundingRect(mask)
    for row in range(8 * hud):
        cv2.putText(mask, "SHIELD 84% HOSTILE", (10, 20 + 20 * row), cv2.FONT_HERSHEY_SIMPLEX, 0.5, 1)
    return Scene(np.zeros((*mask.shape, 3), np.uint8), mask), np.array([x, y, x + width, y + height], float)


@pytest.mark.parametrize(("family", "flat"), [(Radial(), 1.0), (Ground(), 0.5)], ids=["ring", "ground"])
def test_rings_of_the_smallest_size_are_found_beside_text(family: Radial | Ground, flat: float) -> None:
    shown = [ringed(size, flat) for size in (41, 46, 52)]
    scenes, boxes = [scene for scene, _ in shown], [box for _, box in shown]
    look: Look = family.learn(scenes, boxes, Draft("mark", "ship", COLOURS))[0]
    scene, box = ringed(21, flat, hud=True)
    assert smallest(look) < 21
    found = [s for s in family.find(scene, look) if s.confidence >= 0.5 and np.abs(s.box - box).max() <= 2]
    assert len(found) >= 1
