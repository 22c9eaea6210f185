"""Thresholds of one channel: a single number decides which pixels are the mark's.

A profile's colours are boxes in YCrCb. One threshold of one channel is weaker and simpler: it can be read
off a table, written by hand, and compared between games.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np

from gotowce_dagster.config.detector_settings import CHANNELS, Channel, Threshold
from gotowce_dagster.core.colour import Colour
from gotowce_dagster.designators.evidence import mask_of, to_ycrcb


@dataclass(frozen=True)
class Separation:
    """How well one threshold tells mark from background."""

    threshold: Threshold
    mark_kept: float
    """Share of the mark's pixels that pass."""
    background_kept: float
    """Share of the background's pixels that pass."""

    @property
    def score(self) -> float:
        """Youden's J: the difference of both shares; 1 separates perfectly, 0 not at all."""
        return self.mark_kept - self.background_kept


def channels_of(pixels: np.ndarray) -> np.ndarray:
    """Convert RGB uint8 (..., 3) to uint8 (..., 9) in the order of CHANNELS; hue has 0 to 179."""
    rows = np.ascontiguousarray(pixels).reshape(1, -1, 3)
    spaces = (rows, cv2.cvtColor(rows, cv2.COLOR_RGB2HSV), to_ycrcb(rows))
    return np.concatenate(spaces, axis=2).reshape(*pixels.shape[:-1], len(CHANNELS))


def histograms(pixels: np.ndarray) -> np.ndarray:
    """Count the values of each channel: int (9, 256) of RGB uint8 (n, 3)."""
    if not len(pixels):  # OpenCV refuses them
        return np.zeros((len(CHANNELS), 256), int)
    values = channels_of(pixels)
    return np.stack([np.bincount(values[:, place], minlength=256) for place in range(len(CHANNELS))])


def separations(mark: np.ndarray, background: np.ndarray) -> list[Separation]:
    """Find the threshold of each channel that separates best, the best channel first.

    Args:
        mark, background: histograms, int (9, 256).

    Returns:
        One per channel; none if there are no pixels of either.
    """
    if not mark.sum() or not background.sum():
        return []
    found = [_separation(name, mark[place], background[place]) for place, name in enumerate(CHANNELS)]
    return sorted(found, key=lambda one: -one.score)


def _separation(channel: Channel, mark: np.ndarray, background: np.ndarray) -> Separation:
    own, other = (np.cumsum(counts) / counts.sum() for counts in (mark, background))
    # Share of pixels of at least v: 1 minus those below.
    above = np.stack([1 - np.concatenate(([0], share[:-1])) for share in (own, other)])
    below = np.stack([own, other])
    options = []
    for shares, side in ((above, "at_least"), (below, "at_most")):
        value = _middle_of_best(shares[0] - shares[1])
        threshold = Threshold.model_validate({"channel": channel, side: value})
        options.append(Separation(threshold, float(shares[0, value]), float(shares[1, value])))
    return max(options, key=lambda one: one.score)


def _middle_of_best(scores: np.ndarray) -> int:
    """The middle of the first run of the highest score, farthest from the values on both sides of a gap."""
    is_best = scores >= scores.max() - 1e-12
    first = int(is_best.argmax())
    length = int(np.append(~is_best[first:], True).argmax())
    return first + (length - 1) // 2


def passing(image: np.ndarray, threshold: Threshold) -> np.ndarray:
    """Pixels of an RGB uint8 image (H, W, 3) that pass, bool (H, W)."""
    values = channels_of(image)[..., CHANNELS.index(threshold.channel)]
    if threshold.at_least is not None:
        return values >= threshold.at_least
    assert threshold.at_most is not None
    return values <= threshold.at_most


def automatic(image: np.ndarray, colours: Sequence[Colour]) -> Threshold | None:
    """The best threshold of one frame between pixels of a mark's colours and all others.

    Args:
        image: RGB uint8 (H, W, 3).
        colours: of the video's designators.

    Returns:
        None if the frame has no pixel of these colours, or no other.
    """
    if not colours:
        return None
    is_mark = mask_of(to_ycrcb(image), colours).astype(bool)
    best = separations(histograms(image[is_mark]), histograms(image[~is_mark]))
    return best[0].threshold if best else None


def thresholded(image: np.ndarray, threshold: Threshold) -> np.ndarray:
    """A copy of an RGB image in which every pixel that does not pass is black."""
    return image * passing(image, threshold)[..., None]
