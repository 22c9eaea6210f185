"""Harmless rogue pickles: unpickling one without restriction creates a file."""

import pickle
from dataclasses import dataclass
from pathlib import Path
from typing import Any


class Rogue:
    """Its pickle opens a file for writing when it is loaded."""

    def __init__(self, marker: Path) -> None:
        self.marker = marker

    def __reduce__(self) -> tuple[Any, ...]:
        return open, (str(self.marker), "w")


@dataclass(frozen=True)
class Trap:
    """A marker that is absent as long as nothing was executed."""

    marker: Path

    def archive(self, path: Path) -> Path:
        """As torch.save writes it: a zip archive with a pickle."""
        import torch

        path.parent.mkdir(parents=True, exist_ok=True)
        torch.save({"model": Rogue(self.marker), "state_dict": {}, "train_args": {}}, path)
        return path

    def bare(self, path: Path) -> Path:
        """A pickle without an archive, as torch wrote it once."""
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(pickle.dumps({"model": Rogue(self.marker)}))
        return path

    def assert_not_sprung(self) -> None:
        assert not self.marker.exists(), "code of the file was executed"
