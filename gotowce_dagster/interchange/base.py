"""Interface of export formats and the objects they write: one module per format, listed in registry.py."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from gotowce_dagster.core import rle

UNSPLIT = "all"
"""The split of images that belong to no dataset split."""


@dataclass(frozen=True)
class LabelledObject:
    """One object of an image: one box and at most one mask, which may have several parts and holes."""

    detection_id: int
    object_id: str
    """``shot/number`` of its track; empty if it has none."""
    class_name: str
    box: tuple[float, float, float, float]
    """x1, y1, x2, y2 in pixels, x2 and y2 exclusive, inside the image."""
    rle: str | None
    """COCO RLE counts of the whole image; None without a mask."""
    confidence: float | None
    quality: float

    @property
    def xywh(self) -> list[float]:
        """x, y, width, height in pixels."""
        x1, y1, x2, y2 = self.box
        return [x1, y1, x2 - x1, y2 - y1]

    def notes(self) -> dict[str, str | int | float]:
        """Its attributes other than class, box and mask."""
        notes: dict[str, str | int | float] = {"detection_id": self.detection_id, "quality": self.quality}
        notes |= {"object_id": self.object_id} if self.object_id else {}
        return notes | ({} if self.confidence is None else {"confidence": self.confidence})


@dataclass(frozen=True)
class Picture:
    """An image with its annotations."""

    source: Path
    """Path of its file."""
    name: str
    """Its name in an export, unique: VIDEO_FRAME.jpg."""
    file: str
    """Path below the export's folder, or the absolute path of ``source`` if images are not copied."""
    width: int
    height: int
    split: str
    """train, val or test; UNSPLIT without a split."""
    video: str
    frame_index: int
    time_s: float
    kind: str
    """as-is, or erased: with inpainted marks."""
    origin: str
    """Origin of its labels: marked, propagated, reviewed (with proposals), or none."""
    reviewed: bool
    objects: tuple[LabelledObject, ...]

    @property
    def stem(self) -> str:
        return Path(self.name).stem

    def notes(self) -> dict[str, str | int | float | bool]:
        """Its provenance."""
        return {
            "split": self.split,
            "video": self.video,
            "frame_index": self.frame_index,
            "time_s": self.time_s,
            "kind": self.kind,
            "origin": self.origin,
            "reviewed": self.reviewed,
        }

    def mask(self, thing: LabelledObject) -> np.ndarray | None:
        """Decode the mask of an object, bool (H, W); None without a mask."""
        return None if thing.rle is None else rle.decode(thing.rle, self.height, self.width)


@dataclass(frozen=True)
class About:
    """Metadata of an export."""

    labels: str
    """cleaned, reviewed or dataset."""
    classes: tuple[str, ...]
    splits: tuple[str, ...]
    description: Mapping[str, Any]
    """Description of the export, for formats with a field for it."""


Write = Callable[[Path, Iterable[Picture], About], None]
"""Writes images and annotations to a folder one at a time, without keeping them in memory."""


@dataclass(frozen=True)
class Format:
    """An export format."""

    name: str
    write: Write
    pictures: str
    """Folder of the images below the export's folder; ``{split}`` if each split has its own."""
    can_reference: bool = True
    """Whether images may be outside the export's folder."""

    def path_of(self, picture: Picture) -> str:
        """Path of an image relative to the export's folder."""
        return f"{self.pictures.format(split=picture.split)}/{picture.name}"


def bounds(mask: np.ndarray) -> tuple[int, int, int, int]:
    """x1, y1, x2, y2 around the pixels of a mask, bool (H, W), end exclusive; it must not be empty."""
    x, y = np.flatnonzero(mask.any(axis=0)), np.flatnonzero(mask.any(axis=1))
    return int(x[0]), int(y[0]), int(x[-1]) + 1, int(y[-1]) + 1
