"""Difficult clips for trackers with exact masks: a zoom, an occlusion, a look-alike.

For tests and benchmarks; not part of the pipeline.
"""

from dataclasses import dataclass
from functools import cached_property
from typing import Literal, get_args

import cv2
import numpy as np

from tests.support.synthetic import SHAPES

Ordeal = Literal["none", "zoom", "zoom jump", "occlusion", "crossing"]
Ground = Literal["stars", "terrain"]
ORDEALS, GROUNDS = get_args(Ordeal), get_args(Ground)

_REACH = 3
"""The world is so many screens wide and high; the camera looks at its middle."""

_SHIFT = 4
_NOISE = 3.0
_ZOOM = 2.2


@dataclass(frozen=True)
class Trial:
    """An object, its ordeal in the middle third of the clip, and the background.

    Equal trials give equal pictures. The seed decides sizes, colours, speeds and directions, whether the
    zoom goes in or out, and which of two crossing look-alikes is in front; with an odd seed the look-alike
    differs a little in colour, with an even one not at all.
    """

    ordeal: Ordeal
    ground: Ground
    seed: int
    frames: int = 36
    size: tuple[int, int] = (640, 360)
    """Width and height, pixels."""

    def picture(self, index: int) -> np.ndarray:
        """RGB uint8 (H, W, 3), with noise of a camera's kind that differs from frame to frame."""
        width, height = self.size
        zoom = self._zoom(index)
        drift = self._camera * index
        # World to screen; the background follows it at half the camera's drift, being far away.
        matrix = np.array([[zoom, 0, 0], [0, zoom, 0]], float)
        middle = np.array(self.size) * _REACH / 2 + drift / 2
        matrix[:, 2] = np.array(self.size) / 2 - zoom * middle
        image = cv2.warpAffine(self._world, matrix, (width, height), flags=cv2.INTER_LINEAR)
        for body in self._bodies:
            self._paint(image, body, index)
        noise = np.random.default_rng((self.seed, index)).normal(0, _NOISE, image.shape)
        return np.clip(cv2.GaussianBlur(image, (3, 3), 0.6) + noise, 0, 255).astype(np.uint8)

    def mask(self, index: int) -> np.ndarray:
        """bool (H, W): the object's pixels that are on the screen and behind nothing; perhaps none."""
        seen = np.zeros(self.size[::-1], np.uint8)
        is_past = False
        for body in self._bodies:
            is_past = is_past or body is self._object
            if is_past:
                outline = self._outline(body, index)
                cv2.fillPoly(seen, [_fixed(outline)], int(body is self._object), cv2.LINE_8, _SHIFT)
        return seen.astype(bool)

    def _zoom(self, index: int) -> float:
        part = np.clip(index / max(1, self.frames - 1) * 3 - 1, 0, 1)
        target = _ZOOM if self.seed % 2 else 1 / _ZOOM
        if self.ordeal == "zoom jump":
            return target if part >= 0.5 else 1.0
        return float(target**part) if self.ordeal == "zoom" else 1.0

    @cached_property
    def _rng(self) -> np.random.Generator:
        return np.random.default_rng(self.seed)

    @cached_property
    def _object(self) -> "_Body":
        return self._cast[0]

    @cached_property
    def _bodies(self) -> "list[_Body]":
        """From the farthest to the nearest."""
        return self._cast[1]

    @cached_property
    def _camera(self) -> np.ndarray:
        return np.random.default_rng(self.seed + 1).uniform(-3, 3, 2)

    @cached_property
    def _cast(self) -> "tuple[_Body, list[_Body]]":
        rng = self._rng
        heading = rng.uniform(0, 2 * np.pi)
        speed = rng.uniform(5, 8)
        velocity = speed * np.array([np.cos(heading), np.sin(heading)])
        length = rng.uniform(30, 50)
        shape = np.array(SHAPES[str(rng.choice(["dart", "freighter", "cross"]))])
        colour = rng.uniform(70, 200, 3)
        meeting = self.frames / 2
        middle = np.array([rng.uniform(-40, 40), rng.uniform(-20, 20)])
        start = middle - velocity * meeting
        ship = _Body(shape, length, start, velocity, heading, rng.uniform(-0.03, 0.03), colour)
        bystander = _Body(
            shape[:, ::-1], length, middle + np.array([130, -90]), velocity * 0.2, 1.0, 0.02, colour[::-1]
        )
        bodies = [bystander, ship]
        if self.ordeal == "occlusion":
            angles = np.linspace(0, 2 * np.pi, 14, endpoint=False)
            rough = rng.uniform(0.85, 1.1, 14)
            rock = np.stack([np.cos(angles), np.sin(angles)], axis=1) * rough[:, None]
            # Long enough behind it to be wholly hidden for some frames.
            across = 1.3 * length + 2 * speed
            bodies.append(_Body(rock, across, middle, np.zeros(2), 0.0, 0.005, rng.uniform(40, 150, 3)))
        if self.ordeal == "crossing":
            aside = heading + rng.choice([-1, 1]) * rng.uniform(1.2, 2.6)
            other = rng.uniform(5, 8) * np.array([np.cos(aside), np.sin(aside)])
            tint = rng.uniform(-12, 12, 3) * (self.seed % 2)
            alike = _Body(
                shape, length * rng.uniform(0.9, 1.1), middle - other * meeting + rng.uniform(-6, 6, 2),
                other, aside, 0.0, colour + tint,
            )  # fmt: skip
            bodies.insert(2 if self.seed % 4 < 2 else 1, alike)
        return ship, bodies

    def _outline(self, body: "_Body", index: int) -> np.ndarray:
        """Polygon, float (n, 2) pixels of the screen."""
        angle = body.heading + body.spin * index
        cos, sin = np.cos(angle), np.sin(angle)
        turned = body.shape @ np.array([[cos, sin], [-sin, cos]]) * body.length / 2
        return np.array(self.size) / 2 + self._zoom(index) * (body.start + body.velocity * index + turned)

    def _paint(self, image: np.ndarray, body: "_Body", index: int) -> None:
        outline = self._outline(body, index)
        cv2.fillPoly(image, [_fixed(outline)], body.colour.tolist(), cv2.LINE_AA, _SHIFT)
        # A darker half and a bright spine, so that it is no even patch.
        half = np.concatenate([outline[: len(outline) // 2 + 1], outline.mean(axis=0)[None]])
        cv2.fillPoly(image, [_fixed(half)], (0.7 * body.colour).tolist(), cv2.LINE_AA, _SHIFT)
        spine = _fixed(np.array([0.8 * outline[0] + 0.2 * outline.mean(axis=0), outline.mean(axis=0)]))
        cv2.polylines(image, [spine], False, np.minimum(1.3 * body.colour, 255).tolist(), 2, 8, _SHIFT)

    @cached_property
    def _world(self) -> np.ndarray:
        rng = np.random.default_rng(self.seed + 2)
        width, height = (_REACH * side for side in self.size)
        world = np.zeros((height, width, 3), np.float32)
        octaves = ((6, 1.0),) if self.ground == "stars" else ((6, 0.8), (24, 0.6), (96, 0.5), (300, 0.35))
        for cells, weight in octaves:
            rough = rng.uniform(-1, 1, (cells * height // width + 1, cells, 1)).astype(np.float32)
            world += weight * cv2.resize(rough, (width, height), interpolation=cv2.INTER_CUBIC)[..., None]
        base = rng.uniform(10, 40, 3) if self.ground == "stars" else rng.uniform(60, 110, 3)
        world = base * (1 + 0.45 * world)
        if self.ground == "stars":
            stars = rng.integers(0, (width, height), (width * height // 2500, 2))
            world[stars[:, 1], stars[:, 0]] = rng.uniform(80, 255, (len(stars), 1))
        return np.clip(world, 0, 255).astype(np.uint8)


@dataclass(frozen=True, eq=False)
class _Body:
    shape: np.ndarray
    """Outline (n, 2) in units of half its length."""
    length: float
    """Pixels."""
    start: np.ndarray
    """From the middle of the screen, pixels."""
    velocity: np.ndarray
    """Pixels a frame."""
    heading: float
    spin: float
    """Radians, and radians a frame."""
    colour: np.ndarray
    """RGB."""


def _fixed(points: np.ndarray) -> np.ndarray:
    return np.round(points * (1 << _SHIFT)).astype(np.int32)
