"""The state of the sensor `dvc_lock`: the entries of each dvc.lock that it has reported to Dagster.

Dagster stores a sensor's cursor in its database at every tick, so the cursor contains one batch only. Earlier
batches are in a file that has the cursor's token. If the cursor was reset or the file is lost, all entries
are checked again; those that Dagster already has are not reported twice. A batch is added to the file one
tick later, when Dagster has stored the cursor and the events.
"""

from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeVar
from uuid import uuid4

from pydantic import BaseModel, ValidationError

from gotowce_dagster.config.paths import Paths
from gotowce_dagster.core.files import fresh_file
from gotowce_dagster.intake.pipelines import LOCK


class Record(BaseModel):
    """The reported entries of one pipeline's dvc.lock."""

    state: tuple[int, int, int]
    """Size, modification time and inode of the file."""
    stages: dict[str, str] = {}
    """Fingerprint of each reported entry."""
    absent: list[str] = []
    """Recorded outputs that are not pulled."""
    is_failed: bool = False
    """Whether an entry could not be reported; it is retried."""


class _Cursor(BaseModel):
    token: str
    last: str = ""
    batch: dict[str, Record] = {}


class _Kept(BaseModel):
    token: str
    records: dict[str, Record] = {}


T = TypeVar("T", _Cursor, _Kept)


@dataclass
class Reported:
    """The state of the sensor between two ticks."""

    root: Path
    token: str
    records: dict[str, Record]
    last: str = ""
    """The last pipeline of the previous batch."""
    batch: dict[str, Record] = field(default_factory=dict)

    @classmethod
    def resume(cls, paths: Paths, cursor: str | None) -> "Reported":
        """The state after the cursor's batch; empty if the cursor and the file do not belong together."""
        file = paths.work("dvc") / "reported.json"
        seen, kept = _parsed(_Cursor, cursor), _parsed(_Kept, file.read_bytes() if file.exists() else None)
        if not seen or not kept or seen.token != kept.token:
            seen = _Cursor(token=uuid4().hex)
            kept = _Kept(token=seen.token)
            _write(file, kept)
        elif seen.batch:
            # Drop videos that were removed from the project.
            records = {
                f: r for f, r in (kept.records | seen.batch).items() if (paths.root / f / LOCK).exists()
            }
            kept = _Kept(token=seen.token, records=records)
            _write(file, kept)
        return cls(paths.root, seen.token, kept.records, seen.last)

    def due(self, folders: Iterable[str]) -> list[str]:
        """The pipelines with possibly unreported entries, those after the last batch first."""
        found = [folder for folder in folders if self.is_due(folder)]
        return sorted(found, key=lambda folder: (folder <= self.last, folder))

    def failed(self, folders: Iterable[str]) -> list[str]:
        """The unchanged pipelines with entries that could not be reported."""
        return [folder for folder in folders if self._is_same(folder) and self.records[folder].is_failed]

    def is_due(self, folder: str) -> bool:
        """Whether a pipeline's dvc.lock may have unreported entries."""
        if not self._is_same(folder):
            return self.state(folder) is not None
        return any((self.root / path).exists() for path in self.records[folder].absent)

    def _is_same(self, folder: str) -> bool:
        record = self.records.get(folder)
        return record is not None and record.state == self.state(folder)

    def state(self, folder: str) -> tuple[int, int, int] | None:
        """Size, modification time and inode of a pipeline's dvc.lock; None if there is none."""
        try:
            found = (self.root / folder / LOCK).stat()
        except FileNotFoundError:
            return None
        return found.st_size, found.st_mtime_ns, found.st_ino

    def keep(self, folder: str, record: Record) -> None:
        """Add a pipeline's record to this batch."""
        self.batch[folder] = record
        self.last = folder

    def cursor(self) -> str:
        """The cursor after this batch."""
        return _Cursor(token=self.token, last=self.last, batch=self.batch).model_dump_json()


def _parsed(kind: type[T], text: str | bytes | None) -> T | None:
    """Parse a cursor or file of this version; None for any other."""
    try:
        return kind.model_validate_json(text) if text else None
    except ValidationError:
        return None


def _write(file: Path, kept: _Kept) -> None:
    with fresh_file(file) as new:
        new.write_text(kept.model_dump_json(), encoding="utf-8")
