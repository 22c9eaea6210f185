"""What people look at after a stage."""

from dataclasses import dataclass, field

import numpy as np


@dataclass(frozen=True)
class Preview:
    """A few numbers, notes and a picture, made from a stage's outputs alone, whoever computed them."""

    numbers: dict[str, float | int | str]
    picture: np.ndarray | None = None
    """RGB uint8 (H, W, 3), a contact sheet or a plot."""
    notes: list[str] = field(default_factory=list)
    """What went wrong or is worth a look, in sentences."""
    more: dict[str, np.ndarray] = field(default_factory=dict)
    """Further pictures by name."""
