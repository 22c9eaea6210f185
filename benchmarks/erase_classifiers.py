"""Two classifiers that try to tell patches that were painted over from others, and their cross-validation."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

import cv2
import numpy as np
from scipy.optimize import minimize

if TYPE_CHECKING:
    import torch
    from torch import nn

Judge = Callable[[np.ndarray, np.ndarray, np.ndarray], np.ndarray]
"""Inputs to learn from (n, ...), whether each was painted (n,), inputs to judge: logits."""

_EPOCHS, _BATCH, _RATE = 12, 128, 3e-3
_RIDGE = 1.0
"""Weight decay of the logistic regression, on standardised features."""
_SEED, _DRAWS = 1, 1000
"""Of a network's first weights; bootstrap draws of an interval."""


@dataclass(frozen=True, eq=False)
class Patches:
    """Square patches of pictures."""

    pixels: np.ndarray
    """RGB uint8 (n, S, S, 3)."""
    clip: np.ndarray
    """Name of the clip each is from (n,)."""
    time_s: np.ndarray
    """When (n,)."""
    length_s: np.ndarray
    """Of its clip (n,)."""

    def __len__(self) -> int:
        return len(self.pixels)


@dataclass(frozen=True)
class Accuracy:
    """Balanced accuracy, with an interval of 95 % over draws of whole seconds of video."""

    mean: float
    low: float
    high: float

    def __str__(self) -> str:
        return f"{self.mean:.3f} ({self.low:.3f} to {self.high:.3f})"


@dataclass(frozen=True)
class Classifier:
    """A way to tell patches apart."""

    name: str
    inputs_of: Callable[[np.ndarray], np.ndarray]
    """RGB uint8 (n, S, S, 3) to what is judged (n, ...)."""
    judge: Judge


def logistic_regression(known: np.ndarray, painted: np.ndarray, asked: np.ndarray) -> np.ndarray:
    """On standardised numbers (n, F)."""
    middle, spread = known.mean(axis=0), known.std(axis=0) + 1e-6
    x, z = (np.clip((v - middle) / spread, -5, 5) for v in (known, asked))
    sign = np.where(painted, 1.0, -1.0)

    def loss(weights: np.ndarray) -> tuple[float, np.ndarray]:
        margin = sign * (x @ weights[1:] + weights[0])
        pull = -sign / (1 + np.exp(np.clip(margin, -30, 30)))
        gradient = np.concatenate([[pull.sum()], x.T @ pull + _RIDGE * weights[1:]])
        return float(np.logaddexp(0, -margin).sum() + _RIDGE / 2 * (weights[1:] ** 2).sum()), gradient

    weights = minimize(loss, np.zeros(x.shape[1] + 1), jac=True, method="L-BFGS-B").x
    return z @ weights[1:] + weights[0]


def noise_statistics(pixels: np.ndarray) -> np.ndarray:
    """How strong, how regular and of which frequencies the noise of patches is: float (n, F).

    Of luma and both chroma planes: the logarithm of the energy in bands of the cosine transform and of
    differences along both axes, in the middle of the patch and at its border, and the shares of small steps.
    """
    size = pixels.shape[1]
    frequency = np.add.outer(np.arange(size), np.arange(size))
    bands = [
        (frequency >= low) & (frequency < high) for low, high in ((1, 3), (3, 6), (6, 10), (10, 16), (16, 31))
    ]
    middle = np.zeros((size, size), bool)
    middle[size // 4 : -size // 4, size // 4 : -size // 4] = True
    rows = []
    for patch in pixels:
        found: list[float] = []
        planes = cv2.cvtColor(patch, cv2.COLOR_RGB2YCrCb).astype(np.float32)
        for plane in cv2.split(planes):
            energy = cv2.dct(np.asarray(plane)) ** 2
            found += [np.log(energy[band].mean() + 0.1) for band in bands]
            second = cv2.Laplacian(plane, cv2.CV_32F) ** 2
            found += [np.log(second[where].mean() + 0.1) for where in (middle, ~middle)]
            for axis in (0, 1):
                step = np.diff(plane, axis=axis)
                inner = step[4:-4, 4:-4]
                found += [np.log((part**2).mean() + 0.1) for part in (step, inner)]
                found += [float((np.abs(inner) == size).mean()) for size in (0, 1, 2)]
            found += [float(plane[middle].mean() - plane[~middle].mean()), float(plane.std())]
        rows.append(found)
    return np.array(rows, np.float64)


def small_cnn(known: np.ndarray, painted: np.ndarray, asked: np.ndarray) -> np.ndarray:
    """A convolutional network of 47,000 weights on patches and their noise, learned with turned patches."""
    import torch
    from torch import nn

    def tensor(pixels: np.ndarray) -> "torch.Tensor":
        patches = torch.from_numpy(pixels).permute(0, 3, 1, 2).float() / 255 - 0.5
        noise = patches - nn.functional.avg_pool2d(patches, 3, 1, 1, count_include_pad=False)
        return torch.cat([patches, 8 * noise], dim=1)

    torch.manual_seed(_SEED)
    rng = np.random.default_rng(_SEED)
    net = _net().train()
    steps = max(len(known) // _BATCH, 1)
    optimizer = torch.optim.AdamW(net.parameters(), lr=_RATE, weight_decay=0.01)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, _RATE, total_steps=_EPOCHS * steps)
    x, y = tensor(known), torch.from_numpy(painted.astype(np.float32))
    for _ in range(_EPOCHS):
        order = rng.permutation(len(known))
        for step in range(steps):
            rows = torch.from_numpy(order[step * _BATCH : (step + 1) * _BATCH])
            batch = torch.rot90(x[rows], int(rng.integers(4)), (2, 3))
            batch = batch.flip(3) if rng.random() < 0.5 else batch
            loss = nn.functional.binary_cross_entropy_with_logits(net(batch)[:, 0], y[rows])
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            schedule.step()
    net.eval()
    with torch.no_grad():
        return torch.cat([net(part)[:, 0] for part in tensor(asked).split(1024)]).numpy()


def _net() -> "nn.Sequential":
    """Four convolutions, every other with a stride of two."""
    from torch import nn

    layers: list[nn.Module] = []
    for inputs, outputs, stride in ((6, 16, 1), (16, 32, 2), (32, 48, 1), (48, 64, 2)):
        layers.append(nn.Conv2d(inputs, outputs, 3, stride, 1, bias=False))
        layers += [nn.BatchNorm2d(outputs), nn.ReLU()]
    return nn.Sequential(*layers, nn.AdaptiveMaxPool2d(1), nn.Flatten(), nn.Linear(64, 1))


CLASSIFIERS = (
    Classifier("statistics", noise_statistics, logistic_regression),
    Classifier("CNN", lambda pixels: pixels, small_cnn),
)
_Part = tuple[list[np.ndarray], list[np.ndarray]]
"""Which patches to learn from, and which to judge, bool: each of those painted over, then of the others."""


def by_time(painted: Patches, others: Patches, folds: int, gap_s: float) -> Iterator[_Part]:
    """Cut every clip into so many stretches of time; learn from all but one, and judge that.

    What lies within the gap around the stretch is left out.
    """

    def within(patches: Patches, fold: int, grown: float) -> np.ndarray:
        begin, end = (patches.length_s * number / folds for number in (fold, fold + 1))
        return (patches.time_s >= begin - grown) & (patches.time_s < end + grown)

    both = painted, others
    for fold in range(folds):
        yield [~within(p, fold, gap_s) for p in both], [within(p, fold, 0) for p in both]


def by_clip(painted: Patches, others: Patches) -> Iterator[_Part]:
    """Judge the patches of every clip by the other clips."""
    both = painted, others
    for clip in sorted(set(painted.clip)):
        yield [p.clip != clip for p in both], [p.clip == clip for p in both]


def accuracy(painted: Patches, others: Patches, classifier: Classifier, parts: Iterator[_Part]) -> Accuracy:
    """Balanced accuracy over all parts.

    Raises:
        ValueError: a part has nothing to learn from, or nothing to judge.
    """
    first, second = (classifier.inputs_of(patches.pixels) for patches in (painted, others))
    right = [np.full(len(patches), np.nan) for patches in (painted, others)]
    for known, asked in parts:
        if not all(which.any() for which in (*known, *asked)):
            raise ValueError("a part of the footage has no patches of one kind; use fewer folds")
        kinds = np.repeat([True, False], [which.sum() for which in known])
        learned = np.concatenate([first[known[0]], second[known[1]]])
        says = classifier.judge(learned, kinds, np.concatenate([first[asked[0]], second[asked[1]]])) > 0
        count = int(asked[0].sum())
        right[0][asked[0]], right[1][asked[1]] = says[:count], ~says[count:]
    return _interval([(patches, hits) for patches, hits in zip((painted, others), right, strict=True)])


def _interval(judged: list[tuple[Patches, np.ndarray]]) -> Accuracy:
    rng, sums = np.random.default_rng(0), []
    for patches, hits in judged:
        is_judged = ~np.isnan(hits)
        seconds = np.char.add(patches.clip.astype(str), np.floor(patches.time_s).astype(int).astype(str))
        _, groups = np.unique(seconds[is_judged], return_inverse=True)
        sums.append((np.bincount(groups, hits[is_judged]), np.bincount(groups)))
    mean = np.mean([hits.sum() / counts.sum() for hits, counts in sums])
    drawn = np.zeros(_DRAWS)
    for hits, counts in sums:
        rows = rng.integers(len(hits), size=(_DRAWS, len(hits)))
        drawn += hits[rows].sum(axis=1) / counts[rows].sum(axis=1) / len(sums)
    return Accuracy(float(mean), *(float(v) for v in np.percentile(drawn, [2.5, 97.5])))
