"""Prompts for the target in a designator: several kinds, so that their masks can be compared."""

from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from gotowce_dagster.core.boxes import centres

_OUTWARD = 1.2


@dataclass(frozen=True)
class Prompt:
    """Points and their labels, or a box, or a mask; in pixels of one image."""

    points: np.ndarray | None = None
    """float (n, 2) as x, y."""
    labels: np.ndarray | None = None
    """int (n,): 1 target, 0 not."""
    box: np.ndarray | None = None
    """xyxy float (4,)."""
    mask: np.ndarray | None = None
    """bool (H, W); supported by propagators, not by image segmenters."""


def point(box: np.ndarray) -> Prompt:
    """A positive point at the centre of the designator."""
    return Prompt(centres(box[None]), np.ones(1, int))


def ring(box: np.ndarray) -> Prompt:
    """A positive point at the centre, and negative points on the corners and beyond each side."""
    x1, y1, x2, y2 = box
    corners = np.array([(x1, y1), (x2, y1), (x2, y2), (x1, y2)])
    middles = (corners + np.roll(corners, -1, axis=0)) / 2
    outside = centres(box[None]) + _OUTWARD * (middles - centres(box[None]))
    points = np.concatenate([centres(box[None]), corners, outside])
    return Prompt(points, np.r_[1, np.zeros(len(points) - 1, int)])


def whole(box: np.ndarray) -> Prompt:
    """The designator as a box: right for targets that fill it; otherwise it selects the bracket's square."""
    return Prompt(box=box)


PROMPTS: dict[str, Callable[[np.ndarray], Prompt]] = {"point": point, "ring": ring, "box": whole}


@dataclass(frozen=True)
class Batch:
    """Prompts of one length, all or none of them with a box, for one call of a mask decoder."""

    places: list[tuple[int, int]]
    """For each prompt, the index of its crop and its index among the prompts of that crop."""
    points: np.ndarray
    """float (n, k, 2) as x, y in pixels of their crops; a box is two corners, before the points."""
    labels: np.ndarray
    """int (n, k): 1 target, 0 not, 2 and 3 a box's first and second corner."""


def batches(prompts: Sequence[Sequence[Prompt]], at_most: int) -> Iterator[Batch]:
    """Group all prompts of all crops into as few batches as possible, of ``at_most`` prompts each.

    A decoder takes prompts of one length. Shorter ones could be padded with points labelled -1, but padding
    changes the predictions: the median IoU of SAM 2's masks for one point, with and without eight such
    points, was 0.3.

    Raises:
        ValueError: a prompt has neither points nor a box.
    """
    by_kind: dict[tuple[int, bool], list[tuple[tuple[int, int], np.ndarray, np.ndarray]]] = defaultdict(list)
    for crop, of_crop in enumerate(prompts):
        for number, prompt in enumerate(of_crop):
            points, labels = as_points(prompt)
            by_kind[len(points), prompt.box is not None].append(((crop, number), points, labels))
    for alike in by_kind.values():
        for start in range(0, len(alike), at_most):
            places, points, labels = zip(*alike[start : start + at_most], strict=True)
            yield Batch(list(places), np.stack(points), np.stack(labels))


def as_points(prompt: Prompt) -> tuple[np.ndarray, np.ndarray]:
    """Convert a prompt to points (n, 2) and labels (n,); a box adds its two corners, labelled 2 and 3.

    Raises:
        ValueError: the prompt has neither points nor a box.
    """
    parts = []
    if prompt.box is not None:
        parts.append((prompt.box.reshape(2, 2), np.array([2, 3])))
    if prompt.points is not None and prompt.labels is not None:
        parts.append((prompt.points, prompt.labels))
    if not parts:
        raise ValueError("a prompt of an image needs points with labels, or a box")
    points, labels = zip(*parts, strict=True)
    return np.concatenate(points), np.concatenate(labels)
