"""One line of the diagnosis."""

from dataclasses import dataclass
from enum import StrEnum


class Level(StrEnum):
    """How much a finding matters."""

    WRONG = "wrong"
    """The pipeline, as params.yaml describes it, cannot run."""
    HINT = "hint"
    """It can run, but not as well as it could."""
    FINE = "fine"
    """Nothing has to be done."""


@dataclass(frozen=True)
class Finding:
    """What was checked, whether it can run here, and the result in words."""

    what: str
    ok: bool
    result: str
    do: str = ""
    """What to do about it: a command to copy, or a sentence."""
    level: Level = Level.FINE
