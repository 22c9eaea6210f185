"""What the appearance of a box proves: that it is background, without a model and without a human.

What has many look-alikes, what looks the same when it is turned, and what has only the colours of the game's
marks is no target. Labelled targets tell whether each of these holds in a game: in one whose targets come in
crowds, look-alikes prove nothing.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

import numpy as np
import pandas as pd
import supervision as sv

from gotowce_dagster.core.boxes import evenly
from gotowce_dagster.labels.export import read_objects
from gotowce_dagster.training.glows import are_round
from gotowce_dagster.training.look_alikes import have_look_alikes
from gotowce_dagster.training.mark_colours import have_colour, tints
from gotowce_dagster.training.marks_pasted import read_marks
from gotowce_dagster.training.sharpness import sharpness

Rule = Callable[[np.ndarray, np.ndarray], np.ndarray]
"""From an RGB image and boxes, xyxy (n, 4), to whether each is background or a measure of it, (n,)."""

_TARGETS = 0.1
"""Maximum share of labelled targets that a rule calls background, if it holds in a game."""
_FRAMES = 50
"""Number of frames with labelled targets that tell."""
_MARKS = 12
"""Number of marks that tell their colours."""


@dataclass(frozen=True, eq=False)
class Appearance:
    """The rules that hold in a game, by name, the fastest first."""

    rules: Mapping[str, Rule] = field(default_factory=dict)
    sharpness: float = 0.0
    """Median of labelled targets, as from sharpness.py; 0 without any."""

    def are_background(self, image: np.ndarray, boxes: np.ndarray) -> np.ndarray:
        """bool (n,): whether the appearance of each box proves that it is no target.

        Args:
            image: RGB uint8 (H, W, 3), without its marks.
            boxes: xyxy float (n, 4).
        """
        found = np.zeros(len(boxes), bool)
        for rule in self.rules.values():
            found[~found] = rule(image, boxes[~found])
        return found


def appearance_of(dataset: Path, provenance: pd.DataFrame) -> dict[str, Appearance]:
    """What appearance proves in each game, by profile.

    Args:
        dataset: folder with images and labels; only read.
        provenance: rows of tables.PROVENANCE of it.
    """
    marks = read_marks(dataset, provenance, _MARKS)
    rows = provenance[(provenance["split"] == "train") & (provenance["kind"] != "unknown")]
    # Without marks, for every target of a frame might have one.
    rows = rows.sort_values("kind", ascending=False).drop_duplicates(["video", "frame_index"])
    found = {}
    for profile in provenance["profile"].unique():
        rules: dict[str, Rule] = {
            "colour": partial(have_colour, tints=tints(marks.get(profile, []))),
            "round": are_round,
            "look-alikes": have_look_alikes,
        }
        some = rows[rows["profile"] == profile]
        shown = [read_objects(dataset, some["image"].iloc[place]) for place in evenly(len(some), _FRAMES)]
        count = sum(len(targets) for _, targets in shown)
        found[str(profile)] = Appearance(
            {
                name: rule
                for name, rule in rules.items()
                if _of_targets(rule, shown).sum() <= _TARGETS * count
            },
            float(np.median(_of_targets(sharpness, shown))) if count else 0.0,
        )
    return found


def _of_targets(measure: Rule, shown: list[tuple[np.ndarray, sv.Detections]]) -> np.ndarray:
    """A measure of all labelled targets of some pictures, (n,)."""
    return np.concatenate([np.zeros(0), *(measure(image, targets.xyxy) for image, targets in shown)])
