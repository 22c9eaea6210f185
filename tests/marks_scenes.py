"""Scenes with marks of all families and exact truth, compressed by a real encoder.

Everything that differs between scenes comes from the seed: surroundings, colour, size, paths. What a test
wants to see (turning, pulsing, clutter, ...) is a field.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import cv2
import numpy as np

from gotowce_dagster.core.boxes import evenly
from gotowce_dagster.video.decode import read_frames
from gotowce_dagster.video.encode import write_video
from tests.glyphs import GLYPHS, paint
from tests.strokes import COLOURS, SIGNS, dashed, fixed
from tests.support.synthetic import SHAPES

VARIANTS: dict[str, tuple[str, ...]] = {
    "corners": ("proportional", "fixed"),
    "frame": ("closed", "dashed"),
    "radial": ("ring", "reticle", "diamond", "pointers4", "pointers3"),
    "beside": ("chevron", "bar", "dot"),
    "outline": ("outline",),
    "ground": ("ground",),
    "learned": GLYPHS,
}


@dataclass(frozen=True)
class Drawn:
    """A mark in a frame: boxes xyxy, exclusive end."""

    mark: np.ndarray
    target: np.ndarray
    whole: bool
    """Whether nothing hides it and it is all in the frame."""


@dataclass(frozen=True)
class MarkScene:
    """What is shown. Equal scenes give equal pictures."""

    family: str
    variant: str
    seed: int = 0
    frames: int = 40
    size: tuple[int, int] = (1280, 720)
    marks: int = 1
    turning: bool = False
    pulsing: bool = False
    lock: bool = False
    """Whether the colour changes half-way."""
    text: bool = False
    """Whether text in the mark's colour touches it."""
    clutter: bool = False
    """Whether parts of a HUD have the mark's colour."""
    occluded: bool = False
    """Whether a panel hides a part of the scene."""
    edge: bool = False
    """Whether marks cross the edge of the screen."""
    shown: bool = True
    """False: the same scene without any mark."""
    zoom: float = 1.0
    """Size of targets and marks; what a game draws in pixels keeps its size."""
    background: str = ""
    """``space``, ``soil`` or ``city``; by default the seed chooses."""

    @property
    def scale(self) -> float:
        """Games draw larger on larger screens."""
        return max(self.size[1] / 720, 1.0)

    @cached_property
    def _rng_values(self) -> dict:
        rng = np.random.default_rng([self.seed, 77])
        width, height = self.size
        n = self.marks
        margin = 130 * self.scale
        return {
            "colour": COLOURS[int(rng.integers(len(COLOURS)))],
            "other": COLOURS[int(rng.integers(len(COLOURS)))],
            "start": rng.uniform([margin, margin], [width - margin, height - margin], (n, 2)),
            "velocity": rng.uniform(-7, 7, (n, 2)) * self.scale,
            "length": rng.uniform(34, 62, n) * self.scale,
            "grow": rng.uniform(-0.3, 0.3, n),
            "spin": rng.uniform(0.02, 0.06, n) * rng.choice([-1, 1], n),
            "phase": rng.uniform(0, 2 * np.pi, n),
            # The outline of a sliver is two lines beside each other.
            "shape": rng.choice(
                [shape for shape in SHAPES if (shape, self.family) != ("sliver", "outline")], n
            ),
            "grey": rng.uniform(70, 190, (n, 1)) * rng.uniform(0.8, 1.2, (n, 3)),
            "second": COLOURS[(self.seed + 3) % len(COLOURS)],
            "background": self.background or str(rng.choice(["space", "soil", "city"])),
        }

    def picture(self, index: int) -> np.ndarray:
        """The uncompressed frame: RGB uint8 (H, W, 3)."""
        image = self._background(index)
        values = self._rng_values
        for number in range(self.marks):
            outline = self._outline(number, index)
            if self.family == "ground" and self.shown:
                self._paint(image, number, index)
            cv2.fillPoly(
                image, [fixed(outline)], values["grey"][number].clip(0, 255).tolist(), cv2.LINE_AA, 4
            )
            ridge = fixed(np.array([outline[0], outline.mean(axis=0)]))
            cv2.polylines(image, [ridge], False, (30, 30, 34), 1, cv2.LINE_AA, 4)
            if self.family != "ground" and self.shown:
                self._paint(image, number, index)
        if self.clutter:
            self._clutter(image)
        if self.occluded:
            x1, y1, x2, y2 = self.panel
            image[y1:y2, x1:x2] = (38, 42, 48)
            cv2.rectangle(image, (x1, y1), (x2 - 1, y2 - 1), (110, 116, 124), 2)
        return image

    @property
    def panel(self) -> tuple[int, int, int, int]:
        """xyxy of the opaque panel."""
        width, height = self.size
        return int(0.4 * width), int(0.62 * height), int(0.75 * width), int(0.95 * height)

    def truth(self, index: int) -> list[Drawn]:
        """The marks of a frame."""
        if not self.shown:
            return []
        width, height = self.size
        drawn = []
        for number in range(self.marks):
            box, outline = self._mark_box(number, index), self._outline(number, index)
            target = np.concatenate((outline.min(axis=0), outline.max(axis=0) + 1))
            inside = (box[:2] >= 0).all() and (box[2:] <= [width, height]).all()
            hidden = self.occluded and bool(
                (np.minimum(box[2:], self.panel[2:]) > np.maximum(box[:2], self.panel[:2])).all()
            )
            if not ((box[2:] > 4) & (box[:2] < np.array([width, height]) - 4)).all():
                continue
            drawn.append(Drawn(box, target, bool(inside and not hidden)))
        for one in range(len(drawn)):  # marks that touch another are not whole
            for other in range(len(drawn)):
                a, b = drawn[one].mark, drawn[other].mark
                if one != other and (np.minimum(a[2:], b[2:]) + 6 > np.maximum(a[:2], b[:2])).all():
                    drawn[one] = Drawn(a, drawn[one].target, False)
        return drawn

    def pictures(self) -> Iterator[np.ndarray]:
        """All frames, uncompressed."""
        return (self.picture(index) for index in range(self.frames))

    def _centre(self, number: int, index: int) -> np.ndarray:
        values = self._rng_values
        place = values["start"][number] + index * values["velocity"][number]
        margin = -40 * self.scale if self.edge else 115 * max(self.zoom, 1) * self.scale
        low, span = margin, np.array(self.size) - 2 * margin
        return low + np.abs((place - low) % (2 * span) - span)

    def _length(self, number: int, index: int) -> float:
        values = self._rng_values
        growth = 1 + values["grow"][number] * index / max(self.frames - 1, 1)
        return float(self.zoom * values["length"][number] * growth)

    def _outline(self, number: int, index: int) -> np.ndarray:
        values = self._rng_values
        points = np.array(SHAPES[str(values["shape"][number])])
        angle = values["phase"][number] + values["spin"][number] * index
        if self.family in ("ground", "beside") or self.variant in ("skull", "plate"):
            angle *= 0.2
        turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
        return points @ turn.T * self._length(number, index) / 2 + self._centre(number, index)

    def _half(self, number: int, index: int) -> float:
        """Half the side of a mark around the target."""
        half = 0.5 * 1.35 * self._length(number, index)
        if self.pulsing:
            half *= 1 + 0.1 * np.sin(index * 0.9)
        return float(np.round(half))

    def _mark_box(self, number: int, index: int) -> np.ndarray:
        centre, scale = np.round(self._centre(number, index)), self.scale
        half = self._half(number, index)
        outline = self._outline(number, index)
        if self.family == "ground":
            foot = outline[:, 1].max()
            rx, ry = half, np.round(0.45 * half)
            middle = np.round(np.array([centre[0], foot - 0.6 * ry]))
            pad = self._line / 2
            return np.array(
                [
                    middle[0] - rx - pad,
                    middle[1] - ry - pad,
                    middle[0] + rx + pad + 1,
                    middle[1] + ry + pad + 1,
                ]
            )
        if self.family == "beside" or self.variant in ("skull", "plate"):
            top = np.round(outline[:, 1].min() - 10 * scale)
            w, h = SIGNS[self.variant]
            w, h = round(w * scale), round(h * scale)
            x = np.round(centre[0] - w / 2)
            return np.array([x, top - h, x + w, top])
        if self.family == "outline":
            pad = 2 * scale + self._line / 2
            return np.concatenate((outline.min(axis=0) - pad, outline.max(axis=0) + pad + 1))
        if self.variant.startswith("pointers"):
            points = np.concatenate(self._pointers(number, index))
            return np.concatenate((points.min(axis=0), points.max(axis=0) + 1))
        if self.family == "radial":
            pad = self._line / 2
            return np.concatenate((centre - half - pad, centre + half + pad + 1))
        return np.concatenate((centre - half, centre + half + 1))

    @property
    def _line(self) -> int:
        return max(round(2 * self.scale), 2)

    def _pointers(self, number: int, index: int) -> list[np.ndarray]:
        count = int(self.variant[-1])
        centre, half = self._centre(number, index), self._half(number, index) + 6 * self.scale
        phase = self._rng_values["phase"][number] + (0.08 * index if self.turning else 0)
        shapes = []
        for k in range(count):
            angle = phase + 2 * np.pi * k / count
            out = np.array([np.cos(angle), np.sin(angle)])
            across = np.array([-out[1], out[0]])
            s = self.scale
            tip, base = centre + (half - 12 * s) * out, centre + half * out
            shapes.append(np.array([tip, base + 4 * s * across, base - 4 * s * across]))
        return shapes

    def _paint(self, image: np.ndarray, number: int, index: int) -> None:
        values, line = self._rng_values, self._line
        colour = values["other"] if self.lock and index >= self.frames / 2 else values["colour"]
        box = self._mark_box(number, index)
        x1, y1, x2, y2 = np.round(box).astype(int)
        centre = tuple(np.round(self._centre(number, index)).astype(int).tolist())
        half = int(self._half(number, index))
        phase = float(np.degrees(0.08 * index)) if self.turning else 0.0
        if self.family == "learned":
            paint(image, self.variant, box, (colour, values["second"]), self.scale)
        elif self.family == "corners":
            arm = round(8 * self.scale) if self.variant == "fixed" else round(0.25 * (x2 - x1))
            for x, dx in ((x1, 1), (x2 - 1, -1)):
                for y, dy in ((y1, 1), (y2 - 1, -1)):
                    for k in range(line):
                        cv2.line(image, (x, y + dy * k), (x + dx * (arm - 1), y + dy * k), colour, 1)
                        cv2.line(image, (x + dx * k, y), (x + dx * k, y + dy * (arm - 1)), colour, 1)
        elif self.family == "frame":
            dash = 0 if self.variant == "closed" else round(6 * self.scale)
            for k in range(line):
                dashed(image, (x1 + k, y1 + k, x2 - 1 - k, y2 - 1 - k), colour, dash)
        elif self.variant in ("ring", "reticle"):
            gaps = 4 if self.variant == "reticle" else 1
            for k in range(gaps):
                begin = phase + 360 / gaps * k + (18 if gaps > 1 else 0)
                cv2.ellipse(
                    image,
                    centre,
                    (half, half),
                    0,
                    begin,
                    begin + 360 / gaps - (36 if gaps > 1 else 0),
                    colour,
                    line,
                    cv2.LINE_AA,
                )
                if gaps > 1:
                    a = np.radians(phase + 90 * k)
                    tick = np.array([[half - 9, half]]) * self.scale**0 * np.array([[np.cos(a)], [np.sin(a)]])
                    p, q = (np.round(tick[:, j] + centre).astype(int).tolist() for j in (0, 1))
                    cv2.line(image, p, q, colour, line, cv2.LINE_AA)
        elif self.variant == "diamond":
            points = np.array([[0, -half], [half, 0], [0, half], [-half, 0]]) + np.array(centre)
            cv2.polylines(image, [points], True, colour, line, cv2.LINE_AA)
        elif self.variant.startswith("pointers"):
            for shape in self._pointers(number, index):
                cv2.fillPoly(image, [fixed(shape)], colour, cv2.LINE_AA, 4)
        elif self.variant == "chevron":
            cv2.fillPoly(image, [np.array([[x1, y1], [x2 - 1, y1], [(x1 + x2 - 1) // 2, y2 - 1]])], colour)
        elif self.variant == "bar":
            image[y1:y2, x1:x2] = colour
        elif self.variant == "dot":
            cv2.ellipse(
                image,
                ((x1 + x2 - 1) // 2, (y1 + y2 - 1) // 2),
                ((x2 - x1) // 2, (y2 - y1) // 2),
                0,
                0,
                360,
                colour,
                -1,
            )
        elif self.family == "outline":
            hull = self._outline(number, index)
            centre_ = (hull.max(axis=0) + hull.min(axis=0)) / 2
            size = hull.max(axis=0) - hull.min(axis=0)
            grown = (hull - centre_) * (1 + 4 * self.scale / np.maximum(size, 8)) + centre_
            cv2.polylines(image, [fixed(grown)], True, colour, line, cv2.LINE_AA, 4)
        elif self.family == "ground":
            middle = ((x1 + x2 - 1) // 2, (y1 + y2 - 1) // 2)
            cv2.ellipse(
                image,
                middle,
                ((x2 - x1 - line) // 2, (y2 - y1 - line) // 2),
                0,
                0,
                360,
                colour,
                line,
                cv2.LINE_AA,
            )
        if self.text:
            cv2.putText(
                image,
                "Viper 3 km",
                (x2 + 2, (y1 + y2) // 2),
                cv2.FONT_HERSHEY_SIMPLEX,
                0.45 * self.scale,
                colour,
                1,
                cv2.LINE_AA,
            )

    def _clutter(self, image: np.ndarray) -> None:
        width, height = self.size
        s, colour = self.scale, self._rng_values["colour"]
        for row in range(3):
            y = round((20 + 18 * row) * s)
            cv2.rectangle(image, (round(14 * s), y), (round(150 * s), y + round(9 * s)), colour, 1)
            cv2.rectangle(
                image, (round(14 * s), y), (round((50 + 30 * row) * s), y + round(9 * s)), colour, -1
            )
        for row, text in enumerate(["SHIELD 84%", "SPEED 312 m/s", "[L] TARGET HOSTILE"]):
            place = round(width - 220 * s), round((30 + 20 * row) * s)
            cv2.putText(
                image, text, place, cv2.FONT_HERSHEY_SIMPLEX, 0.5 * s, colour, max(round(s), 1), cv2.LINE_AA
            )
        cv2.line(
            image,
            (round(width * 0.1), height - 30),
            (round(width * 0.3), height - 90),
            colour,
            1,
            cv2.LINE_AA,
        )
        for k in range(5):
            x = round((30 + 26 * k) * s)
            cv2.line(image, (x, height - round(40 * s)), (x, height - round(24 * s)), colour, 2)

    def _background(self, index: int) -> np.ndarray:
        pan = int(index * 2 * self.scale)
        return np.ascontiguousarray(np.roll(self._ground, (-pan, pan // 2), axis=(1, 0)))

    @cached_property
    def _ground(self) -> np.ndarray:
        rng = np.random.default_rng([self.seed, 5])
        width, height = self.size
        kind = self._rng_values["background"]
        if kind == "space":
            mist = cv2.resize(rng.uniform(0, 34, (4, 6, 3)), (width, height), interpolation=cv2.INTER_CUBIC)
            stars = np.zeros((height, width, 1))
            at = rng.integers([0, 0], [height, width], (500, 2))
            stars[at[:, 0], at[:, 1], 0] = rng.uniform(60, 220, 500)
            ground = mist + stars + rng.normal(0, 1.5, (height, width, 1))
        else:
            base = np.array([122, 86, 60] if kind == "soil" else [96, 100, 104]) * rng.uniform(0.7, 1.1)
            rough = sum(
                cv2.resize(rng.normal(0, a, (height // d + 1, width // d + 1)), (width, height))
                for d, a in ((64, 16), (12, 9), (3, 7))
            )
            ground = base + np.asarray(rough)[..., None] * (1.0, 0.9, 0.8)
            if kind == "city":
                for _ in range(26):
                    x, y = rng.integers([0, 0], [width, height])
                    w, h = (rng.integers(40, 170, 2) * self.scale).astype(int)
                    ground[y : y + h, x : x + w] = rng.uniform(40, 170) * rng.uniform(0.9, 1.1, 3)
        return np.clip(ground, 0, 255).astype(np.uint8)


def encoded(scene: MarkScene, folder: Path, crf: int = 21) -> Path:
    """The scene as an H.264 file with halved chroma."""
    path = folder / f"{scene.variant}_{scene.seed}_{scene.zoom:g}{'' if scene.shown else '_empty'}.mp4"
    write_video(path, scene.pictures(), options={"crf": str(crf), "preset": "veryfast"})
    return path


def decoded(scene: MarkScene, folder: Path) -> list[np.ndarray]:
    """The scene's frames as they come back from the encoder: RGB uint8 (H, W, 3)."""
    return [frame.rgb() for frame in read_frames(encoded(scene, folder))]


def examples_at(scene: MarkScene, count: int = 5) -> list[int]:
    """Evenly spaced frames in which every mark is whole."""
    good = [i for i in range(scene.frames) if (t := scene.truth(i)) and all(d.whole for d in t)]
    return [good[place] for place in evenly(len(good), count)]
