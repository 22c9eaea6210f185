"""Designators of several families with the same colour."""

from typing import Any

from gotowce_dagster.designators.profile import BesideLook, Colour, GroundLook, OutlineLook

_LOOK: dict[str, Any] = {
    "name": "m",
    "class_name": "s",
    "colours": (Colour(ycrcb=(85, 190, 108), tolerance=(50, 48, 28)),),
    "thickness_px": 2,
}
CHEVRON = BesideLook(**_LOOK, size_px=(10, 30), aspect=(1, 2), picture=("99", "00"), sides_px=(20, 10))
RING = GroundLook(**_LOOK, size_px=(30, 90), aspect=(2, 3), fill=0.9)
OUTLINE = OutlineLook(**_LOOK, size_px=(20, 90), aspect=(0.3, 3), enclosed=(0.3, 0.9))
