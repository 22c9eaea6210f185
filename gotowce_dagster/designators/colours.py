"""The colours of a mark of unknown form, from boxes around it.

A colour is the mark's if every example has some of it and the rest of the frame has little. Several colours
may pass that test, the target's own among them; each is a hypothesis, and the families decide.
"""

from collections.abc import Sequence

import numpy as np

from gotowce_dagster.designators.profile import Colour

NEAR = np.array([38.0, 15.0, 15.0])
"""Pixels of one colour differ from its middle by at most so much in Y, Cr, Cb."""
_BACKGROUND = 12_000
_SEEDS = 500
_PURER = 1.6
"""Chroma of the purest pixels of a line relative to that of its fringe, at most."""
_DARKEST = 0.5
"""Brightness of the darkest shade of a colour, relative to it."""
_HUE = 22.0
"""Distance from grey in Cr and Cb from which a colour has a hue."""


def hypotheses(
    scenes: Sequence[np.ndarray], boxes: Sequence[np.ndarray], most: int = 6
) -> list[tuple[Colour, ...]]:
    """Sets of colours that may be the mark's, the most telling first.

    Args:
        scenes: YCrCb uint8 (H, W, 3).
        boxes: float (4,) xyxy, one a scene.
    """
    inside = [_pixels(scene, box) for scene, box in zip(scenes, boxes, strict=True)]
    outside = np.concatenate([_around(scene, box) for scene, box in zip(scenes, boxes, strict=True)])
    if not len(outside):  # the boxes are whole frames: nothing tells a mark from what is around it
        return []
    seeds = np.concatenate([pixels[:: max(len(pixels) * len(inside) // _SEEDS, 1)] for pixels in inside])
    counts = np.stack([_near(seeds, pixels) for pixels in inside], axis=1)  # (seeds, examples)
    usual = _near(seeds, outside) / len(outside)
    found: list[tuple[Colour, ...]] = []
    taken = np.zeros(len(seeds), bool)
    for _ in range(most):
        middles = _cover(seeds, counts, usual, np.array([len(p) for p in inside]), taken)
        if middles is None:
            break
        shades = tuple(_colour(seeds[seed], inside, shades=True) for seed in middles)
        colours = tuple(_colour(seeds[seed], inside) for seed in middles)
        for seed in middles:
            taken |= (np.abs(seeds - seeds[seed]) <= 0.8 * NEAR).all(axis=1)
        found += [each for each in (colours, shades) if each not in found]
    return found


def _pixels(scene: np.ndarray, box: np.ndarray) -> np.ndarray:
    x1, y1 = np.maximum(np.floor(box[:2]).astype(int) - 1, 0)
    x2, y2 = np.ceil(box[2:]).astype(int) + 1
    return scene[y1:y2, x1:x2].reshape(-1, 3).astype(np.float32)


def _around(scene: np.ndarray, box: np.ndarray) -> np.ndarray:
    """A sample of the pixels outside a box, half of them close to it."""
    height, width = scene.shape[:2]
    y, x = np.mgrid[0:height:5, 0:width:5].reshape(2, -1)
    size = box[2:] - box[:2]
    out = (x < box[0] - 4) | (x >= box[2] + 4) | (y < box[1] - 4) | (y >= box[3] + 4)
    close = (
        out
        & (np.abs(x - (box[0] + box[2]) / 2) < 1.5 * size[0])
        & (np.abs(y - (box[1] + box[3]) / 2) < 1.5 * size[1])
    )
    far = np.flatnonzero(out & ~close)
    picked = np.concatenate((np.flatnonzero(close), far[:: max(len(far) // _BACKGROUND, 1)]))
    return scene[y[picked], x[picked]].astype(np.float32)


def _near(seeds: np.ndarray, pixels: np.ndarray) -> np.ndarray:
    """How many pixels each seed has near it: (seeds,)."""
    step = max(len(pixels) // 20_000, 1)
    counts = [
        (np.abs(seeds[:, None] - part) <= NEAR).all(axis=-1).sum(axis=1)
        for part in np.array_split(pixels[::step], max(len(pixels) // step // 2000, 1))
    ]
    return np.sum(counts, axis=0) * step


def _cover(
    seeds: np.ndarray, counts: np.ndarray, usual: np.ndarray, sizes: np.ndarray, taken: np.ndarray
) -> list[int] | None:
    """Seeds whose colours together are in every example, as few as can be; None if no more can."""
    open_ = np.ones(counts.shape[1], bool)
    chosen: list[int] = []
    while open_.any() and len(chosen) < 3:
        share = counts[:, open_] / sizes[open_]
        # What the frame is full of says nothing; nor does a colour of a few pixels in one example.
        lift = np.log((share + 1e-4) / (usual[:, None] + 2e-3)).clip(-1, 5)
        has = (counts[:, open_] >= 8) & (lift > 1.0)
        vivid = np.hypot(seeds[:, 1] - 128, seeds[:, 2] - 128) / 60
        # Beside a line of a vivid colour lies a fringe of paler ones.
        score = has.mean(axis=1) * 4 + np.median(lift, axis=1) + 2 * np.minimum(vivid, 1.5)
        score[taken | (has.sum(axis=1) < min(2, open_.sum()))] = -np.inf
        best = int(score.argmax())
        if not np.isfinite(score[best]):
            break
        covered = np.flatnonzero(open_)[has[best]]
        chosen.append(best)
        open_[covered] = False
    left = int(open_.sum())
    return chosen if chosen and left <= max(0, round(0.2 * len(open_))) else None


def _colour(seed: np.ndarray, inside: Sequence[np.ndarray], *, shades: bool = False) -> Colour:
    """A box in YCrCb around the seed's pixels, towards black and grey wider than away from them.

    Args:
        shades: take the pixels of one hue, darker and brighter ones too, where the seed has a hue.
    """
    pixels = np.concatenate(inside)
    tint, full = pixels[:, 1:] - 128, float(np.hypot(*(seed[1:] - 128)))
    if shades and full >= _HUE:
        along, across = _by_hue(tint, seed[1:] - 128)
        # On black, halved chroma tints the pixels beside a line too.
        lit = pixels[:, 0] >= _DARKEST * seed[0]
        own = pixels[(along >= 0.45 * full) & (across <= 0.3 * along + 3) & lit]
    else:
        own = pixels[(np.abs(pixels - seed) <= NEAR).all(axis=1)]
    low, middle, high = np.quantile(own, (0.03, 0.5, 0.97), axis=0)
    low, high = low - np.array([14, 4, 4]), high + np.array([22, 6, 6])
    purest = _purest(seed, pixels)
    low[1:], high[1:] = np.minimum(low[1:], purest - 4), np.maximum(high[1:], purest + 4)
    tint = middle[1:] - 128
    for axis in range(2):
        pull = 0.45 * abs(tint[axis])  # thin lines lose chroma
        if tint[axis] > 0:
            low[axis + 1] = min(low[axis + 1], 128 + tint[axis] - pull)
        else:
            high[axis + 1] = max(high[axis + 1], 128 + tint[axis] + pull)
        if abs(tint[axis]) == abs(tint).max() >= 14:
            bound = 128 + 0.35 * tint[axis]
            if tint[axis] > 0:
                low[axis + 1] = max(low[axis + 1], bound)
            else:
                high[axis + 1] = min(high[axis + 1], bound)
    low, high = np.clip(low, 0, 255), np.clip(high, 0, 255)
    centre, tolerance = np.round((low + high) / 2).astype(int), np.ceil((high - low) / 2).astype(int)
    return Colour(ycrcb=tuple(centre.tolist()), tolerance=tuple(tolerance.tolist()))


def _purest(seed: np.ndarray, pixels: np.ndarray) -> np.ndarray:
    """Cr and Cb of the purest pixels as bright as the seed and of its hue: the seed may be of a fringe.

    Args:
        seed: YCrCb, float (3,).
        pixels: of all examples, YCrCb, float (n, 3).
    """
    tint, full = pixels[:, 1:] - 128, float(np.hypot(*(seed[1:] - 128)))
    if full < _HUE:
        return seed[1:]
    along, across = _by_hue(tint, seed[1:] - 128)
    alike = (np.abs(pixels[:, 0] - seed[0]) <= NEAR[0]) & (across <= 0.15 * along) & (along >= full)
    reach = float(np.quantile(along[alike], 0.97)) if alike.any() else full
    return 128 + (seed[1:] - 128) * min(reach / full, _PURER)


def _by_hue(tints: np.ndarray, hue: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """How far tints (n, 2) lie along a hue (2,) and how far, without sign, across it: (n,) each."""
    direction = hue / np.hypot(*hue)
    return tints @ direction, np.abs(tints @ np.array([direction[1], -direction[0]]))
