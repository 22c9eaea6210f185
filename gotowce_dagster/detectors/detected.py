"""The detections of a video with unanswered frames and bills, and their reader and writer."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

import pandas as pd

from gotowce_dagster.core.tables import DETECTIONS, empty, read_notes, read_table, write_table

Bill = Mapping[str, int | float | None]
"""Answers, invalid answers, tokens and US dollars of one detector (see detect.bill)."""


@dataclass(frozen=True, eq=False)
class Detected:
    """The detections of a video's frames."""

    rows: pd.DataFrame = field(default_factory=lambda: empty(DETECTIONS))
    """Columns of tables.DETECTIONS."""
    unanswered: Mapping[int, Mapping[str, str]] = field(default_factory=dict)
    """frame_index -> detector -> why it returned no usable answer. Such a frame without rows may still
    contain objects."""
    short: int = 0
    """Number of objects left out because fewer detectors than the quorum found them."""
    bills: Mapping[str, Bill] = field(default_factory=dict)
    """Bills of the detectors that return text."""

    def only(self, frames: set[int]) -> "Detected":
        """Rows and unanswered frames of some frames; bills and ``short`` stay those of all frames."""
        return replace(
            self,
            rows=self.rows[self.rows["frame_index"].isin(frames)].reset_index(drop=True),
            unanswered={index: why for index, why in self.unanswered.items() if index in frames},
        )

    def notes(self) -> dict[str, object]:
        """The non-empty fields beside the rows, JSON-serializable."""
        fields = {"unanswered": self.unanswered, "short": self.short, "bills": self.bills}
        return {name: note for name, note in fields.items() if note}


def write_detected(detected: Detected, path: Path) -> None:
    """Write detections atomically; the notes go into the metadata of the same file.

    Raises:
        ValueError: as tables.write_table.
    """
    write_table(detected.rows, DETECTIONS, path, notes=detected.notes())


def read_detected(path: Path) -> Detected:
    """Read detections written by write_detected.

    Raises:
        InputError: the file is missing, damaged, or was written with another schema.
    """
    rows, notes = read_table(path, DETECTIONS), read_notes(path)
    unanswered = {int(index): silent for index, silent in notes.get("unanswered", {}).items()}
    return Detected(rows, unanswered, notes.get("short", 0), notes.get("bills", {}))
