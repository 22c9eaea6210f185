"""What vision language models answer about boxes: parsed and repaired by rule, never evaluated.

Models asked for pixels answer in shares, swap corners, leave the picture, or refuse in prose. Each repair has
a name and is counted; what no rule repairs is dropped and counted too.
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
"""Coordinates this far beyond the end of a convention's range are another convention."""


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
    """What was wrong with a box that could be put right."""

    SWAPPED = "corners swapped"
    CLIPPED = "partly outside"
    CONVENTION = "other coordinates than it says"
    OTHER = "other coordinates than asked for"
    LABEL = "label not as asked"
    CONFIDENCE = "confidence missing or in percent"


class Fault(StrEnum):
    """What could not be put right: an answer without boxes to read, or a box of it."""

    PROSE = "no JSON: a refusal or prose"
    BROKEN = "broken JSON"
    FORM = "not of the form asked for"
    OUTSIDE = "outside the picture"
    EMPTY = "without area"
    UNKNOWN = "label unknown"


@dataclass
class Parsed:
    """Boxes of one answer, in pixels of the picture that was sent.

    xyxy float (n, 4), confidence (n,), owners: class and phrase of each. ``fault`` says why the answer as a
    whole is worth nothing; then there are no boxes.
    """

    xyxy: np.ndarray = field(default_factory=lambda: np.empty((0, 4)))
    confidence: np.ndarray = field(default_factory=lambda: np.empty(0, np.float32))
    owners: list[tuple[str, str]] = field(default_factory=list)
    repaired: Counter[Repair] = field(default_factory=Counter)
    dropped: Counter[Fault] = field(default_factory=Counter)
    fault: Fault | None = None


class _Loose(BaseModel):
    """A box as it comes: confidence may lack; finite numbers, or numerals, and nothing else."""

    model_config = ConfigDict(allow_inf_nan=False, extra="ignore")

    label: str | None = None
    x1: float
    y1: float
    x2: float
    y2: float
    confidence: float | None = None


class UnreadableError(ValueError):
    """Text that holds no readable JSON; ``fault`` says of which sort."""

    def __init__(self, fault: Fault) -> None:
        super().__init__(str(fault))
        self.fault = fault


def find_json(text: str) -> Any:
    """The JSON value in a text: all of it, or the first object or list in a fence or in prose.

    Raises:
        UnreadableError: there is none, or what begins like one breaks off.
    """
    fenced = re.search(r"```(?:json)?\s*(.*?)```", text, re.DOTALL)
    text = (fenced[1] if fenced else text).strip()
    decoder = json.JSONDecoder()
    starts = [match.start() for match in re.finditer(r"[{\[]", text)]
    for start in starts:
        try:
            return decoder.raw_decode(text, start)[0]
        except (ValueError, RecursionError):
            # What follows inside a broken object would be a part of it taken for the whole.
            break
    begins = bool(starts) and (starts[0] == 0 or fenced is not None or '"' in text[starts[0] :])
    raise UnreadableError(Fault.BROKEN if begins else Fault.PROSE)


def parse_boxes(text: str, size: tuple[int, int], phrases: Phrases, asked: Coordinates = "pixel") -> Parsed:
    """Read the boxes of an answer.

    Args:
        text: JSON as ``Answer`` describes it, or prose around it, or a bare list of boxes.
        size: (width, height) in pixels of the picture that was sent.
        phrases: what the model was asked for.
        asked: the coordinates it was asked for.
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
    """The number in an answer of the form of ``CountAnswer``, or None."""
    try:
        return CountAnswer.model_validate(find_json(text)).count
    except ValueError:
        return None


def _place(
    xyxy: np.ndarray,
    told: Sequence[_Loose],
    size: tuple[int, int],
    phrases: Phrases,
    parsed: Parsed,
) -> None:
    """Sort the corners of boxes in pixels and clip them to the picture; what lies outside is dropped."""
    ordered = np.hstack([np.minimum(xyxy[:, :2], xyxy[:, 2:]), np.maximum(xyxy[:, :2], xyxy[:, 2:])])
    clipped = np.clip(ordered, 0, np.tile(size, 2).astype(float))
    outside = np.any((ordered[:, :2] >= size) | (ordered[:, 2:] <= 0), axis=1)
    empty = ~outside & np.any(clipped[:, 2:] <= clipped[:, :2], axis=1)
    owners = [_owner(box.label, phrases) for box in told]
    unknown = np.array([owner is None for owner in owners]) & ~outside & ~empty
    good = ~(outside | empty | unknown)
    confidence, odd = _confidence([box.confidence for box in told])
    named = [owner is not None and box.label == owner[1] for box, owner in zip(told, owners, strict=True)]
    parsed.dropped += _counts({Fault.OUTSIDE: outside, Fault.EMPTY: empty, Fault.UNKNOWN: unknown})
    parsed.repaired += _counts(
        {
            Repair.SWAPPED: good & (ordered != xyxy).any(axis=1),
            Repair.CLIPPED: good & (np.abs(clipped - ordered) > 1e-6).any(axis=1),
            Repair.CONFIDENCE: good & odd,
            Repair.LABEL: good & ~np.array(named),
        }
    )
    parsed.xyxy, parsed.confidence = clipped[good], confidence[good]
    parsed.owners = [owner for owner, kept in zip(owners, good, strict=True) if owner is not None and kept]


def _convention(xyxy: np.ndarray, stated: Coordinates, size: tuple[int, int]) -> Coordinates:
    """What the numbers of one answer are, which need not be what it says."""
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
    """Class and phrase that a label stands for; where one phrase was asked for, any label stands for it."""
    sole = phrases.asked[0] if len(phrases.asked) == 1 else None
    return phrases.owner(sole or label or "", least_shared=0.5)


def _confidence(told: Sequence[float | None]) -> tuple[np.ndarray, np.ndarray]:
    """Confidences 0 to 1, a missing one being 1 as for models that tell none; and which were odd."""
    values = np.array([1.0 if value is None else value for value in told], np.float32)
    percent = values > 1
    odd = percent | np.array([value is None for value in told]) | (values < 0)
    return np.clip(np.where(percent, values / 100, values), 0, 1), odd


def _counts(which: Mapping[Any, np.ndarray]) -> Counter[Any]:
    return Counter({name: int(rows.sum()) for name, rows in which.items() if rows.any()})
