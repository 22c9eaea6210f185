"""The model's own threshold: the confidence from which most boxes of complete frames are right.

It is chosen on complete frames from the stretches of video that were trained on, or near them, and only
there, so that what the report says about it for frames outside training data is not flattered by the choice.
"""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
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
        params: the threshold is not below ``confidence``, for precision near training data is higher than
            elsewhere, and each game reaches ``least_precision``.
        model: SHA-256 of the model.

    Returns:
        None if no game has enough complete frames near training data.
    """
    apart = set(map(id, seen_apart))
    near = [one for one in seen if id(one) not in apart and one.complete is not None]
    games = []
    for profile in sorted({one.profile for one in near}):
        own = [one for one in near if one.profile == profile]
        games.append(OfGame(profile, len(own), _reaches(own, params.least_precision)))
    found = [game.confidence for game in games if game.confidence is not None]
    if not found:
        return None
    confidence = max(params.confidence, *found)
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


def _reaches(seen: Sequence[Seen], precision: float) -> float | None:
    """The lowest confidence, in hundredths, at which the precision on complete frames is reached.

    Returns:
        None if too few boxes count, or it is never reached.
    """
    cases = [one.complete for one in seen if one.complete is not None]
    for confidence in np.arange(1, 100) / 100:
        match = np.concatenate(
            [np.zeros(0, int), *(matches(case.surer_than(confidence), 0.5) for case in cases)]
        )
        counted = match[match != IGNORED]
        if len(counted) < _LEAST_BOXES:
            return None
        if (counted >= 0).mean() >= precision:
            return float(confidence)
    return None
