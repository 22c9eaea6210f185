"""Scenes of our own with exact truth: what a game might show, drawn, then compressed by a real encoder.

For tests and benchmarks; not part of the pipeline.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path

import cv2
import numpy as np
import pandas as pd

from gotowce_dagster.core.boxes import BOX
from gotowce_dagster.video.encode import write_video

Colour = tuple[int, int, int]
"""RGB, 0 to 255."""

SHAPES: dict[str, Sequence[tuple[float, float]]] = {
    "dart": ((1, 0), (-0.8, 0.7), (-0.4, 0), (-0.8, -0.7)),
    "freighter": ((1, 0.15), (0.6, 0.3), (-1, 0.3), (-1, -0.3), (0.6, -0.3), (1, -0.15)),
    "cross": ((1, 0.2), (0.2, 0.2), (0, 0.9), (-0.3, 0.2), (-1, 0), (-0.3, -0.2), (0, -0.9), (0.2, -0.2)),
    "sliver": ((1, 0), (0, 0.15), (-1, 0), (0, -0.15)),
}
"""Outlines of targets, in units of half their length, pointing right."""

CLUTTER = ("ellipse", "bars", "reticle")
"""Parts of a HUD in the designator's colour that are no designator."""


@dataclass(frozen=True)
class Bracket:
    """How a designator looks: four corners of a square."""

    colour: Colour = (210, 40, 40)
    arm: float = 0.25
    """Length of a corner's arm as a fraction of the side; what is left between two arms is the gap."""
    thickness: int = 2
    """Pixels."""
    radius: float = 0.0
    """Of the corner's outer curve, as a fraction of the arm."""
    opacity: float = 1.0
    min_side: int = 42
    """Pixels."""
    margin: float = 0.3
    """Room between target and designator, as a fraction of the target's longer side."""
    text: str = ""
    """Written in the designator's colour, touching its right edge."""


@dataclass(frozen=True)
class Target:
    """An object that flies through the scene, with or without a designator."""

    shape: str = "dart"
    length: float = 40
    """Pixels."""
    start: tuple[float, float] = (400, 300)
    """x, y of its middle in the first frame, pixels."""
    velocity: tuple[float, float] = (3, 2)
    """Pixels a frame; it turns back at the screen's edge."""
    spin: float = 0.02
    """Radians a frame."""
    colour: Colour = (150, 155, 165)
    bracket: Bracket | None = Bracket()


@dataclass(frozen=True)
class Scene:
    """What is shown. Equal scenes give equal pictures."""

    targets: tuple[Target, ...] = (Target(),)
    frames: int = 60
    fps: int = 20
    size: tuple[int, int] = (1280, 720)
    """Width and height, pixels."""
    clutter: tuple[str, ...] = ()
    panel: tuple[int, int, int, int] | None = None
    """xyxy of an opaque part of the HUD that hides what is behind it."""
    overshoot: int = -60
    """How far beyond the screen's edge targets fly before they turn; negative to stay inside."""
    zoom: float = 1.0
    """How many times longer targets are in the last frame than in the first."""
    absent: tuple[range, ...] = ()
    """Frames without any designator."""
    stalls: tuple[range, ...] = ()
    """Frames that only repeat the first of their range, as a recorder does that cannot keep up."""
    cuts: tuple[int, ...] = ()
    """First frames of new surroundings."""
    seed: int = 0

    def picture(self, index: int) -> np.ndarray:
        """The uncompressed frame: RGB uint8 (H, W, 3)."""
        index = self._shown(index)
        image = self._background(index)
        for target in self.targets:
            outline = self._outline(target, index)
            cv2.fillPoly(image, [_fixed(outline)], target.colour, cv2.LINE_8, _SHIFT)
            ridge = _fixed(np.array([outline[0], outline.mean(axis=0)]))
            cv2.polylines(image, [ridge], False, tuple(c // 2 for c in target.colour), 1, cv2.LINE_8, _SHIFT)
        for _, bracket, box in self._designators(index):
            _paint_bracket(image, bracket, box)
        colour = next((t.bracket.colour for t in self.targets if t.bracket), (200, 200, 200))
        for part in self.clutter:
            _CLUTTER_PAINTERS[part](image, colour)
        if self.panel:
            x1, y1, x2, y2 = self.panel
            image[y1:y2, x1:x2] = (38, 42, 48)
            cv2.rectangle(image, (x1, y1), (x2 - 1, y2 - 1), (90, 96, 104), 2)
        return image

    def masks(self, index: int) -> np.ndarray:
        """bool (n, H, W), one a target: its pixels on the screen that no panel hides."""
        index = self._shown(index)
        masks = np.zeros((len(self.targets), *self.size[::-1]), np.uint8)
        for mask, target in zip(masks, self.targets, strict=True):
            cv2.fillPoly(mask, [_fixed(self._outline(target, index))], 1, cv2.LINE_8, _SHIFT)
        if self.panel:
            x1, y1, x2, y2 = self.panel
            masks[:, y1:y2, x1:x2] = 0
        return masks.astype(bool)

    def truth(self, clip: str) -> pd.DataFrame:
        """Every frame's boxes in the columns of truth.read_truth, and ``target``, which one it belongs to.

        ``designator``: all four corners visible; ``designator_partial``: some of it hidden or off the
        screen, the box cut at the screen's edge; ``object``: the visible part of a marked target;
        ``none``: no designator visible.
        """
        rows = [row for index in range(self.frames) for row in self._truth_rows(index)]
        names = ["frame_index", *BOX, "label", "target"]
        return pd.DataFrame(rows, columns=names).assign(clip=clip)[["clip", *names]]

    def _truth_rows(self, index: int) -> Iterator[tuple]:
        width, height = self.size
        shown = self._shown(index)
        masks: np.ndarray | None = None
        for number, bracket, box in self._designators(shown):
            corners = self._visible_corners(bracket, box)
            if not corners.any():
                continue
            label = "designator" if corners.all() else "designator_partial"
            yield index, *np.clip(box, 0, [width, height] * 2).tolist(), label, number
            masks = self.masks(index) if masks is None else masks
            if masks[number].any():
                yield index, *_box_of(masks[number]), "object", number
        if masks is None:
            yield index, *[np.nan] * 4, "none", -1

    def _shown(self, index: int) -> int:
        return next((stall.start for stall in self.stalls if index in stall), index)

    def _outline(self, target: Target, index: int) -> np.ndarray:
        """Polygon, float (n, 2) pixels."""
        growth = 1 + (self.zoom - 1) * index / max(1, self.frames - 1)
        cos, sin = np.cos(target.spin * index), np.sin(target.spin * index)
        turned = np.array(SHAPES[target.shape]) @ np.array([[cos, sin], [-sin, cos]])
        return self._middle(target, index) + turned * target.length * growth / 2

    def _middle(self, target: Target, index: int) -> np.ndarray:
        """Straight flight, mirrored at the edges."""
        low = -float(self.overshoot)
        reach = np.array(self.size, float) - 2 * low
        away = np.array(target.start) + np.array(target.velocity) * index - low
        return low + reach - np.abs(away % (2 * reach) - reach)

    def _designators(self, index: int) -> Iterator[tuple[int, Bracket, np.ndarray]]:
        """Marked targets' numbers, designators and outer edges as int xyxy (4,), perhaps off the screen."""
        if any(index in gone for gone in self.absent):
            return
        for number, target in enumerate(self.targets):
            if target.bracket is None:
                continue
            outline = self._outline(target, index)
            extent = float(np.ptp(outline, axis=0).max())
            side = max(target.bracket.min_side, round(extent * (1 + 2 * target.bracket.margin)))
            corner = np.round((outline.min(axis=0) + outline.max(axis=0)) / 2 - side / 2).astype(int)
            yield number, target.bracket, np.concatenate([corner, corner + side])

    def _visible_corners(self, bracket: Bracket, box: np.ndarray) -> np.ndarray:
        """bool (4,): which corners are wholly on the screen and clear of the panel."""
        reach = max(1, round(bracket.arm * (box[2] - box[0])))
        lows = np.array([(x, y) for y in (box[1], box[3] - reach) for x in (box[0], box[2] - reach)])
        inside = np.all((lows >= 0) & (lows + reach <= self.size), axis=1)
        if self.panel is None:
            return np.asarray(inside)
        hidden = np.all((lows < self.panel[2:]) & (lows + reach > self.panel[:2]), axis=1)
        return np.asarray(inside & ~hidden)

    @cached_property
    def _surroundings(self) -> list[np.ndarray]:
        """A wide picture of stars and mist for each part between cuts."""
        return [_sky(self.size, self.seed + 1000 * part) for part in range(len(self.cuts) + 1)]

    def _background(self, index: int) -> np.ndarray:
        sky = self._surroundings[sum(index >= cut for cut in self.cuts)]
        left = 2 * index % (sky.shape[1] - self.size[0])
        return sky[:, left : left + self.size[0]].copy()


def random_scene(rng: np.random.Generator, **changes: object) -> Scene:
    """A scene with one marked target and two others, all drawn by chance; ``changes`` are set last."""
    colours = ((210, 40, 40), (60, 220, 70), (205, 60, 190), (235, 200, 60), (80, 200, 235))
    bracket = Bracket(
        colour=colours[rng.integers(len(colours))],
        arm=float(rng.uniform(0.15, 0.32)),
        thickness=int(rng.integers(1, 4)),
        radius=float(rng.choice([0, 0.8])),
        text=str(rng.choice(["", "Viper 3.4 km"])),
    )
    targets = tuple(
        Target(
            shape=str(rng.choice(list(SHAPES))),
            length=float(rng.uniform(12, 90)),
            start=(float(rng.uniform(100, 1180)), float(rng.uniform(100, 620))),
            velocity=(float(rng.uniform(-6, 6)), float(rng.uniform(-4, 4))),
            spin=float(rng.uniform(-0.05, 0.05)),
            bracket=mark,
        )
        for mark in (bracket, None, None)
    )
    scene = Scene(targets=targets, clutter=CLUTTER, seed=int(rng.integers(1 << 30)))
    return replace(scene, **changes)


def write_scene(path: Path, scene: Scene, crf: int = 23) -> pd.DataFrame:
    """Encode a scene as H.264 with the chroma loss of yuv420p, and give its truth.

    Args:
        crf: of x264; higher is worse.
    """
    pictures = (scene.picture(index) for index in range(scene.frames))
    write_video(path, pictures, fps=scene.fps, options={"crf": str(crf), "preset": "veryfast"})
    return scene.truth(path.name)


_SHIFT = 4
"""Fractional bits of OpenCV's polygon corners."""


def _fixed(points: np.ndarray) -> np.ndarray:
    return np.round(points * (1 << _SHIFT)).astype(np.int32)


def _box_of(mask: np.ndarray) -> list[int]:
    """xyxy of a mask's pixels, exclusive end."""
    x, y, width, height = cv2.boundingRect(mask.astype(np.uint8))
    return [x, y, x + width, y + height]


def _sky(size: tuple[int, int], seed: int) -> np.ndarray:
    """RGB uint8 (H, 2W, 3): faint mist, fine grain and stars."""
    rng = np.random.default_rng(seed)
    width, height = 2 * size[0], size[1]
    mist = cv2.resize(
        rng.uniform(0, 1, (6, 20, 3)).astype(np.float32), (width, height), None, 0, 0, cv2.INTER_CUBIC
    )
    sky = mist * rng.uniform(15, 60, 3) + rng.normal(0, 2, (height, width, 1))
    stars = rng.integers(0, (width, height), (width * height // 4000, 2))
    sky[stars[:, 1], stars[:, 0]] = rng.uniform(80, 255, (len(stars), 1))
    return np.clip(sky, 0, 255).astype(np.uint8)


def _paint_bracket(image: np.ndarray, bracket: Bracket, box: np.ndarray) -> None:
    side = int(box[2] - box[0])
    mark = bracket_mask(side, bracket)
    low, high = np.maximum(box[:2], 0), np.minimum(box[2:], image.shape[1::-1])
    if (high <= low).any():
        return
    part = image[low[1] : high[1], low[0] : high[0]]
    seen = mark[low[1] - box[1] : high[1] - box[1], low[0] - box[0] : high[0] - box[0]]
    part[seen] = np.round(
        part[seen] * (1 - bracket.opacity) + np.array(bracket.colour) * bracket.opacity
    ).astype(np.uint8)
    for row, line in enumerate(bracket.text.splitlines()):
        at = (int(box[2]) + 1, int(box[1]) + 12 + 18 * row)
        cv2.putText(image, line, at, cv2.FONT_HERSHEY_SIMPLEX, 0.5, bracket.colour, 1, cv2.LINE_AA)


def bracket_mask(side: int, bracket: Bracket) -> np.ndarray:
    """bool (side, side): the pixels of a designator, its lines' outer edges on the border."""
    arm = max(1, round(bracket.arm * side))
    radius = bracket.radius * arm
    away = np.abs(np.arange(side) + 0.5 - side / 2)  # from the middle, along one axis
    x, y = np.meshgrid(away, away)
    # Distance to a rounded square, negative inside: https://iquilezles.org/articles/distfunctions2d/
    dx, dy = x - (side / 2 - radius), y - (side / 2 - radius)
    distance = np.hypot(np.maximum(dx, 0), np.maximum(dy, 0)) + np.minimum(np.maximum(dx, dy), 0) - radius
    return (distance >= -bracket.thickness) & (distance < 0) & (np.minimum(x, y) >= side / 2 - arm)


def _paint_ellipse(image: np.ndarray, colour: Colour) -> None:
    height, width = image.shape[:2]
    middle = (width // 2, round(height * 0.86))
    cv2.ellipse(image, middle, (width // 6, height // 15), 0, 0, 360, colour, 2, cv2.LINE_AA)
    cv2.line(image, (middle[0] - width // 6, middle[1]), (middle[0] + width // 6, middle[1]), colour, 1)


def _paint_bars(image: np.ndarray, colour: Colour) -> None:
    height, width = image.shape[:2]
    for row in range(4):
        x, y = round(width * 0.06), round(height * 0.8) + 24 * row
        cv2.rectangle(image, (x, y), (x + 120, y + 14), colour, 1)
        cv2.rectangle(image, (x + 2, y + 2), (x + 30 + 25 * row, y + 12), colour, -1)


def _paint_reticle(image: np.ndarray, colour: Colour) -> None:
    x, y = image.shape[1] // 2, image.shape[0] // 2
    for dx, dy in ((1, 0), (-1, 0), (0, 1), (0, -1)):
        cv2.line(image, (x + 24 * dx, y + 24 * dy), (x + 48 * dx, y + 48 * dy), colour, 1)


_CLUTTER_PAINTERS = dict(zip(CLUTTER, (_paint_ellipse, _paint_bars, _paint_reticle), strict=True))
