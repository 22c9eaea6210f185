"""Marks that no family of marks describes: of several colours, partly transparent, without symmetry."""

import cv2
import numpy as np

GLYPHS = ("sigil", "skull", "plate")
OPACITY = {"sigil": 0.75, "skull": 0.8, "plate": 0.85}
_FINE = 8
"""Drawn so many times finer than shown, then averaged."""


def paint(image: np.ndarray, variant: str, box: np.ndarray, colours: tuple, scale: float) -> None:
    """Draw a glyph that fills a box onto an image, in place; what leaves the image is cut.

    Args:
        image: RGB uint8 (H, W, 3).
        variant: one of GLYPHS.
        box: whole pixels, xyxy.
        colours: two RGB colours.
        scale: width of lines, 1 at 720p.
    """
    x1, y1, x2, y2 = np.round(box).astype(int)
    colour, opacity = _picture(variant, x2 - x1, y2 - y1, colours, scale)
    height, width = image.shape[:2]
    left, top, right, bottom = max(x1, 0), max(y1, 0), min(x2, width), min(y2, height)
    if left >= right or top >= bottom:
        return
    part = np.s_[top - y1 : bottom - y1, left - x1 : right - x1]
    under = image[top:bottom, left:right].astype(np.float32)
    share = opacity[part][..., None] * OPACITY[variant]
    image[top:bottom, left:right] = (share * colour[part] + (1 - share) * under).round().astype(np.uint8)


def _picture(
    variant: str, width: int, height: int, colours: tuple, scale: float
) -> tuple[np.ndarray, np.ndarray]:
    """RGB float (h, w, 3) and coverage 0 to 1 (h, w)."""
    shape = (height * _FINE, width * _FINE)
    colour, cover = np.zeros((*shape, 3), np.uint8), np.zeros(shape, np.uint8)
    size = np.array([shape[1] - 1, shape[0] - 1])

    def polygon(points: list, paint: tuple, share: int = 255) -> None:
        at = [np.round(np.array(points) * size).astype(np.int32)]
        cv2.fillPoly(colour, at, paint)
        cv2.fillPoly(cover, at, [share])

    def disc(x: float, y: float, rx: float, ry: float, paint: tuple) -> None:
        place = (
            np.round(np.array([x, y]) * size).astype(int).tolist(),
            [int(rx * size[0]), int(ry * size[1])],
        )
        cv2.ellipse(colour, *place, 0, 0, 360, paint, -1)
        cv2.ellipse(cover, *place, 0, 0, 360, [255], -1)

    first, second = colours
    if variant == "sigil":  # around the target: a hook left, a slanted bar right, a fang below
        t = 4 * scale / width
        polygon([(0, 0.1), (0.4, 0), (0.4, t), (t, 0.1 + t), (t, 0.62), (0, 0.7)], first)
        polygon([(1 - 1.2 * t, 0.3), (1, 0.22), (1, 0.9), (1 - 1.2 * t, 0.82)], second)
        polygon([(0.3, 1 - 2 * t), (0.62, 1 - 2 * t), (0.5, 1)], (240, 240, 240))
    elif variant == "skull":
        polygon([(0, 0), (1, 0), (1, 0.6), (0.5, 1), (0, 0.6)], first, 150)
        disc(0.5, 0.38, 0.33, 0.3, (235, 232, 220))
        polygon([(0.33, 0.5), (0.67, 0.5), (0.63, 0.8), (0.37, 0.8)], (235, 232, 220))
        disc(0.37, 0.4, 0.1, 0.1, (20, 16, 16))
        disc(0.66, 0.4, 0.13, 0.12, second)
    elif variant == "plate":
        polygon([(0, 0), (1, 0), (1, 1), (0.2, 1), (0, 0.7)], (18, 20, 26), 140)
        polygon([(0.08, 0.15), (0.3, 0.15), (0.3, 0.62), (0.08, 0.45)], first)
        for k, x in enumerate((0.42, 0.58, 0.74)):
            polygon([(x, 0.2 + 0.1 * k), (x + 0.08, 0.2), (x + 0.08, 0.75), (x, 0.8)], (225, 228, 232))
        polygon([(0.4, 0.86), (0.95, 0.86), (0.95, 0.96), (0.4, 0.96)], second)
    else:
        raise ValueError(f"variant: expected one of {GLYPHS}, got {variant!r}")
    small = cv2.resize(cover, (width, height), interpolation=cv2.INTER_AREA).astype(np.float32) / 255
    weighted = colour.astype(np.float32) * (cover[..., None] / np.float32(255))
    mean = cv2.resize(weighted, (width, height), interpolation=cv2.INTER_AREA)
    return mean / np.maximum(small, 1e-3)[..., None], small
