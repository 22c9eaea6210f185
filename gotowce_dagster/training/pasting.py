"""Copy-paste: targets cut out along their masks and pasted elsewhere in images of the same game.

So few labels give many targets without marks (Ghiasi et al., Simple Copy-Paste, CVPR 2021).
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

import cv2
import numpy as np

from gotowce_dagster.config.params import CropParams
from gotowce_dagster.training.standouts import share_inside

_LEAST_PX = 8
"""Minimum long side of a pasted target; a smaller one looks like a star."""
_ON_HUD = 0.2
"""Maximum share of a pasted target's box on panels of the HUD."""
GAP = 3
"""Minimum distance in pixels between a pasted target and others."""
_TRIES = 8
"""Positions tried for a pasted target before it is left out."""


def no_boxes() -> np.ndarray:
    return np.zeros((0, 4))


@dataclass(frozen=True, eq=False)
class Scene:
    """An image and its objects."""

    image: np.ndarray
    """RGB uint8 (H, W, 3)."""
    boxes: np.ndarray
    """xyxy float (n, 4) of targets."""
    classes: np.ndarray
    """int (n,)."""
    doubtful: np.ndarray = field(default_factory=no_boxes)
    """xyxy float (m, 4) of possible targets."""


@dataclass(frozen=True, eq=False)
class Cutout:
    """A target cut out along its mask."""

    image: np.ndarray
    """RGB uint8 (h, w, 3)."""
    alpha: np.ndarray
    """float32 (h, w), 0 to 1."""
    class_id: int

    @property
    def long_px(self) -> int:
        """Long side in pixels of its opaque part."""
        y, x = np.nonzero(self.alpha > 0.5)
        return int(max(np.ptp(y), np.ptp(x)) + 1) if len(y) else 1


def paste(
    scene: Scene,
    cutout: Cutout,
    params: CropParams,
    rng: np.random.Generator,
    hud: np.ndarray | None = None,
) -> Scene:
    """The scene with a target pasted at a random position, randomly rotated, stretched and recoloured.

    Without a free position, the scene itself.

    Args:
        hud: bool (H, W), the panels of the scene, where nothing is pasted; None: unknown.
    """
    image, alpha = _varied(cutout, params, rng)
    height, width = alpha.shape
    rows, columns = np.nonzero(alpha > 0.5)
    if not len(rows) or height >= scene.image.shape[0] or width >= scene.image.shape[1]:
        return scene
    extent = np.array([columns.min(), rows.min(), columns.max() + 1, rows.max() + 1], float)
    for _ in range(_TRIES):
        x = int(rng.integers(scene.image.shape[1] - width))
        y = int(rng.integers(scene.image.shape[0] - height))
        box = extent + np.array([x, y, x, y])
        if hud is not None and share_inside(hud, box[None])[0] > _ON_HUD:
            continue
        if not touches(box, scene.boxes, GAP).any():
            break
    else:
        return scene
    result = scene.image.copy()
    place = result[y : y + height, x : x + width]
    soft = np.minimum(cv2.GaussianBlur(alpha, (0, 0), 0.6), np.minimum(2 * alpha, 1))[..., None]
    place[:] = np.clip(soft * image + (1 - soft) * place, 0, 255).round().astype(np.uint8)
    return Scene(result, np.vstack([scene.boxes, box]), np.append(scene.classes, cutout.class_id))


def read_cutouts(dataset: Path) -> dict[str, list[Cutout]]:
    """A dataset's cutouts by video."""
    found: dict[str, list[Cutout]] = {}
    for file in sorted((dataset / "cutouts").glob("*.png")):
        stem, _, class_id = file.stem.rsplit("_", 2)
        video = stem.rsplit("_", 1)[0]
        rgba = cv2.cvtColor(np.asarray(cv2.imread(str(file), cv2.IMREAD_UNCHANGED)), cv2.COLOR_BGRA2RGBA)
        alpha = rgba[..., 3].astype(np.float32) / 255
        found.setdefault(video, []).append(Cutout(np.ascontiguousarray(rgba[..., :3]), alpha, int(class_id)))
    return found


def of_other_games(
    cutouts: Mapping[str, list[list[Cutout]]], profile: str, like: Cutout
) -> list[list[Cutout]]:
    """Cutouts of the other games, by video, with a class that this game has and not smaller.

    Args:
        cutouts: by profile and video.
        like: a cutout of the game. An enlarged dot of another game would look like a shot.
    """
    every = [some for other, groups in cutouts.items() if other != profile for some in groups]
    alike = [
        [one for one in some if one.class_id == like.class_id and one.long_px >= like.long_px]
        for some in every
    ]
    return [some for some in alike if some]


def shrunk(cutout: Cutout, long_px: int) -> Cutout:
    """A cutout at a smaller size.

    Args:
        long_px: its new long side, pixels.
    """
    scale = long_px / cutout.long_px
    height, width = cutout.alpha.shape
    size = (max(round(width * scale), 2), max(round(height * scale), 2))
    return replace(
        cutout,
        image=cv2.resize(cutout.image, size, interpolation=cv2.INTER_AREA),
        alpha=cv2.resize(cutout.alpha, size, interpolation=cv2.INTER_AREA),
    )


def _varied(cutout: Cutout, params: CropParams, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """The cutout stretched, rotated, mirrored, scaled, recoloured: RGB float (h, w, 3) and alpha (h, w)."""
    image, alpha = cutout.image, cutout.alpha
    if rng.random() < 0.5:
        image, alpha = image[:, ::-1], alpha[:, ::-1]
    if params.stretch > 1:
        # One side longer, the other shorter, because other kinds of ships have other proportions.
        ratio = params.stretch ** rng.uniform(-0.5, 0.5)
        size = (max(round(image.shape[1] * ratio), 2), max(round(image.shape[0] / ratio), 2))
        image, alpha = cv2.resize(image, size), cv2.resize(alpha, size)
    height, width = alpha.shape
    scale = float(np.exp(rng.uniform(*np.log(params.paste_scale))))
    scale = max(scale, min(1.0, _LEAST_PX / max(height, width)))
    angle = rng.uniform(-params.turn_deg, params.turn_deg)
    turn = cv2.getRotationMatrix2D((width / 2, height / 2), angle, scale)
    cosine, sine = np.abs(turn[0, :2])
    size = (int(width * cosine + height * sine) + 3, int(height * cosine + width * sine) + 3)
    turn[:, 2] += np.array(size) / 2 - [width / 2, height / 2]
    image = cv2.warpAffine(np.ascontiguousarray(image), turn, size, borderMode=cv2.BORDER_REPLICATE)
    alpha = cv2.warpAffine(np.ascontiguousarray(alpha), turn, size)
    if rng.random() < params.recolour:
        colours = cv2.cvtColor(image, cv2.COLOR_RGB2HSV).astype(np.int32)
        colours[..., 0] = (colours[..., 0] + rng.integers(180)) % 180
        if rng.random() < 0.5:
            colours[..., 1] = np.clip(colours[..., 1] * rng.uniform(0.5, 3) + rng.uniform(0, 40), 0, 255)
        image = cv2.cvtColor(colours.astype(np.uint8), cv2.COLOR_HSV2RGB)
    gain = rng.uniform(1 - params.brightness, 1 + params.brightness)
    return np.clip(image.astype(np.float32) * gain, 0, 255), alpha


def touches(box: np.ndarray, boxes: np.ndarray, gap: float) -> np.ndarray:
    """bool (n,): whether a box is nearer than ``gap`` to each of the others."""
    apart = (box[None, :2] >= boxes[:, 2:] + gap) | (box[None, 2:] <= boxes[:, :2] - gap)
    return np.logical_not(np.any(apart, axis=1))
