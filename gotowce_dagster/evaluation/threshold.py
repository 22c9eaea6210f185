"""The model's own threshold: the confidence from which most boxes of complete frames are right.

It is chosen on complete frames from the stretches of video that were trained on, or near them, and only
there, so that what the report says about it for frames outside training data is not flattered by the choice.
"""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path

import numpy as np

from gotowce_dagster.config.training_params import EvaluationParams
from gotowce_dagster.core.errors import InputError
from gotowce_dagster.core.files import read_json
from gotowce_dagster.evaluation.recalls import Seen, figures_by_group
from gotowce_dagster.evaluation.scoring import IGNORED, matches

_ADVICE = "run the stage evaluation again"
_LEAST_BOXES = 4
"""With fewer boxes that count in a game's complete frames, their precision says nothing."""


@dataclass(frozen=True)
class OfGame:
    """The threshold that one game alone would need."""

    profile: str
    frames: int
    """Its complete frames near training data."""
    confidence: float | None
    """None: too few boxes count in them, or too many are wrong at every confidence; it has no say."""
    is_reached: bool = False
    """Whether enough boxes are right at the threshold that was chosen for all games."""


@dataclass(frozen=True)
class Threshold:
    """A threshold and what the model finds above it."""

    confidence: float
    model: str
    """SHA-256 of the model it belongs to."""
    recalls: Mapping[str, Mapping[str, float]] = field(default_factory=dict)
    """As Findings.recalls, at this confidence."""
    games: Sequence[OfGame] = ()

    def as_json(self) -> dict[str, object]:
        """For metrics.json."""
        games = [asdict(game) for game in self.games]
        return {"confidence": self.confidence, "model": self.model, "games": games, **self.recalls}


def own_threshold(
    seen: Sequence[Seen], seen_apart: Sequence[Seen], params: EvaluationParams, model: str
) -> Threshold | None:
    """Choose the threshold on frames near training data, and compute the figures of all frames at it.

    Args:
        seen: all frames with ground truth; ``seen_apart`` those of them outside training data.
        params: the threshold is the lowest confidence, not below ``confidence``, at which most games have
            ``least_precision`` at once; near training data precision is higher than elsewhere.
        model: SHA-256 of the model.

    Returns:
        None if no game has enough complete frames near training data.
    """
    apart = set(map(id, seen_apart))
    near = [one for one in seen if id(one) not in apart and one.complete is not None]
    hundredths = np.arange(1, 100) / 100
    tried = np.unique([params.confidence, *hundredths])
    games, holds = [], {}
    for profile in sorted({one.profile for one in near}):
        own = [one for one in near if one.profile == profile]
        counted, right = _counts(own, tried)
        held = (counted >= _LEAST_BOXES) & (right / np.maximum(counted, 1) >= params.least_precision)
        lowest = tried[held]
        games.append(OfGame(profile, len(own), float(lowest[0]) if len(lowest) else None))
        if len(lowest):
            holds[profile] = held[tried >= params.confidence]
    if not holds:
        return None
    # A game's precision may fall again at a higher confidence: what counts is where all have it at once.
    best = int(np.sum(list(holds.values()), axis=0).argmax())
    games = [
        replace(game, is_reached=game.profile in holds and bool(holds[game.profile][best])) for game in games
    ]
    confidence = float(tried[tried >= params.confidence][best])
    return Threshold(confidence, model, figures_by_group(seen, seen_apart, confidence), games)


def threshold_in(evaluation: Path, model: str) -> float | None:
    """The threshold in the folder of an evaluation, if it was chosen for this model.

    Args:
        evaluation: folder of the stage evaluation; it need not exist.
        model: SHA-256 of the model.

    Raises:
        InputError: its metrics.json is damaged.
    """
    file = evaluation / "metrics.json"
    if not file.exists():
        return None
    metrics = read_json(file, _ADVICE)
    try:
        chosen = metrics.get("threshold")
        return float(chosen["confidence"]) if chosen and chosen["model"] == model else None
    except (KeyError, TypeError, ValueError, AttributeError):
        raise InputError(f"{file}: its threshold is damaged; {_ADVICE}") from None


def _counts(seen: Sequence[Seen], confidences: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """How many boxes of complete frames count above each confidence, and how many are right: int (n,)."""
    cases = [one.complete for one in seen if one.complete is not None]
    counted, right = np.zeros((2, len(confidences)), int)
    for place, confidence in enumerate(confidences):
        match = np.concatenate([matches(case.surer_than(confidence), 0.5) for case in cases])
        counted[place] = np.count_nonzero(match != IGNORED)
        right[place] = np.count_nonzero(match >= 0)
    return counted, right
