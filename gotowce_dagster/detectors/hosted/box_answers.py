"""Parsing of boxes in the responses of vision language models, with repairs by fixed rules.

Models asked for pixels answer in fractions, swap corners, leave the image, or refuse in prose. Each repair
has a name and is counted; boxes that no rule repairs are dropped and counted too.
"""

import json
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, Literal

import numpy as np
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from gotowce_dagster.detectors.phrases import Phrases

Coordinates = Literal["pixel", "unit", "thousand"]

_FULL = {"unit": 1.0, "thousand": 1000.0}
_BEYOND = 1.05
"""Coordinates larger than a convention's range by this factor follow another convention."""


class Answer(BaseModel):
    """The schema that models are asked to fill in."""

    class Box(BaseModel):
        label: str = Field(description="the phrase it answers, word for word")
        x1: float = Field(description="left")
        y1: float = Field(description="top")
        x2: float = Field(description="right")
        y2: float = Field(description="bottom")
        confidence: float = Field(description="0 to 1")

    coordinates: Coordinates = Field(
        description="pixel: of this picture. unit: 0 to 1 of its sides. thousand: 0 to 1000 of its sides"
    )
    boxes: list[Box] = Field(description="empty if there is none")


class CountAnswer(BaseModel):
    """The schema of an answer to `how many`."""

    count: int = Field(ge=0, description="how many there are; 0 if none")


class Repair(StrEnum):
    """A repaired error of a box."""

    SWAPPED = "corners swapped"
    CLIPPED = "partly outside"
    CONVENTION = "other coordinates than it says"
    OTHER = "other coordinates than asked for"
    LABEL = "label not as asked"
    CONFIDENCE = "confidence missing or in percent"


class Fault(StrEnum):
    """An error that cannot be repaired, of a response or of one of its boxes."""

    PROSE = "no JSON: a refusal or prose"
    BROKEN = "broken JSON"
    FORM = "not of the form asked for"
    OUTSIDE = "outside the picture"
    EMPTY = "without area"
    UNKNOWN = "label unknown"


@dataclass
class Parsed:
    """The boxes of one response, in pixels of the image that was sent.

    xyxy float (n, 4), confidence (n,), owners: class and phrase of each box. ``fault``: why the response is
    unusable as a whole; it then has no boxes.
    """

    xyxy: np.ndarray = field(default_factory=lambda: np.empty((0, 4)))
    confidence: np.ndarray = field(default_factory=lambda: np.empty(0, np.float32))
    owners: list[tuple[str, str]] = field(default_factory=list)
    repaired: Counter[Repair] = field(default_factory=Counter)
    dropped: Counter[Fault] = field(default_factory=Counter)
    fault: Fault | None = None


class _Loose(BaseModel):
    """An unchecked box: finite numbers or numerals; the confidence is optional."""

    model_config = ConfigDict(allow_inf_nan=False, extra="ignore")

    label: str | None = None
    x1: float
    y1: float
    x2: float
    y2: float
    confidence: float | None = None


class UnreadableError(ValueError):
    """A text without readable JSON; ``fault`` is the reason."""

    def __init__(self, fault: Fault) -> None:
        super().__init__(str(fault))
        self.fault = fault


def find_json(text: str) -> Any:
    """The JSON value of a text: the whole text, or the first object or list in a code fence or in prose.

    Raises:
        UnreadableError: there is none, or it is truncated or malformed.
    """
    fenced = re.search(r"```(?:json)?\s*(.*?)```", text, re.DOTALL)
    text = (fenced[1] if fenced else text).strip()
    decoder = json.JSONDecoder()
    starts = [match.start() for match in re.finditer(r"[{\[]", text)]
    for start in starts:
        try:
            return decoder.raw_decode(text, start)[0]
        except (ValueError, RecursionError):
            # A later match could be a part of the malformed object.
            break
    begins = bool(starts) and (starts[0] == 0 or fenced is not None or '"' in text[starts[0] :])
    raise UnreadableError(Fault.BROKEN if begins else Fault.PROSE)


def parse_boxes(text: str, size: tuple[int, int], phrases: Phrases, asked: Coordinates = "pixel") -> Parsed:
    """Parse the boxes of a response.

    Args:
        text: JSON of the schema ``Answer``, also within prose, or a list of boxes.
        size: (width, height) in pixels of the image that was sent.
        phrases: the prompted phrases.
        asked: the requested coordinate convention.
    """
    try:
        content = find_json(text)
    except UnreadableError as error:
        return Parsed(fault=error.fault)
    stated = content.get("coordinates", asked) if isinstance(content, Mapping) else asked
    items = content.get("boxes") if isinstance(content, Mapping) else content
    if not isinstance(items, list) or stated not in ("pixel", "unit", "thousand"):
        return Parsed(fault=Fault.FORM)
    parsed = Parsed()
    boxes: list[_Loose] = []
    for item in items:
        try:
            boxes.append(_Loose.model_validate(item))
        except ValidationError:
            parsed.dropped[Fault.FORM] += 1
    if boxes:
        xyxy = np.array([[box.x1, box.y1, box.x2, box.y2] for box in boxes])
        used = _convention(xyxy, stated, size)
        if used != asked:
            parsed.repaired[Repair.CONVENTION if used != stated else Repair.OTHER] += len(boxes)
        with np.errstate(over="ignore"):
            scaled = xyxy if used == "pixel" else xyxy / _FULL[used] * np.tile(size, 2)
        _place(scaled, boxes, size, phrases, parsed)
    if items and not len(parsed.xyxy):
        parsed.fault = parsed.dropped.most_common(1)[0][0]
    return parsed


def parse_count(text: str) -> int | None:
    """The number in a response of the schema ``CountAnswer``, or None."""
    try:
        return CountAnswer.model_validate(find_json(text)).count
    except ValueError:
        return None


def _place(
    xyxy: np.ndarray,
    items: Sequence[_Loose],
    size: tuple[int, int],
    phrases: Phrases,
    parsed: Parsed,
) -> None:
    """Sort the corners of boxes in pixels and clip them to the image; boxes outside of it are dropped."""
    ordered = np.hstack([np.minimum(xyxy[:, :2], xyxy[:, 2:]), np.maximum(xyxy[:, :2], xyxy[:, 2:])])
    clipped = np.clip(ordered, 0, np.tile(size, 2).astype(float))
    outside = np.any((ordered[:, :2] >= size) | (ordered[:, 2:] <= 0), axis=1)
    empty = ~outside & np.any(clipped[:, 2:] <= clipped[:, :2], axis=1)
    owners = [_owner(box.label, phrases) for box in items]
    unknown = np.array([owner is None for owner in owners]) & ~outside & ~empty
    good = ~(outside | empty | unknown)
    confidence, repaired = _confidence([box.confidence for box in items])
    named = [owner is not None and box.label == owner[1] for box, owner in zip(items, owners, strict=True)]
    parsed.dropped += _counts({Fault.OUTSIDE: outside, Fault.EMPTY: empty, Fault.UNKNOWN: unknown})
    parsed.repaired += _counts(
        {
            Repair.SWAPPED: good & (ordered != xyxy).any(axis=1),
            Repair.CLIPPED: good & (np.abs(clipped - ordered) > 1e-6).any(axis=1),
            Repair.CONFIDENCE: good & repaired,
            Repair.LABEL: good & ~np.array(named),
        }
    )
    parsed.xyxy, parsed.confidence = clipped[good], confidence[good]
    parsed.owners = [owner for owner, kept in zip(owners, good, strict=True) if owner is not None and kept]


def _convention(xyxy: np.ndarray, stated: Coordinates, size: tuple[int, int]) -> Coordinates:
    """The coordinate convention of a response by its values, which may differ from the stated one."""
    largest = np.abs(xyxy).max()
    if stated != "unit" and largest <= 1:
        return "unit"
    if stated == "unit" and largest > 2:
        inside = (xyxy <= np.tile(size, 2) * _BEYOND).all()
        return "pixel" if inside else "thousand"
    if stated == "thousand" and largest > 1000 * _BEYOND:
        return "pixel"
    return stated


def _owner(label: str | None, phrases: Phrases) -> tuple[str, str] | None:
    """The class and phrase of a label; with a single prompted phrase, every label matches it."""
    sole = phrases.asked[0] if len(phrases.asked) == 1 else None
    return phrases.owner(sole or label or "", least_shared=0.5)


def _confidence(stated: Sequence[float | None]) -> tuple[np.ndarray, np.ndarray]:
    """Confidences from 0 to 1 (1 where missing), and which of them were repaired."""
    values = np.array([1.0 if value is None else value for value in stated], np.float32)
    percent = values > 1
    repaired = percent | np.array([value is None for value in stated]) | (values < 0)
    return np.clip(np.where(percent, values / 100, values), 0, 1), repaired


def _counts(which: Mapping[Any, np.ndarray]) -> Counter[Any]:
    return Counter({name: int(rows.sum()) for name, rows in which.items() if rows.any()})
