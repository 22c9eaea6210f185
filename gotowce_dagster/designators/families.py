"""The families by name. A new one is one file, its look in profile.py, and one line here.

Corners are a family too, with a finder of their own (bracket.py) that looks at lines rather than at
pieces of a mask.
"""

from collections.abc import Sequence

import cv2
import numpy as np
import supervision as sv

from gotowce_dagster.designators.base import Draft, Family, Scene, Sighting, crop, ramp
from gotowce_dagster.designators.beside import Beside
from gotowce_dagster.designators.evidence import CONTRAST, mark_mask
from gotowce_dagster.designators.frame import Frame
from gotowce_dagster.designators.ground import Ground
from gotowce_dagster.designators.learned import Learned
from gotowce_dagster.designators.outline import Outline
from gotowce_dagster.designators.profile import Look
from gotowce_dagster.designators.radial import Radial

FAMILIES: dict[str, Family] = {
    "frame": Frame(),
    "radial": Radial(),
    "ground": Ground(),
    "outline": Outline(),
    "beside": Beside(),
    "learned": Learned(),
}
"""In the order in which calibration prefers them where several fit alike: the more special first."""

CLASSIC = tuple(family for family in FAMILIES if family != "learned")
"""Families that describe a mark by its colours and form."""

FLOODED = 0.12
"""A mask that fills more of a frame than this is the scene's ground, in which nothing is looked for."""
_EDGE = 2
"""Pixels by which the edges of known parts of the HUD are blurred."""
_APART = 0.1
"""Share of a finding's pixels that may lie outside of them."""
_BESIDE = 2, 5
"""Pixels from a mark's own, nearest and farthest, that are beside it: nearer ones are blurred."""
_LEAST, _MOST = 0.5, 1.2
"""Share of the examples' least contrast that a mark has, and the contrast that is always enough."""


def scene_of(ycrcb: np.ndarray, look: Look) -> Scene:
    """A frame with the mask of a look's colours; an empty one where nothing is found by these."""
    return Scene(
        ycrcb, mark_mask(ycrcb, look) if look.family in CLASSIC else np.zeros(ycrcb.shape[:2], np.uint8)
    )


def find(ycrcb: np.ndarray, look: Look, min_confidence: float) -> list[Sighting]:
    """The marks of one look in a frame, most confident first, as the examples were drawn.

    Args:
        ycrcb: uint8 (H, W, 3).
    """
    scene = scene_of(ycrcb, look)
    if scene.mask.mean() > FLOODED:
        return []
    found = [s for s in FAMILIES[look.family].find(scene, look) if s.confidence >= min_confidence]
    if look.contrast:
        found = [Sighting(s.box, s.confidence * _standing_out(scene, s.box, look)) for s in found]
        found = [s for s in found if s.confidence >= min_confidence]
    found = [s for s in distinct(found) if not rests_on_hud(scene.mask, s.box, look)]
    return [Sighting(drawn(s.box, look), s.confidence) for s in found]


def learn(family: str, scenes: Sequence[Scene], boxes: Sequence[np.ndarray], draft: Draft) -> list[Look]:
    """What a family learns, with the contrast of the examples. See base.Family."""
    looks = FAMILIES[family].learn(scenes, boxes, draft)
    if family not in CLASSIC:
        return looks
    found = []
    for look in looks:
        edges = np.array(look.inset_px) * (1, 1, -1, -1)
        least = min(contrast(scene, box - edges, look) for scene, box in zip(scenes, boxes, strict=True))
        found.append(look.model_copy(update={"contrast": round(min(_LEAST * least, _MOST), 2)}))
    return found


def contrast(scene: Scene, box: np.ndarray, look: Look) -> float:
    """How far the pixels of a mark differ from those beside them, in levels of CONTRAST.

    Rough ground that has the mark's colour here and there has lines and holes of any form, but they hardly
    differ from what lies between them.
    """
    own, x, y = _own_pixels(scene.mask, box, look)
    if not own.any():
        return 0.0
    window = np.s_[y : y + own.shape[0], x : x + own.shape[1]]
    near, far = (cv2.dilate(own.astype(np.uint8), np.ones((2 * r + 1, 2 * r + 1), np.uint8)) for r in _BESIDE)
    beside = (far > near) & (scene.mask[window] == 0)
    if not beside.any():
        return 0.0
    colours = scene.ycrcb[window]
    apart = (colours[beside] - np.median(colours[own], axis=0)) / CONTRAST
    return float(np.median(np.linalg.norm(apart, axis=1)))


def _standing_out(scene: Scene, box: np.ndarray, look: Look) -> float:
    return ramp(contrast(scene, box, look), 0.6 * look.contrast, look.contrast)


def _own_pixels(mask: np.ndarray, box: np.ndarray, look: Look) -> tuple[np.ndarray, int, int]:
    """Which pixels around a finding are the mark's, bool (h, w), and the x and y where these begin."""
    part, x, y = crop(mask, box, margin=8)
    return FAMILIES[look.family].mark_pixels(part, box - np.array([x, y, x, y]), look), x, y


def rests_on_hud(mask: np.ndarray, box: np.ndarray, look: Look) -> bool:
    """Whether nearly all pixels that make a finding are of known parts of the HUD, wherever its box ends.

    Args:
        mask: uint8 (H, W) of 0 and 1, the pixels of the look's colours.
        box: of the finding, on the mark's pixels.
    """
    known = np.array(look.not_marks).reshape(-1, 4) + _EDGE * np.array([-1, -1, 1, 1])
    known = known[((known[:, :2] < box[2:]) & (known[:, 2:] > box[:2])).all(axis=1)]
    if not len(known) or look.family not in CLASSIC:
        return False
    own, x, y = _own_pixels(mask, box, look)
    apart = own.copy()
    for x1, y1, x2, y2 in np.maximum(np.round(known - np.array([x, y, x, y])).astype(int), 0):
        apart[y1:y2, x1:x2] = False
    return bool(own.any() and apart.sum() <= _APART * own.sum())


def drawn(box: np.ndarray, look: Look) -> np.ndarray:
    """A found box as the examples were drawn."""
    return box + np.array(look.inset_px) * (1, 1, -1, -1)


def distinct(found: list[Sighting], most_shared: float = 0.25) -> list[Sighting]:
    """Sightings that no more confident one overlaps, most confident first."""
    kept: list[Sighting] = []
    for sighting in sorted(found, key=lambda s: -s.confidence):
        pair = np.stack([sighting.box, *(k.box for k in kept)])
        if not kept or sv.box_iou_batch(pair[:1], pair[1:]).max() <= most_shared:
            kept.append(sighting)
    return kept
