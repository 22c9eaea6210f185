"""What detectors made of frames: rows, and what no row can tell. One type, one reader and one writer."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

import pandas as pd

from gotowce_dagster.core.tables import DETECTIONS, empty, read_notes, read_table, write_table

Bill = Mapping[str, int | float | None]
"""Answers, invalid ones, tokens and US dollars of one detector (see detect.bill)."""


@dataclass(frozen=True, eq=False)
class Detected:
    """The detections of a video's frames."""

    rows: pd.DataFrame = field(default_factory=lambda: empty(DETECTIONS))
    """Columns of tables.DETECTIONS."""
    unanswered: Mapping[int, Mapping[str, str]] = field(default_factory=dict)
    """frame_index -> detector -> why it gave no usable answer about the frame. A frame without rows that is
    named here is no frame without objects."""
    short: int = 0
    """How many objects too few detectors found for the quorum; they have no row."""
    bills: Mapping[str, Bill] = field(default_factory=dict)
    """What each detector took that answers in words or tokens."""

    def only(self, frames: set[int]) -> "Detected":
        """Rows and missing answers of some frames; bills and ``short`` are of all frames and stay."""
        return replace(
            self,
            rows=self.rows[self.rows["frame_index"].isin(frames)].reset_index(drop=True),
            unanswered={index: why for index, why in self.unanswered.items() if index in frames},
        )

    def notes(self) -> dict[str, object]:
        """What no row can tell, as JSON holds it; empty where there is nothing to say."""
        told = {"unanswered": self.unanswered, "short": self.short, "bills": self.bills}
        return {name: note for name, note in told.items() if note}


def write_detected(detected: Detected, path: Path) -> None:
    """Write a table of detections, whole or not at all; what no row can tell is kept in the same file.

    Raises:
        ValueError: as tables.write_table.
    """
    write_table(detected.rows, DETECTIONS, path, notes=detected.notes())


def read_detected(path: Path) -> Detected:
    """Read what write_detected wrote.

    Raises:
        InputError: the file is missing, damaged, or was written with another schema.
    """
    rows, notes = read_table(path, DETECTIONS), read_notes(path)
    unanswered = {int(index): silent for index, silent in notes.get("unanswered", {}).items()}
    return Detected(rows, unanswered, notes.get("short", 0), notes.get("bills", {}))
