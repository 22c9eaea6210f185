"""The preview of a stage's outputs."""

from dataclasses import dataclass, field

import numpy as np


@dataclass(frozen=True)
class Preview:
    """A few numbers, notes and a picture, derived only from a stage's outputs, however they were computed."""

    numbers: dict[str, float | int | str]
    picture: np.ndarray | None = None
    """RGB uint8 (H, W, 3), a contact sheet or a plot."""
    notes: list[str] = field(default_factory=list)
    """Problems and remarks, in sentences."""
    more: dict[str, np.ndarray] = field(default_factory=dict)
    """Additional pictures by name."""
